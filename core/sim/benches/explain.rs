//! What it takes to tell why a claim waits and with which changes it would be granted now, while 10,000 wait: for
//! claims of any age, for those who have waited longest, and for those who have a choice; beside a copy of the engine,
//! without which nothing can be tried.
use bursar_allocator::fit::FirstFit;
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use bursar_qos::class::ByClass;
use bursar_sim::Random;
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

const WAITING: usize = 10_000;
const SCOPES: u64 = 1_000;
const NODES: u64 = 64;
/// Claims that are looked at, of each sort.
const LOOKS: usize = 200;
const SECOND: u64 = 1_000_000_000;
const LONG: u64 = 1 << 50;
/// The most that one look may take.
const GOAL: Duration = Duration::from_millis(50);

fn plugins() -> Plugins {
    Plugins {
        qos: Seat::linked("class", || Box::new(ByClass) as Box<dyn Qos>),
        allocator: Seat::linked("first-fit", || Box::new(FirstFit::default()) as Box<dyn Allocator>),
    }
}

fn tell(engine: &mut Engine, plugins: &mut Plugins, at: Time, bodies: Vec<Command>) {
    let by = Principal { admin: true, ..Principal::default() };
    let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
    black_box(engine.step(at, inputs, plugins));
}

fn kind(name: &str) -> Command {
    let (name, unit, shape) = (name.into(), "pieces".into(), Shape::Capacity);
    let (min, step, piece, springs, driven) = (1, 1, 0, 0, false);
    Command::SetResource(ResourceSpec { name, shape, unit, min, step, piece, springs, driven })
}

fn fleet() -> Vec<Command> {
    let node = |node: u64| {
        let name = format!("n{node}");
        let pool = |resource: &str, capacity| {
            let (resource, node, name) = (resource.into(), Some(name.clone()), resource.into());
            Command::SetPool(PoolSpec { resource, node, name, capacity, ..PoolSpec::default() })
        };
        let pools = [pool("cpu", 32_000), pool("memory", 1 << 17)];
        let node = Command::SetNode(NodeSpec { name: name.clone(), ..NodeSpec::default() });
        std::iter::once(node).chain(pools).collect::<Vec<_>>()
    };
    [kind("cpu"), kind("memory")].into_iter().chain((0..NODES).flat_map(node)).collect()
}

fn ask(random: &mut Random, ttl_ns: u64) -> Command {
    let line = |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
    let set = |random: &mut Random| {
        vec![line("cpu", 500 * (1 + random.below(32))), line("memory", 1024 * (1 + random.below(32)))]
    };
    let alternatives = if random.chance(1, 10) { vec![set(random), set(random)] } else { Vec::new() };
    let number = random.below(SCOPES);
    let scope = format!("t{}/s{number}", number % 10);
    let expect_ns = if random.chance(1, 2) { SECOND * (60 + random.below(600)) } else { 0 };
    Command::Ask(Ask {
        scope,
        wait_ns: LONG,
        ttl_ns,
        expect_ns,
        lines: set(random),
        alternatives,
        ..Ask::default()
    })
}

/// 10,000 who wait, of whom some have for so long that something is kept for them.
fn crowd(plugins: &mut Plugins) -> Engine {
    let (mut engine, mut random) = (Engine::new(), Random::new(1));
    tell(&mut engine, plugins, Time(SECOND), fleet());
    let mut at = Time(2 * SECOND);
    let waiting = |engine: &Engine| {
        let claims = engine.view().claims;
        (0..claims.len())
            .filter(|&c| claims.id[c] != 0 && engine.books().phase(c as Row) == Phase::Pending)
            .count()
    };
    while waiting(&engine) < WAITING {
        at = at.after(SECOND);
        let asks = (0..250).map(|_| ask(&mut random, LONG / 2)).collect();
        tell(&mut engine, plugins, at, asks);
    }
    engine
}

fn main() {
    let mut plugins = plugins();
    let engine = crowd(&mut plugins);
    let claims = engine.view().claims;
    let pending = |&c: &usize| claims.id[c] != 0 && engine.books().phase(c as Row) == Phase::Pending;
    let mut waiting: Vec<ClaimId> =
        (0..claims.len()).filter(pending).map(|c| ClaimId(claims.id[c])).collect();
    waiting.sort_unstable();
    let choice =
        |claim: &ClaimId| engine.books().claim(*claim).is_some_and(|row| engine.books().sets(row) > 1);
    let any: Vec<ClaimId> = waiting.iter().copied().step_by(waiting.len() / LOOKS).collect();
    let oldest: Vec<ClaimId> = waiting.iter().copied().take(64).collect();
    let choosy: Vec<ClaimId> = waiting.iter().copied().filter(choice).take(LOOKS).collect();
    let since = Instant::now();
    (0..10).for_each(|_| drop(black_box(engine.clone())));
    println!(
        "explain: {} wait, {} live; a copy takes {:.2?}",
        waiting.len(),
        engine.books().live(),
        since.elapsed() / 10
    );
    for (name, claims) in [("any", any), ("oldest", oldest), ("with a choice", choosy)] {
        let look = |claim: &ClaimId| {
            let since = Instant::now();
            black_box(engine.explain_to(*claim, &|_| true));
            let told = since.elapsed();
            let mut trial = engine.trial(*claim).expect("it waits");
            let copied = since.elapsed();
            let changes = trial.changes(&mut plugins).len();
            ([told, copied - told, since.elapsed() - copied, since.elapsed()], changes)
        };
        let looks: Vec<([Duration; 4], usize)> = claims.iter().map(look).collect();
        let at = |which: usize, percent: usize| {
            let mut times: Vec<Duration> = looks.iter().map(|(times, _)| times[which]).collect();
            times.sort_unstable();
            times[(times.len() * percent).div_ceil(100).max(1) - 1]
        };
        let changes: usize = looks.iter().map(|(_, changes)| changes).sum();
        let missed = if at(3, 99) > GOAL { ": MISSED" } else { "" };
        println!(
            "explain: {name}, {} looks, {changes} changes: p50 {:.2?}, p99 {:.2?} (why {:.2?}, copy {:.2?}, changes {:.2?}), goal {GOAL:.0?}{missed}",
            looks.len(),
            at(3, 50),
            at(3, 99),
            at(0, 99),
            at(1, 99),
            at(2, 99)
        );
    }
}
