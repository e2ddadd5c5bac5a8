//! Planted bugs, let loose one by one: each must be caught by the law that is named for it, within so many
//! worlds. Without `--cfg canary` there is nothing here to run: `cargo xtask canaries` builds it so.
#![cfg(canary)]
mod strategies;

use bursar_interface::canary::let_loose;
use bursar_sim::{Law, world::World};
use strategies::strategies;

/// Worlds in which a bug must show.
const WORLDS: u64 = 3000;
/// Worlds that must be clean without any.
const CLEAN: u64 = 40;

/// Every planted bug, and the law that catches it.
const CANARIES: &[(&str, Law)] = &[
    ("a closed node is given", Law::Place),
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
    ("who was behind the last head is forgotten", Law::Wait),
    ("a restart forgets when leases end", Law::Time),
    ("the index is never renewed", Law::Wait),
    ("the last batch is lost", Law::Durable),
    ("who closes a circle waits", Law::Circle),
    ("two of a circle are refused", Law::Circle),
    ("nobody inherits", Law::Heir),
    ("who inherited keeps it", Law::Heir),
];

#[test]
fn every_canary_is_caught_by_its_law() {
    let mut missed = Vec::new();
    for &(name, law) in CANARIES {
        let_loose(name);
        let worlds =
            || (1..=WORLDS).find_map(|seed| Some((seed, World::new(seed, strategies()).run().err()?)));
        let Ok(broken) = std::panic::catch_unwind(worlds) else {
            missed.push(format!("{name}: a panic, and not {}", law.name()));
            continue;
        };
        match broken {
            Some((seed, broken)) if broken.law == law => {
                println!("caught: {name}: {} in world {seed}", law.name());
            }
            Some((seed, broken)) => {
                missed.push(format!("{name}: not {}: world {seed}: {broken}", law.name()))
            }
            None => missed.push(format!("{name}: no law noticed it in {WORLDS} worlds")),
        }
    }
    let_loose("");
    for seed in 1..=CLEAN {
        if let Err(broken) = World::new(seed, strategies()).run() {
            missed.push(format!("no canary: world {seed}: {broken}"));
        }
    }
    println!("canaries: {} of {} caught", CANARIES.len() - missed.len().min(CANARIES.len()), CANARIES.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}
