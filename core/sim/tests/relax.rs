//! What is said to be granted if one asked for it is granted, and one unit more is not: told on a copy, tried
//! in the engine itself with everybody who waits in it.
use bursar_allocator::fit::FirstFit;
use bursar_engine::{Change, Engine, Plugins, Relaxed, Seat};
use bursar_interface::{bound::RESERVE_AFTER_NS, *};
use bursar_qos::class::ByClass;
use bursar_sim::Random;

const LONG: u64 = 1 << 42;
const SECOND: u64 = 1_000_000_000;

fn plugins() -> Plugins {
    Plugins {
        qos: Seat::linked("class", || Box::new(ByClass) as Box<dyn Qos>),
        allocator: Seat::linked("first-fit", || Box::new(FirstFit::default()) as Box<dyn Allocator>),
    }
}

fn tell(engine: &mut Engine, at: Time, bodies: Vec<Command>) -> Batch {
    let by = Principal { admin: true, ..Principal::default() };
    let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
    let batch = engine.step(at, inputs, &mut plugins());
    let refused = batch.events.iter().find(|event| matches!(event.what, What::Refused(_)));
    assert!(refused.is_none(), "{refused:?}");
    batch
}

fn kind(name: &str, shape: Shape, step: Amount, springs: Amount) -> Command {
    Command::SetResource(ResourceSpec {
        name: name.into(),
        shape,
        unit: "pieces".into(),
        min: step,
        step,
        piece: 0,
        springs,
        driven: false,
    })
}

fn pool(resource: &str, node: Option<&str>, name: &str, capacity: Amount) -> Command {
    let (resource, node, name) = (resource.into(), node.map(str::to_owned), name.into());
    let refill = Refill { period_ns: if resource == "tokens" { LONG } else { 0 }, ..Refill::default() };
    Command::SetPool(PoolSpec { resource, node, name, capacity, refill, ..PoolSpec::default() })
}

/// Two machines, a rate, ports, locks, and two teams of which one is bounded.
fn fleet() -> Vec<Command> {
    let mut told = vec![
        kind("cpu", Shape::Capacity, 1, 0),
        kind("memory", Shape::Capacity, 64, 0),
        kind("tokens", Shape::Rate, 1, 0),
        kind("port", Shape::Unit, 1, 0),
        kind("lock", Shape::Unit, 1, 1 << 20),
    ];
    for node in ["a", "b"] {
        told.push(Command::SetNode(NodeSpec { name: node.into(), ..NodeSpec::default() }));
        told.push(pool("cpu", Some(node), "cpu", 16));
        told.push(pool("memory", Some(node), "memory", 64 * 64));
    }
    told.push(pool("tokens", None, "acct", 1000));
    (1..=3).for_each(|port| told.push(pool("port", None, &port.to_string(), 1)));
    let bounded =
        QuotaSpec { scope: "t1".into(), resource: "cpu".into(), limit: Some(12), ..QuotaSpec::default() };
    told.push(Command::SetQuota(bounded));
    told
}

fn ask(random: &mut Random) -> Command {
    let line = |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
    let mut lines = vec![line("cpu", 1 + random.below(10)), line("memory", 64 * (1 + random.below(48)))];
    if random.chance(1, 3) {
        lines.push(line("tokens", 1 + random.below(400)));
    }
    if random.chance(1, 3) {
        let pool = Some((1 + random.below(3)).to_string());
        lines.push(LineAsk { pool, ..line("port", 1) });
    }
    if random.chance(1, 2) {
        let (pool, whole) = (Some("git".into()), random.chance(1, 2));
        lines.push(LineAsk { pool, whole, ..line("lock", 1) });
    }
    let expect_ns = if random.chance(1, 2) { SECOND * (1 + random.below(600)) } else { 0 };
    let scope = format!("t{}", random.below(3));
    Command::Ask(Ask { scope, wait_ns: LONG, ttl_ns: LONG / 2, expect_ns, lines, ..Ask::default() })
}

/// Whether the change is granted in the place of the claim, in the engine itself.
fn granted(engine: &Engine, at: Time, claim: ClaimId, ask: &Ask) -> bool {
    let mut engine = engine.clone();
    tell(&mut engine, at, vec![Command::Cancel { claim }]);
    (0..64).for_each(|_| drop(tell(&mut engine, at, vec![Command::Tick])));
    let batch = tell(&mut engine, at, vec![Command::Ask(ask.clone())]);
    batch.events.iter().any(|event| event.cause.is_none() && matches!(event.what, What::Granted { .. }))
}

/// The ask with one unit more on a line that was made smaller, for each such line.
fn one_more(was: &Ask, change: &Change) -> Vec<Ask> {
    let step = |resource: &str| if resource == "memory" { 64 } else { 1 };
    let grown = |line: usize| {
        let mut ask = change.ask.clone();
        ask.lines[line].amount += step(&ask.lines[line].resource);
        ask
    };
    let smaller = |line: &usize| change.ask.lines[*line].amount < was.lines[*line].amount;
    (0..was.lines.len()).filter(smaller).map(grown).collect()
}

#[test]
fn what_is_said_to_be_granted_is_and_one_unit_more_is_not() {
    let mut told = [0; 5];
    for seed in 0..150 {
        let mut random = Random::new(seed);
        let mut engine = Engine::new();
        tell(&mut engine, Time(1), fleet());
        let mut asks = Vec::new();
        let mut at = Time(2);
        for _ in 0..24 {
            at = at.after(if random.chance(1, 4) { RESERVE_AFTER_NS / 2 } else { SECOND });
            let body = ask(&mut random);
            let batch = tell(&mut engine, at, vec![body.clone()]);
            let queued = batch.events.iter().find_map(|event| match event.what {
                What::Queued { claim, .. } => Some(claim),
                _ => None,
            });
            if let (Some(claim), Command::Ask(ask)) = (queued, body) {
                asks.push((claim, ask));
            }
        }
        // Everything has been tried that time alone makes worth a try.
        (0..64).for_each(|_| drop(tell(&mut engine, at, vec![Command::Tick])));
        let waits = |claim: ClaimId| {
            engine.books().claim(claim).is_some_and(|row| engine.books().phase(row) == Phase::Pending)
        };
        for (claim, was) in asks.iter().filter(|(claim, _)| waits(*claim)) {
            let mut trial = engine.trial(*claim).expect("it waits");
            for change in trial.changes(&mut plugins()) {
                assert!(granted(&engine, at, *claim, &change.ask), "seed {seed}, {claim}: {change:?}");
                for more in one_more(was, &change) {
                    assert!(
                        !granted(&engine, at, *claim, &more),
                        "seed {seed}, {claim}: {more:?} is granted too"
                    );
                }
                told[change.how as usize] += 1;
            }
        }
    }
    let enough = [Relaxed::Less, Relaxed::AnyPool, Relaxed::Shared, Relaxed::Shorter];
    assert!(enough.iter().all(|how| told[*how as usize] >= 3), "{told:?}");
}
