//! Taking back settles, from any small state, though whoever is preempted asks again at once. The long run is
//! `cargo xtask sim --settle 1000000`.
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Allocator, Qos};
use bursar_sim::settle::{Settled, settle};

/// Random states in the usual run of the tests.
const RUNS: u64 = 10_000;

fn plugins() -> Plugins {
    Plugins {
        allocator: Seat::linked("best-fit", || {
            Box::<bursar_allocator::fit::BestFit>::default() as Box<dyn Allocator>
        }),
        qos: Seat::linked("class", || Box::<bursar_qos::class::ByClass>::default() as Box<dyn Qos>),
    }
}

#[test]
fn every_state_comes_to_rest_and_no_guarantee_is_cut_into() {
    let mut sum = Settled::default();
    for seed in 1..=RUNS {
        let run = settle(seed, &mut plugins()).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
        sum.add(&run);
    }
    eprintln!("{sum:?}");
    assert!(
        sum.lent > RUNS / 20 && sum.preempted > sum.lent && sum.spared > 0 && sum.kept > RUNS / 10,
        "{sum:?}"
    );
    assert!(sum.shrunk > RUNS / 50 && sum.suspended > RUNS / 50 && sum.resumed > RUNS / 100, "{sum:?}");
}
