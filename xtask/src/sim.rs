//! The simulated world, from seed to seed, until one breaks a law.
use anyhow::{Result, bail};
use bursar_builtin as _;
use bursar_sdk::{Config, Make};
use bursar_sim::world::{Cover, Fault, Strategies, VERBS, World, impossible};
use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Instant,
};

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
    let since = Instant::now();
    let next = AtomicU64::new(0);
    let seed = || {
        let goes_on = match length {
            Length::Seeds(most) => next.load(Ordering::Relaxed) < most,
            Length::Minutes(most) => since.elapsed().as_secs_f64() < most * 60.0,
        };
        let seed = next.fetch_add(u64::from(goes_on), Ordering::Relaxed);
        let within = !matches!(length, Length::Seeds(most) if seed >= most);
        (goes_on && within).then_some(first + seed)
    };
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let done = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..workers).map(|_| scope.spawn(|| work(seed))).collect();
        workers.into_iter().map(|worker| worker.join()).collect::<Vec<_>>()
    });
    let (mut seeds, mut events, mut cover) = (0, 0, Cover::default());
    for done in done {
        let Ok(done) = done else { bail!("a world panicked") };
        let done = done?;
        seeds += done.0;
        events += done.1;
        cover.add(&done.2);
    }
    let took = since.elapsed().as_secs_f64();
    println!(
        "sim: {seeds} seeds from {first}, {} events each, {:.1} seeds/s",
        events.checked_div(seeds).unwrap_or(0),
        seeds as f64 / took
    );
    tell(&cover, seeds)
}

/// Lives through worlds for as long as there is a seed for one; how many, their events, and what met what.
fn work(seed: impl Fn() -> Option<u64>) -> Result<(u64, u64, Cover)> {
    let (mut seeds, mut events, mut cover) = (0, 0, Cover::default());
    while let Some(seed) = seed() {
        seeds += 1;
        match World::new(seed, strategies()).run() {
            Ok(report) => {
                events += report.events;
                cover.add(&report.cover);
            }
            Err(broken) => {
                bail!("seed {seed}: {broken}\nrepeat it with: cargo xtask sim --seed {seed}")
            }
        }
    }
    Ok((seeds, events, cover))
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
