//! Whoever waits for what flows back is told the right moment once, and is there at that moment: beside a debt, over
//! several pools, with two lines of one pool, with a gang.
mod plain;

use bursar_engine::Engine;
use bursar_interface::*;
use plain::{inputs, kind, plugins};

const MS: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MS;
const MINUTE: u64 = 60 * SECOND;
/// Steps after which a waiting claim was woken too often.
const WAKES_MAX: usize = 20;

fn step(engine: &mut Engine, at: u64, bodies: Vec<Command>) -> Batch {
    engine.step(Time(at), inputs(bodies), &mut plugins())
}

fn pool(resource: &str, name: &str, capacity: Amount, burst: Amount, period_ns: u64) -> Command {
    let (resource, name) = (resource.to_owned(), name.to_owned());
    let refill = Refill { period_ns, burst, due: Time(0) };
    Command::SetPool(PoolSpec { resource, name, capacity, refill, ..PoolSpec::default() })
}

fn quota(
    scope: &str,
    resource: &str,
    (guaranteed, limit): (Amount, Option<Amount>),
    period_ns: u64,
) -> Command {
    let (scope, resource) = (scope.to_owned(), resource.to_owned());
    let refill = Refill { period_ns, ..Refill::default() };
    Command::SetQuota(QuotaSpec { scope, resource, guaranteed, limit, refill, ..QuotaSpec::default() })
}

/// An engine with a kind of that shape, and what else is set.
fn engine(name: &str, shape: Shape, settings: Vec<Command>) -> Engine {
    let mut engine = Engine::new();
    let start = Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 };
    let first = [kind(name, shape, 0)].into_iter().chain(settings).chain([start]);
    step(&mut engine, 1, first.collect());
    engine
}

/// `kind=N` or `kind:pool=N`, once for each line.
fn lines(words: &str) -> Vec<LineAsk> {
    let line = |word: &str| {
        let (what, amount) = word.split_once('=').expect("a line");
        let (resource, pool) = what.split_once(':').map_or((what, None), |(kind, pool)| (kind, Some(pool)));
        let (resource, pool) = (resource.to_owned(), pool.map(str::to_owned));
        LineAsk { resource, pool, amount: amount.parse().expect("digits"), ..LineAsk::default() }
    };
    words.split_whitespace().map(line).collect()
}

fn ask_for(words: &str, scope: &str, wait_ns: u64) -> Ask {
    Ask { scope: scope.into(), wait_ns, ttl_ns: 1 << 51, lines: lines(words), ..Ask::default() }
}

fn ask(engine: &mut Engine, at: u64, words: &str, scope: &str, wait_ns: u64) -> Batch {
    step(engine, at, vec![Command::Ask(ask_for(words, scope, wait_ns))])
}

fn granted(batch: &Batch) -> Option<(ClaimId, Fence)> {
    batch.events.iter().find_map(|event| match event.what {
        What::Granted { claim, fence, .. } => Some((claim, fence)),
        _ => None,
    })
}

/// What whoever waits was told last in a step.
fn told(batch: &Batch) -> Option<(Reason, u64)> {
    batch.events.iter().rev().find_map(|event| match event.what {
        What::Waiting { reason, retry_at, .. } => Some((reason, retry_at.0)),
        _ => None,
    })
}

fn refused(batch: &Batch) -> Refusal {
    let refused = batch.events.iter().find_map(|event| match &event.what {
        What::Refused(refusal) => Some(refusal.clone()),
        _ => None,
    });
    refused.unwrap_or_else(|| panic!("it is refused: {:?}", batch.events))
}

fn queued(batch: &Batch) -> ClaimId {
    let queued = |event: &Event| match event.what {
        What::Queued { claim, .. } => Some(claim),
        _ => None,
    };
    batch.events.iter().find_map(queued).expect("it was taken")
}

fn take(engine: &mut Engine, at: u64, words: &str, scope: &str) -> (ClaimId, Fence) {
    let batch = ask(engine, at, words, scope, 0);
    granted(&batch).unwrap_or_else(|| panic!("{words} for {scope:?}: {:?}", batch.events))
}

fn settle(engine: &mut Engine, at: u64, (claim, fence): (ClaimId, Fence), resource: &str, amount: Amount) {
    let used = vec![Used { resource: resource.into(), pool: None, amount }];
    step(engine, at, vec![Command::Settle { claim, fence, used }]);
}

/// When somebody is granted though nobody does anything but wake up, and what was told until then.
fn wakes(engine: &mut Engine) -> (Option<u64>, usize) {
    let mut waiting = 0;
    for _ in 0..WAKES_MAX {
        let Some(at) = engine.wake_at() else { return (None, waiting) };
        let batch = step(engine, at.0, vec![]);
        waiting += batch.events.iter().filter(|event| matches!(event.what, What::Waiting { .. })).count();
        if granted(&batch).is_some() {
            return (Some(at.0), waiting);
        }
        if batch.events.iter().any(|event| matches!(event.what, What::Closed { .. })) {
            return (None, waiting);
        }
    }
    panic!("it was woken {WAKES_MAX} times for nothing, and told {waiting} times");
}

/// A claim that waits is told `due`, is granted then and not before, and is told no more than that.
fn comes_at(engine: &mut Engine, at: u64, words: &str, scope: &str, due: u64) {
    assert_eq!(
        told(&ask(engine, at, words, scope, 0)).map(|told| told.1),
        Some(due),
        "{words}: without a wait"
    );
    let batch = ask(engine, at, words, scope, 20 * 24 * 60 * MINUTE);
    assert_eq!(told(&batch).map(|told| told.1), Some(due), "{words}: told");
    let why = engine.explain(queued(&batch)).expect("it waits");
    assert_eq!(why.retry_at, Some(Time(due)), "{words}: explained");
    assert_eq!(wakes(engine), (Some(due), 0), "{words}: when it is granted, and how often it was told anew");
}

#[test]
fn a_rate_that_is_overdrawn_is_told_with_its_debt_and_once() {
    let mut engine = engine("tokens", Shape::Rate, vec![pool("tokens", "k", 60_000, 10_000, MINUTE)]);
    let holder = take(&mut engine, 1, "tokens:k=10000", "");
    settle(&mut engine, 1, holder, "tokens", 60_000);
    // 50,000 beyond the burst come back in 50 s, and one more in a millisecond.
    let due = 1 + 50_001 * MS;
    for words in ["tokens:k=1", "tokens=1"] {
        comes_at(&mut engine.clone(), 1, words, "", due);
    }
    // It is short of the debt as well.
    let batch = ask(&mut engine, 1, "tokens:k=1", "", MINUTE);
    assert_eq!(engine.explain(queued(&batch)).expect("it waits").short[0].by, 50_001);
}

#[test]
fn whoever_is_to_hold_more_of_an_overdrawn_rate_is_told_with_its_debt() {
    let mut engine = engine("tokens", Shape::Rate, vec![pool("tokens", "k", 60_000, 10_000, MINUTE)]);
    let holder = take(&mut engine, 1, "tokens=9000", "");
    let (claim, fence) = take(&mut engine, 1, "tokens=1000", "");
    settle(&mut engine, 1, holder, "tokens", 60_000);
    let to = vec![Size { resource: "tokens".into(), pool: None, amount: 1001 }];
    let refused = refused(&step(&mut engine, 1, vec![Command::Extend { claim, fence, to }]));
    assert_eq!(refused.retry_ns, Some(51_001 * MS), "{refused}");
}

#[test]
fn a_bound_on_a_rate_that_is_overdrawn_is_told_with_its_debt() {
    let settings =
        vec![pool("tokens", "k", 60_000, 10_000, MINUTE), quota("team", "tokens", (0, Some(60)), MINUTE)];
    let mut engine = engine("tokens", Shape::Rate, settings);
    let holder = take(&mut engine, 1, "tokens=60", "team");
    settle(&mut engine, 1, holder, "tokens", 180);
    // 120 beyond its limit and the one that is asked for, one a second.
    comes_at(&mut engine, 1, "tokens=1", "team", 1 + 121 * SECOND);
}

#[test]
fn whoever_is_short_of_an_overdrawn_rate_beside_what_others_are_assured_of_is_told_with_the_debt() {
    let settings = vec![pool("tokens", "k", 60, 24, MINUTE), quota("a", "tokens", (30, None), MINUTE)];
    let mut engine = engine("tokens", Shape::Rate, settings);
    let holder = take(&mut engine, 1, "tokens=24", "c");
    settle(&mut engine, 1, holder, "tokens", 84);
    // After 60 s the pool is even again; by then twelve are kept for `a`, and thirteen take 13 s.
    comes_at(&mut engine, 1, "tokens=1", "c", 1 + 73 * SECOND);
}

#[test]
fn of_several_pools_of_a_rate_the_one_that_has_it_first_wakes_whoever_named_none() {
    let settings = vec![pool("requests", "small", 600, 5, MINUTE), pool("requests", "big", 600, 10, MINUTE)];
    let mut engine = engine("requests", Shape::Rate, settings);
    take(&mut engine, 1, "requests:big=10", "");
    // Of the small one there are never so many at once; in both together there are before there are in one.
    comes_at(&mut engine, 1, "requests=8", "", 1 + 800 * MS);
}

#[test]
fn of_two_pools_of_a_rate_the_quicker_one_wakes() {
    let settings = vec![pool("r", "ra", 60, 10, MINUTE), pool("r", "rb", 600, 10, MINUTE)];
    let mut engine = engine("r", Shape::Rate, settings);
    take(&mut engine, 1, "r:ra=10 r:rb=10", "");
    comes_at(&mut engine, 1, "r=5", "", 1 + 500 * MS);
}

#[test]
fn of_two_budgets_the_one_whose_period_ends_first_wakes() {
    let settings = vec![pool("usd", "day", 10, 0, 24 * 60 * MINUTE), pool("usd", "hour", 10, 0, 60 * MINUTE)];
    let mut engine = engine("usd", Shape::Budget, settings);
    let both = take(&mut engine, 1, "usd:day=10 usd:hour=10", "");
    let used = |pool: &str| Used { resource: "usd".into(), pool: Some(pool.into()), amount: 10 };
    let used = vec![used("day"), used("hour")];
    step(&mut engine, 1, vec![Command::Settle { claim: both.0, fence: both.1, used }]);
    comes_at(&mut engine, 1, "usd=1", "", 1 + 60 * MINUTE);
}

#[test]
fn two_lines_of_one_pool_wake_when_there_is_enough_for_both() {
    for words in ["requests:r=8 requests:r=8", "requests:r=8 requests=8", "requests=8 requests=8"] {
        let settings = vec![pool("requests", "r", 600, 100, MINUTE)];
        let mut engine = engine("requests", Shape::Rate, settings);
        take(&mut engine, 1, "requests=90", "");
        comes_at(&mut engine, 1, words, "", 1 + 600 * MS);
    }
}

#[test]
fn two_lines_that_name_no_pool_wake_when_two_pools_have_one_each() {
    let settings = vec![pool("r", "a", 600, 10, MINUTE), pool("r", "b", 600, 10, MINUTE)];
    let mut engine = engine("r", Shape::Rate, settings);
    take(&mut engine, 1, "r:a=10 r:b=10", "");
    comes_at(&mut engine, 1, "r=8 r=8", "", 1 + 800 * MS);
}

/// Two of a gang ask for so much each of a rate of which ten are left of each pool.
fn gang(settings: Vec<Command>, drain: &str, each: [&str; 2]) -> Option<u64> {
    let mut engine = engine("r", Shape::Rate, settings);
    take(&mut engine, 1, drain, "");
    let member = |words: &str| {
        let gang = Some(Gang { name: "g".into(), size: 2 });
        Command::Ask(Ask { gang, ..ask_for(words, "", 15 * SECOND) })
    };
    step(&mut engine, 1, each.map(member).into());
    wakes(&mut engine).0
}

#[test]
fn a_gang_wakes_when_there_is_enough_for_all_of_it() {
    let two = || vec![pool("r", "a", 600, 100, MINUTE), pool("r", "b", 600, 100, MINUTE)];
    // Sixteen of one pool that was named, while there is plenty of the kind.
    assert_eq!(gang(two(), "r:a=90", ["r:a=8", "r:a=8"]), Some(1 + 600 * MS));
    // Of none by name: one pool has both, or each has one.
    let small = || vec![pool("r", "a", 600, 10, MINUTE), pool("r", "b", 600, 10, MINUTE)];
    assert_eq!(gang(small(), "r:a=10 r:b=10", ["r=8", "r=8"]), Some(1 + 800 * MS));
    let one = || vec![pool("r", "a", 600, 100, MINUTE)];
    assert_eq!(gang(one(), "r=90", ["r=8", "r=8"]), Some(1 + 600 * MS));
}

#[test]
fn a_guarantee_on_a_rate_of_several_pools_is_kept_of_all_of_them_together() {
    let settings = vec![
        pool("tokens", "acct/small", 600, 10, MINUTE),
        pool("tokens", "acct/large", 6000, 1000, MINUTE),
        quota("team", "tokens", (300, None), MINUTE),
    ];
    let mut engine = engine("tokens", Shape::Rate, settings);
    let at = 10 * MINUTE;
    take(&mut engine, at, "tokens:acct/large=500", "other");
    // 435 more are there after 4.35 s: then it is beside the 45 that are kept for the team.
    let batch = ask(&mut engine, at, "tokens:acct/large=900", "other", 12 * SECOND);
    let (reason, due) = told(&batch).unwrap_or_else(|| panic!("it waits: {:?}", batch.events));
    assert_eq!((reason, due), (Reason::RateLimited, at + 4350 * MS));
    assert_eq!(wakes(&mut engine), (Some(due), 0));
    // What is kept is the team's: what flows at its rate while all of the pools fill.
    let mut full = engine.clone();
    let later = at + 20 * MINUTE;
    take(&mut full, later, "tokens:acct/large=960", "other");
    assert!(granted(&ask(&mut full, later, "tokens:acct/small=10", "other", 0)).is_none(), "it is kept");
    take(&mut full, later, "tokens:acct/large=40", "team");
}

#[test]
fn what_is_short_of_a_bound_counts_what_is_held_above_it() {
    let memory =
        PoolSpec { resource: "memory".into(), name: "m".into(), capacity: 8000, ..PoolSpec::default() };
    let settings = vec![Command::SetPool(memory), quota("team", "memory", (0, Some(4000)), 0)];
    let mut engine = engine("memory", Shape::Capacity, settings);
    let (claim, fence) = take(&mut engine, 1, "memory=2000", "team");
    step(&mut engine, 2, vec![quota("team", "memory", (0, Some(1000)), 0)]);
    let batch = ask(&mut engine, 2, "memory=1", "team", MINUTE);
    assert_eq!(engine.explain(queued(&batch)).expect("it waits").short[0].by, 1001);
    let to = vec![Size { resource: "memory".into(), pool: None, amount: 2001 }];
    let batch = step(&mut engine, 3, vec![Command::Extend { claim, fence, to }]);
    let refused = refused(&batch).message;
    assert!(refused.contains("is 1001 pieces short"), "{refused}");
}

#[test]
fn what_is_short_of_a_pool_counts_what_is_held_above_what_it_has() {
    let memory = |capacity| {
        let (resource, name) = ("memory".into(), "m".into());
        Command::SetPool(PoolSpec { resource, name, capacity, ..PoolSpec::default() })
    };
    let mut engine = engine("memory", Shape::Capacity, vec![memory(4000)]);
    take(&mut engine, 1, "memory=2000", "");
    step(&mut engine, 2, vec![memory(1000)]);
    for words in ["memory=1", "memory:m=1"] {
        let batch = ask(&mut engine, 2, words, "", MINUTE);
        assert_eq!(engine.explain(queued(&batch)).expect("it waits").short[0].by, 1001, "{words}");
    }
}
