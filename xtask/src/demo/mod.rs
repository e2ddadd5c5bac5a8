//! `cargo xtask demo`: a fleet of real processes at three times what the machine has, admitted, limited,
//! measured and cleaned up, with the placement decided by a plugin from `target/plugins`.
mod daemon;
mod fleet;
mod job;
mod screen;
mod summary;

pub use daemon::Daemon;
pub use job::{Job, job};

use crate::{plugins, step};
use anyhow::{Context, Result, bail};
use bursar_wire::{self as wire, Client};
use fleet::{Fleet, Part};
use screen::Screen;
use std::time::{Duration, Instant};

/// A demo that takes longer than this has failed.
const LONGEST: Duration = Duration::from_secs(115);
/// Between two looks at the fleet.
const LOOK: Duration = Duration::from_millis(250);

/// Runs the demo.
///
/// # Errors
/// When anything that it promises does not come true.
pub fn run(jobs: usize, seed: u64) -> Result<()> {
    let plugins = plugins::build(false)?;
    step::run(step::cargo(&["build", "--release", "--quiet", "--package", "bursar", "--package", "xtask"]))?;
    let binaries = plugins.parent().context("plugins lie in the target folder")?.join("release");
    let scratch = tempfile::Builder::new().prefix("bursar-demo-").tempdir()?;
    let started = Instant::now();
    let mut daemon = Daemon::start(&binaries.join("bursar"), scratch.path(), &plugins)?;
    let mut client = daemon.client();
    say_plugins(&mut client)?;
    let mut fleet = Fleet::draw(&binaries, scratch.path(), daemon.socket(), &mut client, jobs, seed)?;
    println!("{}", fleet.describe());
    let (mut swapped, mut killed, mut screen) = (false, false, Screen::new());
    while fleet.advance()? {
        if started.elapsed() > LONGEST {
            bail!("the fleet is not done after {LONGEST:?}: {} jobs are", fleet.done());
        }
        if !swapped && fleet.done() * 3 >= jobs {
            swapped = true;
            screen.say(&swap(&mut daemon.client())?);
        }
        if !killed && fleet.done() * 2 >= jobs {
            killed = true;
            screen.say(&kill_and_return(&mut daemon)?);
        }
        screen.show(&fleet.standing(&mut daemon.client())?);
        std::thread::sleep(LOOK);
    }
    settle(&mut daemon.client())?;
    let summary = summary::of(&mut daemon.client())?;
    daemon.stop()?;
    let orphans = fleet.orphans();
    println!("{}", summary.text(orphans.len(), started.elapsed()));
    summary.check(&orphans, &fleet)?;
    drop(scratch);
    if !swapped || !killed {
        bail!("the fleet was done before the stage was reached; give it more --jobs");
    }
    Ok(())
}

fn say_plugins(client: &mut Client) -> Result<()> {
    let listed: wire::Plugins = client.get("/v1/plugins")?;
    let active = listed.plugins.iter().filter(|plugin| plugin.state == "active");
    let names: Vec<String> =
        active.map(|plugin| format!("{} {} ({})", plugin.role, plugin.id, plugin.home)).collect();
    println!("loaded from target/plugins: {}", names.join(", "));
    match listed.plugins.iter().find(|plugin| plugin.role == "allocator" && plugin.state == "active") {
        Some(plugin) if plugin.home != "linked" => Ok(()),
        other => bail!("the allocator was not loaded from a library: {other:?}"),
    }
}

/// Another allocator decides from here on; nobody notices.
fn swap(client: &mut Client) -> Result<String> {
    let body = wire::StrategyBody { plugin: "worst-fit".into() };
    let now: wire::Strategies = client.send("PUT", "/v1/strategies/allocator", &body, None)?;
    let allocator =
        now.strategies.iter().find(|strategy| strategy.role == "allocator").context("an allocator")?;
    let (plugin, home) = (&allocator.plugin, &allocator.home);
    Ok(format!("* on stage: the allocator is swapped: {plugin} ({home}) decides from here on"))
}

/// The daemon is killed without warning; the work goes on, and the next one has the same leases.
fn kill_and_return(daemon: &mut Daemon) -> Result<String> {
    let held = |client: &mut Client| -> Result<Vec<(u64, Option<u64>)>> {
        let listed: wire::Claims = client.get("/v1/claims")?;
        let held = listed.claims.into_iter().filter(|claim| claim.phase == "held" && !claim.pids.is_empty());
        Ok(held.map(|claim| (claim.id, claim.fence)).collect())
    };
    let before = held(&mut daemon.client())?;
    let away = daemon.kill_and_restart()?;
    let listed: wire::Claims = daemon.client().get("/v1/claims")?;
    let mut kept = 0;
    for (id, fence) in &before {
        let claim = listed
            .claims
            .iter()
            .find(|claim| claim.id == *id)
            .with_context(|| format!("claim {id} is lost"))?;
        if claim.fence != *fence {
            bail!("claim {id} has fence {:?} after the restart, and had {fence:?}", claim.fence);
        }
        kept += 1;
    }
    Ok(format!(
        "* on stage: kill -9 to the daemon; back after {} ms with the same leases and fences: {kept} of {}",
        away.as_millis(),
        before.len()
    ))
}

/// Waits until nothing is held any more.
fn settle(client: &mut Client) -> Result<()> {
    let since = Instant::now();
    loop {
        let listed: wire::Claims = client.get("/v1/claims")?;
        let live = listed.claims.iter().filter(|claim| claim.phase != "closed").count();
        if live == 0 {
            return Ok(());
        }
        if since.elapsed() > Duration::from_secs(20) {
            bail!("{live} claims are still there");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
