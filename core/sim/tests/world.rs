//! A few seeds of the world with the strategies that are shipped; `cargo xtask sim` runs many.
mod strategies;

use bursar_sim::world::World;
use strategies::strategies;

#[test]
fn no_law_is_broken_and_everything_happens() {
    let mut sums = [0; 9];
    for seed in 1..=40 {
        let report = World::new(seed, strategies()).run().unwrap_or_else(|law| panic!("seed {seed}: {law}"));
        let seen = [
            report.events,
            report.granted,
            report.refused,
            report.faults,
            report.restarts,
            report.nested,
            report.ganged,
            report.circles,
            report.heirs,
        ];
        sums.iter_mut().zip(seen).for_each(|(sum, seen)| *sum += seen);
    }
    assert!(sums.iter().all(|sum| *sum > 20), "the world is too tame: {sums:?}");
}

#[test]
fn a_seed_is_the_same_world_every_time() {
    let run = || World::new(7, strategies()).run().expect("lawful");
    assert_eq!(run(), run());
}
