//! Everything that must hold before a change lands, in named lanes; and all tests.
use crate::{
    agents, canaries, contract, cover, instructions, layers, plugins, promises, sim, soak, step, tidy,
};
use anyhow::Result;
use clap::ValueEnum;
use std::time::Instant;

/// Packages whose tests need the real system: processes, sockets, control groups, libraries.
const SYSTEM: [&str; 5] = ["bursar", "bursar-enforce", "bursar-journal", "bursar-loader", "bursar-api"];
/// Debian packages, and programs of their names, that some tests drive others with.
const TOOLS: [&str; 2] = ["strace", "faketime"];
/// Worlds that each change is tried in.
const SEEDS: u64 = 5000;
/// The slow lane's load, in minutes.
const SOAK_MINUTES: f64 = 10.0;
/// The slow lane's simulated worlds, in minutes.
const SIM_MINUTES: f64 = 30.0;

/// A part of `cargo xtask ci`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Lane {
    /// Formatting, lints, arrows, tidiness, licences, and tests that need nothing but the processor
    Layers,
    /// Tests on real processes, sockets, control groups and libraries
    System,
    /// The simulated world, and the instructions that a decision takes
    Simulation,
    /// Planted bugs, each of which its law must catch
    Canaries,
    /// The official conformance suite and inspector of the protocol that agents speak
    Agents,
    /// The HTTP API against its own description, by schemathesis
    Contract,
    /// Coverage of the core by its own tests
    Coverage,
    /// What takes long and is not part of every change: ten minutes of load, tests that wait for half a minute,
    /// half an hour of simulated worlds
    Slow,
}

/// Runs one lane, or all of them and then all tests.
///
/// # Errors
/// The first step that fails.
pub fn run(lane: Option<Lane>) -> Result<()> {
    // Coverage takes a build of its own, and says more about tests than about a change: it is asked for by name.
    let all = [Lane::Layers, Lane::Simulation, Lane::Canaries, Lane::Agents, Lane::Contract];
    match lane {
        Some(Lane::Layers) => timed(Lane::Layers).and_then(|()| alone()),
        Some(lane) => timed(lane),
        None => {
            all.into_iter().try_for_each(timed)?;
            eprintln!("── lane System, with all other tests");
            // Last, so that the runner's own summary is the last line.
            test()
        }
    }
}

fn timed(lane: Lane) -> Result<()> {
    let since = Instant::now();
    eprintln!("── lane {lane:?}");
    match lane {
        Lane::Layers => {
            step::run(step::cargo(&["fmt", "--all", "--check"]))?;
            step::run(step::cargo(&[
                "clippy",
                "--workspace",
                "--all-targets",
                "--quiet",
                "--",
                "-D",
                "warnings",
            ]))?;
            layers::run()?;
            tidy::run()?;
            promises::run()?;
            deny()?;
        }
        Lane::System => {
            tools();
            plugins::build(true)?;
            let packages: Vec<&str> = SYSTEM.iter().flat_map(|package| ["--package", package]).collect();
            runner(&packages)?;
        }
        Lane::Simulation => {
            sim::run(1, sim::Length::Seeds(SEEDS))?;
            instructions::run(false)?;
        }
        Lane::Canaries => canaries::run()?,
        Lane::Agents => agents::run()?,
        Lane::Contract => contract::run()?,
        Lane::Coverage => cover::run(cover::Tests::Core)?,
        Lane::Slow => slow()?,
    }
    eprintln!("── lane {lane:?}: {:.0} s", since.elapsed().as_secs_f64());
    Ok(())
}

/// The tests that need nothing but the processor: with all lanes they come with all others.
fn alone() -> Result<()> {
    let excluded: Vec<&str> = SYSTEM.iter().flat_map(|package| ["--exclude", package]).collect();
    runner(&[&["--workspace"], &excluded[..]].concat())
}

/// What is too long for every change.
fn slow() -> Result<()> {
    tools();
    plugins::build(true)?;
    step::run(step::cargo(&["test", "--package", "bursar", "--test", "it", "--", "--ignored"]))?;
    soak::run(SOAK_MINUTES)?;
    sim::run(SEEDS, sim::Length::Minutes(SIM_MINUTES))
}

/// Licences and sources of what we depend on, where the tool for it is installed.
fn deny() -> Result<()> {
    match step::has("cargo", &["deny", "--version"]) {
        true => step::run(step::cargo(&["deny", "check", "bans", "licenses", "sources"])),
        false => {
            eprintln!("skipped: cargo-deny is not installed");
            Ok(())
        }
    }
}

/// Installs what some tests drive others with; without it they say that they are skipped.
fn tools() {
    let missing: Vec<&str> = TOOLS.into_iter().filter(|tool| !step::has(tool, &["--version"])).collect();
    if missing.is_empty() {
        return;
    }
    let install = [&["install", "--yes", "--quiet", "--no-install-recommends"], &missing[..]].concat();
    let installed = step::run(step::command("apt-get", &["update", "--quiet"]))
        .and_then(|()| step::run(step::command("apt-get", &install)));
    if let Err(error) = installed {
        eprintln!("{} cannot be installed: {error:#}", missing.join(" and "));
    }
}

/// All tests, the examples of the documentation included.
///
/// # Errors
/// When one fails.
pub fn test() -> Result<()> {
    tools();
    plugins::build(true)?;
    step::run(step::cargo(&["test", "--workspace", "--doc", "--quiet"]))?;
    runner(&["--workspace"])
}

/// The test runner: nextest where it is installed, else cargo's own.
pub fn runner(args: &[&str]) -> Result<()> {
    let start: &[&str] = if step::has("cargo-nextest", &["nextest", "--version"]) {
        &["nextest", "run", "--no-fail-fast"]
    } else {
        &["test", "--no-fail-fast", "--lib", "--bins", "--examples", "--tests"]
    };
    step::run(step::cargo(&[start, args].concat()))
}
