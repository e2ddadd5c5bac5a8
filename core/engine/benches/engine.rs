//! Goals 1, 12 and 15 of the engine alone. Pace: ask + release of four lines with a deadline, one
//! thread, linked strategy, against the least that any gate can do (check, reserve and release of four
//! counters under a mutex) and a semaphore that has one shape and no policy. Interleaved rounds in one
//! run; ratios of medians, beside the ratios of the machine on which the goals were set.
#[path = "../tests/plain/mod.rs"]
mod plain;

use bursar_engine::{Engine, Plugins};
use bursar_interface::*;
use plain::{ask_of_four, fleet, inputs, plugins};
use std::{hint::black_box, sync::Mutex, time::Instant};

const ROUNDS: usize = 7;
const BATCH: usize = 256;
const LIVE: usize = 100_000;
const PAIRS: usize = 40 * BATCH;

fn main() {
    pace();
    memory();
    recovery();
}

/// Goal 1, and that it does not fall with what is alive.
fn pace() {
    let mut engines = [world(1), world(LIVE)];
    let mut at = 1;
    let mut rates = vec![Vec::new(); engines.len() + 2];
    for _ in 0..ROUNDS {
        for (i, (engine, plugins)) in engines.iter_mut().enumerate() {
            rates[i].push(rate(|| pairs(engine, plugins, &mut at)));
        }
        rates[2].push(rate(four_counters));
        rates[3].push(rate(semaphore));
    }
    let medians: Vec<f64> = rates.iter_mut().map(|rates| median(rates)).collect();
    let names = [
        "engine, 1 live claim",
        "engine, 100,000 live claims",
        "limit: four counters, one mutex",
        "peer: tokio semaphore",
    ];
    for ((name, median), all) in names.iter().zip(&medians).zip(&rates) {
        let (least, most) = (all[0] / 1e6, all[all.len() - 1] / 1e6);
        println!("{name:34} {:>9.3} M pairs/s  [{least:.3} .. {most:.3}]", median / 1e6);
    }
    println!(
        "goal 1: {:.3} M pairs/s; ÷ limit = {:.4} (goal 3 ÷ 90 = 0.033); \
         100,000 live ÷ 1 live = {:.2} (goal ≥ 0.5)",
        medians[0] / 1e6,
        medians[0] / medians[2],
        medians[1] / medians[0],
    );
}

/// Goal 12: what a live claim of four lines takes, everything in the engine counted.
fn memory() {
    let mut kept = None;
    let counted = allocation_counter::measure(|| kept = Some(world(LIVE)));
    println!("goal 12: {} B a live claim of four lines (goal ≤ 512)", counted.bytes_current / LIVE as i64);
}

/// Goal 15, the engine's part: how fast recorded batches are folded.
fn recovery() {
    let (mut engine, mut plugins) = world(1);
    let setup = engine.clone();
    let mut batches = Vec::new();
    for at in 0..(PAIRS / BATCH) as u64 {
        let batch = engine.step(Time(at + 2), inputs((0..BATCH).map(|_| ask())), &mut plugins);
        let releases: Vec<Command> = batch.events.iter().filter_map(released).collect();
        batches.push(batch);
        batches.push(engine.step(Time(at + 2), inputs(releases), &mut plugins));
    }
    let events: usize = batches.iter().map(|batch| batch.events.len()).sum();
    let mut rates: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let mut follower = setup.clone();
            let start = Instant::now();
            batches.iter().for_each(|batch| follower.fold(batch));
            let spent = start.elapsed().as_secs_f64();
            assert_eq!(follower.digest(), engine.digest());
            events as f64 / spent
        })
        .collect();
    println!(
        "goal 15: {:.2} M events/s folded (goal ≥ 1 M/s, the journal's part is in its own bench)",
        median(&mut rates) / 1e6
    );
}

fn median(rates: &mut [f64]) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

fn rate(run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    PAIRS as f64 / start.elapsed().as_secs_f64()
}

fn world(live: usize) -> (Engine, Plugins) {
    let mut engine = Engine::new();
    let mut plugins = plugins();
    engine.step(Time(1), inputs(fleet()), &mut plugins);
    for _ in 1..live {
        engine.step(Time(1), inputs([ask()]), &mut plugins);
    }
    (engine, plugins)
}

fn ask() -> Command {
    Command::Ask(ask_of_four())
}

/// Both batches are used again, as whoever drives the engine in process would.
fn pairs(engine: &mut Engine, plugins: &mut Plugins, at: &mut u64) {
    let mut asks = Batch { inputs: inputs((0..BATCH).map(|_| ask())), ..Batch::default() };
    let mut releases = Batch { inputs: inputs((0..BATCH).map(|_| Command::Tick)), ..Batch::default() };
    for _ in 0..PAIRS / BATCH {
        *at += 1;
        engine.advance(Time(*at), &mut asks, plugins);
        let granted = asks.events.iter().filter_map(released);
        let given_back = releases.inputs.iter_mut().zip(granted).map(|(input, release)| input.body = release);
        assert_eq!(given_back.count(), BATCH);
        engine.advance(Time(*at), black_box(&mut releases), plugins);
    }
}

fn released(event: &Event) -> Option<Command> {
    match event.what {
        What::Granted { claim, fence, .. } => Some(Command::Release { claim, fence }),
        _ => None,
    }
}

fn four_counters() {
    let free = Mutex::new([1u64 << 40; 4]);
    for _ in 0..PAIRS {
        let mut held = free.lock().expect("nobody panics here");
        if black_box(&*held).iter().all(|&free| free >= 3) {
            held.iter_mut().for_each(|free| *free -= 3);
        }
        drop(held);
        free.lock().expect("nobody panics here").iter_mut().for_each(|free| *free += 3);
    }
}

fn semaphore() {
    let semaphore = tokio::sync::Semaphore::new(1 << 20);
    for _ in 0..PAIRS {
        drop(black_box(semaphore.try_acquire().expect("there is room")));
    }
}
