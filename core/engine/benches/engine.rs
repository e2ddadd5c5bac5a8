//! Goal 1: ask + release of four lines with a deadline, one thread, linked strategy, against the
//! least that any gate can do (check, reserve and release of four counters under a mutex) and a
//! semaphore that has one shape and no policy. Interleaved rounds in one run; ratios of medians.
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use std::{hint::black_box, sync::Mutex, time::Instant};

const ROUNDS: usize = 7;
const BATCH: usize = 256;
const PAIRS: usize = 40 * BATCH;
const KINDS: [&str; 4] = ["cpu", "memory", "pids", "disk"];

/// The first node that takes it, as in the crate's example: the bench is of the engine.
struct FirstFit;
impl Allocator for FirstFit {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        for &claim in queue {
            (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
        }
        Ok(())
    }
}
struct InOrder;
impl Qos for InOrder {
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Ok(())
    }
}

fn main() {
    let mut engines = [(1, world(1)), (100_000, world(100_000))];
    let mut at = 1;
    let mut rates = vec![Vec::new(); engines.len() + 2];
    for _ in 0..ROUNDS {
        for (i, (_, (engine, plugins))) in engines.iter_mut().enumerate() {
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
        println!(
            "{name:34} {:>9.3} M pairs/s  [{:.3} .. {:.3}]",
            median / 1e6,
            all[0] / 1e6,
            all[all.len() - 1] / 1e6
        );
    }
    println!(
        "goal 1: {:.3} M pairs/s (goal 3 M/s); 100,000 live ÷ 1 live = {:.2} (goal ≥ 0.5); ÷ semaphore = {:.3}",
        medians[0] / 1e6,
        medians[1] / medians[0],
        medians[0] / medians[3]
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
    let mut plugins = Plugins {
        qos: Seat::linked("in-order", || Box::new(InOrder) as Box<dyn Qos>),
        allocator: Seat::linked("first-fit", || Box::new(FirstFit) as Box<dyn Allocator>),
    };
    let kind = |name: &str| ResourceSpec {
        name: name.into(),
        shape: Shape::Capacity,
        unit: "pieces".into(),
        min: 1,
        step: 1,
        piece: 0,
        springs: 0,
        driven: false,
    };
    let mut setup = vec![Command::SetNode(NodeSpec { name: "n".into(), ..NodeSpec::default() })];
    setup.extend(KINDS.iter().map(|name| Command::SetResource(kind(name))));
    setup.extend(KINDS.iter().map(|&name| {
        Command::SetPool(PoolSpec {
            resource: name.into(),
            node: Some("n".into()),
            name: name.into(),
            capacity: 1 << 40,
            ..PoolSpec::default()
        })
    }));
    setup.push(Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 });
    engine.step(Time(1), inputs(setup), &mut plugins);
    for _ in 1..live {
        engine.step(Time(1), inputs(vec![ask()]), &mut plugins);
    }
    (engine, plugins)
}

fn inputs(bodies: Vec<Command>) -> Vec<Input> {
    let by = Principal { admin: true, ..Principal::default() };
    bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect()
}

fn ask() -> Command {
    let line = |name: &&str| LineAsk { resource: (*name).into(), amount: 3, ..LineAsk::default() };
    Command::Ask(Ask { ttl_ns: 3_600_000_000_000, lines: KINDS.iter().map(line).collect(), ..Ask::default() })
}

fn pairs(engine: &mut Engine, plugins: &mut Plugins, at: &mut u64) {
    for _ in 0..PAIRS / BATCH {
        *at += 1;
        let batch = engine.step(Time(*at), inputs((0..BATCH).map(|_| ask()).collect()), plugins);
        let granted = batch.events.iter().filter_map(|event| match event.what {
            What::Granted { claim, fence, .. } => Some(Command::Release { claim, fence }),
            _ => None,
        });
        let releases = inputs(granted.collect());
        assert_eq!(releases.len(), BATCH);
        black_box(engine.step(Time(*at), releases, plugins));
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
