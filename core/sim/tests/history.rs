//! The checker of histories checked: what a correct service shows passes, and what a wrong one shows does not.
mod witness;

use bursar_sim::{
    Random,
    history::{self, Broken},
};
use std::collections::BTreeMap;
use witness::{CAPACITIES, WRONGS};

/// Histories of each sort.
const HISTORIES: u64 = 10_000;

#[test]
fn what_a_correct_service_shows_passes() {
    let mut kinds: BTreeMap<String, u32> = BTreeMap::new();
    for seed in 0..HISTORIES {
        let clients = 2 + seed as usize % 15;
        let mut ops = witness::history(seed, 40 + seed as usize % 160, clients).ops;
        // Lines may stand in any order.
        Random::new(seed).shuffle(&mut ops);
        if let Err(broken) = history::check(&CAPACITIES, &ops) {
            panic!("seed {seed}: {broken}\n{:?}", ops[broken.op]);
        }
        for op in &ops {
            let heard = if op.t_return.is_some() { "heard" } else { "not heard" };
            *kinds.entry(format!("{:?} {:?} {heard}", op.kind, op.outcome)).or_default() += 1;
        }
    }
    // Everything that can come of an operation came of many.
    assert!(kinds.len() == 26 && kinds.values().all(|count| *count > 100), "too tame: {kinds:#?}");
}

#[test]
fn what_a_wrong_service_shows_does_not_pass() {
    let mut caught: BTreeMap<&str, BTreeMap<String, u32>> = BTreeMap::new();
    let (mut tried, mut seed) = (0, 0);
    while tried < HISTORIES {
        seed += 1;
        let (name, wrong) = WRONGS[seed as usize % WRONGS.len()];
        let seen = witness::history(seed, 60 + seed as usize % 140, 2 + seed as usize % 15);
        let Some(ops) = wrong(&seen, &mut Random::new(seed)) else { continue };
        tried += 1;
        match history::check(&CAPACITIES, &ops) {
            Ok(()) => panic!("seed {seed}: {name} passes"),
            Err(Broken { law, .. }) => {
                *caught.entry(name).or_default().entry(format!("{law:?}")).or_default() += 1;
            }
        }
    }
    eprintln!("{caught:#?}");
    assert!(caught.len() == WRONGS.len() && caught.values().all(|laws| laws.values().sum::<u32>() > 300));
}
