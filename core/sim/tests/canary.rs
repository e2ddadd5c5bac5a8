//! Planted bugs, let loose one by one: each must be caught by the law that is named for it, within so many
//! worlds. Without `--cfg canary` there is nothing here to run: `cargo xtask canaries` builds it so.
#![cfg(canary)]
mod strategies;

use bursar_interface::canary::let_loose;
use bursar_sim::{
    Broken, Law,
    settle::{plugins, settle_under},
    world::World,
};
use strategies::strategies;

/// Worlds in which a bug must show.
const WORLDS: u64 = 3000;
/// Worlds that must be clean without any.
const CLEAN: u64 = 40;

/// Every planted bug, and the law that catches it.
const CANARIES: &[(&str, Law)] = &[
    ("a closed node is given", Law::Drain),
    ("another pool than was named is given", Law::Place),
    ("one above the limit is given", Law::Limit),
    ("the parent is not charged", Law::Balance),
    ("what is not lent is lent", Law::Lend),
    ("the bound on borrowing is ignored", Law::Limit),
    ("who settles twice is charged twice", Law::Budget),
    ("who settles twice is refunded twice", Law::Budget),
    ("the scope gets nothing back", Law::Balance),
    ("an unknown outcome is free", Law::Budget),
    ("what flowed back is charged again", Law::Budget),
    ("a settled lease hands out its slice", Law::Budget),
    ("a lease shrinks below what was spent within", Law::Budget),
    ("a resize forgets what was spent within", Law::Budget),
    ("what others spent is given back", Law::Budget),
    ("a budget is back early", Law::Budget),
    ("a rate flows back too fast", Law::Budget),
    ("the burst is one larger", Law::Budget),
    ("a shrunken pool offers what it had", Law::Overcommit),
    ("another fence is kept than is told", Law::Owner),
    ("a process needs no proof", Law::Proof),
    ("what is quarantined is held", Law::Balance),
    ("the fence does not rise", Law::Fence),
    ("the epoch is the last one", Law::Fence),
    ("a lease outlives its time", Law::Time),
    ("what strategies saw is not outdone", Law::Wait),
    ("any fence will do", Law::Stale),
    ("a lease that ended is renewed", Law::Stale),
    ("a renewal does what no event tells", Law::Fold),
    ("who is refused hears nothing", Law::Answer),
    ("what never fits waits", Law::Honest),
    ("the key is forgotten", Law::Once),
    ("what came back wakes nobody", Law::Wait),
    ("room in a ledger wakes nobody", Law::Wait),
    ("everybody passes the head", Law::Overtake),
    ("a restart forgets when leases end", Law::Time),
    ("every restart gives a grace", Law::Time),
    ("the index is never renewed", Law::Wait),
    ("the last batch is lost", Law::Durable),
    ("the last moments of a wait are nobody's", Law::Blame),
    ("who came later is charged for who came before", Law::Blame),
    ("one more holds a pool than may", Law::Overcommit),
    ("holders are charged for what nobody is named for", Law::Blame),
    ("who closes a circle waits", Law::Circle),
    ("two of a circle are refused", Law::Circle),
    ("nobody inherits", Law::Heir),
    ("who inherited keeps it", Law::Heir),
    ("a lease is measured twice", Law::Measure),
];

/// The same for taking back: states that come to rest. The breaker of loops is not to be forestalled by those who
/// see that the turn before it was wrong already.
const SETTLING: &[(&str, Law)] = &[
    ("a band takes from its own", Law::Right),
    ("a guarantee is cut into", Law::Guarantee),
    ("a young lease is taken from", Law::Age),
    ("what is freed is anybody's", Law::Kept),
    ("who stands behind takes back", Law::Turns),
];

#[test]
fn every_canary_is_caught_by_its_law() {
    let mut missed = Vec::new();
    for &(name, law) in CANARIES {
        missed.extend(missed_by(name, law, |seed| World::new(seed, strategies()).run().err()));
    }
    for &(name, law) in SETTLING {
        let laws: &[Law] = if law == Law::Turns { &[Law::Turns] } else { &[] };
        missed.extend(missed_by(name, law, |seed| rest(seed, laws)));
    }
    let_loose("");
    for seed in 1..=CLEAN {
        let broken = World::new(seed, strategies()).run().err();
        if let Some(broken) = broken.or_else(|| rest(seed, &[])) {
            missed.push(format!("no canary: world {seed}: {broken}"));
        }
    }
    let all = CANARIES.len() + SETTLING.len();
    println!("canaries: {} of {all} caught", all - missed.len().min(all));
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// What goes wrong while a state comes to rest.
fn rest(seed: u64, laws: &[Law]) -> Option<Broken> {
    settle_under(seed, laws, &mut plugins(strategies()).expect("best-fit and class")).err()
}

/// Lets a bug loose; says so if its law does not notice it.
fn missed_by(name: &'static str, law: Law, mut run: impl FnMut(u64) -> Option<Broken>) -> Option<String> {
    let_loose(name);
    let worlds = || (1..=WORLDS).find_map(|seed| Some((seed, run(seed)?)));
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(worlds)) {
        Err(_) => Some(format!("{name}: a panic, and not {}", law.name())),
        Ok(Some((seed, broken))) if broken.law == law => {
            println!("caught: {name}: {} in world {seed}", law.name());
            None
        }
        Ok(Some((seed, broken))) => Some(format!("{name}: not {}: world {seed}: {broken}", law.name())),
        Ok(None) => Some(format!("{name}: no law noticed it in {WORLDS} worlds")),
    }
}
