//! The simulated world, from seed to seed, until one breaks a law.
use anyhow::{Result, bail};
use bursar_builtin as _;
use bursar_sdk::{Config, Make};
use bursar_sim::world::{Strategies, World};
use std::time::Instant;

/// How long to go on.
#[derive(Clone, Copy, Debug)]
pub enum Length {
    /// So many worlds.
    Seeds(u64),
    /// So many minutes.
    Minutes(f64),
}

/// Runs worlds from `first` on.
///
/// # Errors
/// Names the seed that broke a law, and the line that repeats it.
pub fn run(first: u64, length: Length) -> Result<()> {
    let (since, mut events, mut seeds) = (Instant::now(), 0, 0);
    while match length {
        Length::Seeds(most) => seeds < most,
        Length::Minutes(most) => since.elapsed().as_secs_f64() < most * 60.0,
    } {
        let seed = first + seeds;
        seeds += 1;
        match World::new(seed, strategies()).run() {
            Ok(report) => events += report.events,
            Err(broken) => {
                bail!("seed {seed}: {broken}\nrepeat it with: cargo xtask sim --seed {seed} --seeds 1")
            }
        }
    }
    let took = since.elapsed().as_secs_f64();
    println!("sim: {seeds} seeds from {first}, {events} events, {:.1} seeds/s", seeds as f64 / took);
    Ok(())
}

/// Lets random states come to rest, from `first` on.
///
/// # Errors
/// Names the state that did not, or in which somebody's right was broken, and the line that repeats it.
pub fn settle(first: u64, states: u64) -> Result<()> {
    let (since, mut told, mut preempted, mut kept) = (Instant::now(), 0, 0, 0);
    for seed in first..first + states {
        match bursar_sim::settle::settle_with(seed, strategies()) {
            Ok(run) => {
                told += run.told;
                preempted += run.preempted;
                kept += run.kept;
            }
            Err(why) => {
                bail!("state {seed}: {why}\nrepeat it with: cargo xtask sim --seed {seed} --settle 1")
            }
        }
    }
    let took = since.elapsed().as_secs_f64();
    println!(
        "settle: {states} states from {first} came to rest; {told} leases told, {preempted} preempted, {kept} \
         promises kept, no turns; {:.0} states/s",
        states as f64 / took
    );
    Ok(())
}

/// The linked-in strategies, by name, each world with instances of its own.
fn strategies() -> Strategies {
    let mut strategies = Strategies::default();
    for entry in bursar_sdk::linked() {
        match entry.make {
            Make::Allocator(make) => strategies
                .allocators
                .extend(make(&Config::default()).ok().map(|made| (entry.id.into(), made))),
            Make::Qos(make) => {
                strategies.qos.extend(make(&Config::default()).ok().map(|made| (entry.id.into(), made)))
            }
            _ => {}
        }
    }
    // The linker's order is not the same from build to build; a seed's world is.
    strategies.allocators.sort_by(|a, b| a.0.cmp(&b.0));
    strategies.qos.sort_by(|a, b| a.0.cmp(&b.0));
    strategies
}
