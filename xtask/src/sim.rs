//! The simulated world, from seed to seed, until one breaks a law.
use anyhow::{Result, bail};
use bursar_builtin as _;
use bursar_sdk::{Config, Make};
use bursar_sim::world::{Cover, Fault, Strategies, VERBS, World, impossible};
use std::time::Instant;

/// Seeds from which on every cell of fault x operation must have been hit.
const COVERED_FROM: u64 = 2000;

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
    let mut cover = Cover::default();
    while match length {
        Length::Seeds(most) => seeds < most,
        Length::Minutes(most) => since.elapsed().as_secs_f64() < most * 60.0,
    } {
        let seed = first + seeds;
        seeds += 1;
        match World::new(seed, strategies()).run() {
            Ok(report) => {
                events += report.events;
                cover.add(&report.cover);
            }
            Err(broken) => {
                bail!("seed {seed}: {broken}\nrepeat it with: cargo xtask sim --seed {seed} --seeds 1")
            }
        }
    }
    let took = since.elapsed().as_secs_f64();
    println!(
        "sim: {seeds} seeds from {first}, {} events each, {:.1} seeds/s",
        events.checked_div(seeds).unwrap_or(0),
        seeds as f64 / took
    );
    tell(&cover, seeds)
}

/// Prints which fault met which operation; with enough seeds, a cell that was not hit is a failure.
fn tell(cover: &Cover, seeds: u64) -> Result<()> {
    for &fault in Fault::ALL {
        let counts: Vec<String> = VERBS
            .iter()
            .enumerate()
            .map(|(verb, word)| match impossible(fault, verb) {
                Some(_) => format!("{word} -"),
                None => format!("{word} {}", cover.count(fault, verb)),
            })
            .collect();
        println!("  {:<18} {}", fault.word(), counts.join(", "));
    }
    let (all, possible) = (Fault::ALL.len() * VERBS.len(), Cover::possible().count());
    let missing: Vec<String> =
        cover.missing().into_iter().map(|(fault, verb)| format!("{} x {verb}", fault.word())).collect();
    println!(
        "sim: {} of {possible} cells of fault x operation were hit; {} more cannot be",
        possible - missing.len(),
        all - possible
    );
    for (reason, cells) in Cover::excluded() {
        println!("  {cells} cells cannot be: {reason}");
    }
    if seeds >= COVERED_FROM && !missing.is_empty() {
        bail!("never tried: {}", missing.join(", "));
    }
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
