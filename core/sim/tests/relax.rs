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

fn line(resource: &str, amount: Amount) -> LineAsk {
    LineAsk { resource: resource.into(), amount, ..LineAsk::default() }
}

fn ask(random: &mut Random) -> Ask {
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
    Ask { scope, wait_ns: LONG, ttl_ns: LONG / 2, expect_ns, lines, ..Ask::default() }
}

/// One of several sets of lines, for whoever has a choice.
fn choice(random: &mut Random) -> Ask {
    let sets = 1 + random.below(3);
    let set = |random: &mut Random| {
        vec![line("cpu", 1 + random.below(10)), line("memory", 64 * (1 + random.below(48)))]
    };
    let alternatives = (0..sets).map(|_| set(random)).collect();
    Ask { alternatives, expect_ns: 0, lines: set(random), ..ask(random) }
}

/// One of two who go together, of a team of its own.
fn member(random: &mut Random) -> Ask {
    let gang = random.below(8);
    let lines = vec![line("cpu", 1 + gang % 7), line("memory", 64 * (1 + random.below(32)))];
    let scope = "t2".into();
    let gang = Gang { name: gang.to_string(), size: 2 };
    Ask { gang: random.chance(2, 3).then_some(gang), scope, lines, ..ask(random) }
}

/// One who draws from the first lease that there is.
fn drawn(random: &mut Random) -> Ask {
    let lines = vec![line("cpu", 1 + random.below(5)), line("memory", 64 * (1 + random.below(12)))];
    let within = if random.chance(2, 3) { Within::Lease(ClaimId(1), None) } else { Within::Own };
    Ask { within, lines, scope: "s".into(), ..ask(random) }
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
    let lines = change.set.checked_sub(1).map_or(&was.lines, |set| &was.alternatives[set]);
    let grown = |line: usize| {
        let mut ask = change.ask.clone();
        ask.lines[line].amount += step(&ask.lines[line].resource);
        ask
    };
    let smaller = |line: &usize| change.ask.lines[*line].amount < lines[*line].amount;
    (0..lines.len()).filter(smaller).map(grown).collect()
}

/// Crowds of those who ask for this; how many changes of each kind there were, and of each set.
fn changes(seeds: u64, ask: fn(&mut Random) -> Ask) -> ([u32; 5], [u32; 4]) {
    let (mut told, mut of_set) = ([0; 5], [0; 4]);
    for seed in 0..seeds {
        let mut random = Random::new(seed);
        let mut engine = Engine::new();
        tell(&mut engine, Time(1), fleet());
        // Somebody to draw from.
        let lines = vec![line("cpu", 6), line("memory", 64 * 16)];
        let (scope, ttl_ns) = ("t2".into(), LONG);
        tell(&mut engine, Time(1), vec![Command::Ask(Ask { scope, ttl_ns, lines, ..Ask::default() })]);
        let mut asks = Vec::new();
        let mut at = Time(2);
        for _ in 0..24 {
            at = at.after(if random.chance(1, 4) { RESERVE_AFTER_NS / 2 } else { SECOND });
            let ask = ask(&mut random);
            // One more than a gang has is refused.
            let input = Input { by: Principal::default(), body: Command::Ask(ask.clone()) };
            let batch = engine.step(at, vec![input], &mut plugins());
            let queued = batch.events.iter().find_map(|event| match event.what {
                What::Queued { claim, .. } => Some(claim),
                _ => None,
            });
            asks.extend(queued.map(|claim| (claim, ask)));
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
                of_set[change.set] += 1;
            }
        }
    }
    (told, of_set)
}

#[test]
fn what_is_said_to_be_granted_is_and_one_unit_more_is_not() {
    let (told, _) = changes(100, ask);
    let enough = [Relaxed::Less, Relaxed::AnyPool, Relaxed::Shared, Relaxed::Shorter];
    assert!(enough.iter().all(|how| told[*how as usize] >= 3), "{told:?}");
}

#[test]
fn of_several_sets_each_change_is_one_of_that_set() {
    let (told, of_set) = changes(40, choice);
    assert!(
        told[Relaxed::Less as usize] >= 20 && of_set.iter().all(|&count| count >= 3),
        "{told:?} {of_set:?}"
    );
}

#[test]
fn a_change_of_a_member_lets_the_whole_gang_go() {
    let (told, _) = changes(60, member);
    assert!(told[Relaxed::Less as usize] >= 10, "{told:?}");
}

#[test]
fn a_change_of_what_is_drawn_from_a_lease_fits_into_that() {
    let (told, _) = changes(40, drawn);
    assert!(told[Relaxed::Less as usize] >= 10, "{told:?}");
}
