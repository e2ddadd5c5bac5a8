//! Rates against the `governor` crate on the same arrivals: every decision, and how long whoever is turned
//! away has to wait. Both are the generic cell rate algorithm; governor keeps a theoretical arrival time in
//! whole nanoseconds per cell, the books a bucket with an exact remainder. So the rates here divide evenly:
//! where they do not, governor's cells come back a fraction of a nanosecond early.
mod plain;

use bursar_engine::{Engine, Plugins};
use bursar_interface::*;
use governor::{Quota, RateLimiter, clock::FakeRelativeClock};
use plain::{inputs, kind, plugins};
use std::{num::NonZeroU32, time::Duration};

/// Arrivals for each rate.
const ARRIVALS: u64 = 20_000;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// SplitMix64, as the simulator has it.
fn next(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (*state ^ *state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ word >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ word >> 31
}

/// An engine with one rate of so many per period, and so many at once.
fn engine(capacity: Amount, period_ns: u64, burst: Amount, plugins: &mut Plugins) -> Engine {
    let refill = Refill { period_ns, burst, due: Time(0) };
    let (resource, name) = ("tokens".into(), "acct".into());
    let pool = PoolSpec { resource, name, capacity, refill, ..PoolSpec::default() };
    let mut engine = Engine::new();
    let start = Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 };
    let first = [kind("tokens", Shape::Rate, 0), Command::SetPool(pool), start];
    engine.step(Time(1), inputs(first), plugins);
    engine
}

/// Whether so many were let pass, and if not after how many nanoseconds they would be.
fn ask(engine: &mut Engine, at: u64, amount: Amount, plugins: &mut Plugins) -> Result<(), u64> {
    let line = LineAsk { resource: "tokens".into(), amount, ..LineAsk::default() };
    let ask = Ask { ttl_ns: SECOND, lines: vec![line], ..Ask::default() };
    let batch = engine.step(Time(at), inputs([Command::Ask(ask)]), plugins);
    for event in &batch.events {
        match event.what {
            What::Granted { claim, fence, .. } => {
                engine.step(Time(at), inputs([Command::Release { claim, fence }]), plugins);
                return Ok(());
            }
            What::Waiting { retry_at, .. } => return Err(retry_at.0 - at),
            _ => {}
        }
    }
    panic!("{amount} tokens at {at}: {:?}", batch.events);
}

#[test]
fn every_decision_and_every_wait_is_that_of_governor() {
    // (tokens, in ns, at once): a cell takes a whole number of nanoseconds in each.
    for (seed, (capacity, period_ns, burst)) in (1u64..).zip([
        (100, 60 * SECOND, 50),
        (1000, SECOND, 1),
        (50_000, 60 * SECOND, 50_000),
        (7, 7 * SECOND, 3),
        (1_000_000, SECOND, 250),
        (3, 3600 * SECOND, 10),
    ]) {
        let cell = period_ns / capacity;
        assert_eq!(cell * capacity, period_ns, "divides evenly");
        let clock = FakeRelativeClock::default();
        let most = NonZeroU32::new(burst as u32).expect("above zero");
        let quota = Quota::with_period(Duration::from_nanos(cell)).expect("a period").allow_burst(most);
        let limiter = RateLimiter::direct_with_clock(quota, clock.clone());
        let mut plugins = plugins();
        let mut engine = engine(capacity, period_ns, burst, &mut plugins);
        let (mut at, mut random, mut passed) = (1, seed, 0);
        for _ in 0..ARRIVALS {
            // A quarter more arrives than there is room for, at every fraction of a cell.
            let amount = 1 + next(&mut random) % burst.div_ceil(4);
            let pause = next(&mut random) % (8 * cell * amount / 5 + 1);
            at += pause;
            clock.advance(Duration::from_nanos(pause));
            let asked = NonZeroU32::new(amount as u32).expect("above zero");
            let theirs = match limiter.check_n(asked).expect("below the burst") {
                Ok(()) => Ok(()),
                Err(not_until) => {
                    Err(not_until.wait_time_from(governor::clock::Clock::now(&clock)).as_nanos() as u64)
                }
            };
            assert_eq!(ask(&mut engine, at, amount, &mut plugins), theirs, "{amount} of {capacity} at {at}");
            passed += u64::from(theirs.is_ok());
        }
        let turned_away = ARRIVALS - passed;
        assert!(passed > ARRIVALS / 10 && turned_away > ARRIVALS / 50, "too tame: {passed} passed");
    }
}
