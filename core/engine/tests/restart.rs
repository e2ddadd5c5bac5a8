//! A daemon that goes and comes back: whoever could not renew meanwhile gets one grace, and nobody a second one
//! without a renewal.
mod plain;

use bursar_engine::{Engine, Plugins};
use bursar_interface::*;
use plain::{inputs, kind, plugins};

/// Nanoseconds in a second, and in a tenth of one.
const SECOND: u64 = 1_000_000_000;
const TENTH: u64 = SECOND / 10;

/// An engine that is folded into another one at each step, and whose daemon may be started anew.
struct World {
    engine: Engine,
    copy: Engine,
    plugins: Plugins,
    epoch: u64,
}

impl World {
    fn new() -> World {
        let (engine, copy) = (Engine::new(), Engine::new());
        let mut world = World { engine, copy, plugins: plugins(), epoch: 0 };
        world.tell(SECOND, vec![kind("lock", Shape::Unit, 8)]);
        world.start(SECOND);
        world
    }

    fn tell(&mut self, at_ns: u64, bodies: Vec<Command>) -> Vec<What> {
        let batch = self.engine.step(Time(at_ns), inputs(bodies), &mut self.plugins);
        self.copy.fold(&batch);
        assert_eq!(self.engine.digest(), self.copy.digest(), "the fold is the state");
        batch.events.into_iter().map(|event| event.what).collect()
    }

    /// The daemon died some time ago, and is there again.
    fn start(&mut self, at_ns: u64) {
        self.epoch += 1;
        let written = postcard::to_stdvec(&self.engine).expect("a state can be written down");
        self.engine = postcard::from_bytes::<Engine>(&written).expect("and read").resume();
        self.tell(at_ns, vec![Command::Start { epoch: self.epoch, boot: "b".into(), boottime_ns: at_ns }]);
    }

    /// Holds a lock of its own for so long.
    fn claim(&mut self, at_ns: u64, ttl_ns: u64, within: Within) -> (ClaimId, Fence) {
        let pool = Some(format!("l{}", self.engine.next_seq()));
        let lines = vec![LineAsk { resource: "lock".into(), amount: 1, pool, ..LineAsk::default() }];
        let told = self.tell(at_ns, vec![Command::Ask(Ask { ttl_ns, lines, within, ..Ask::default() })]);
        let granted = told.into_iter().find_map(|what| match what {
            What::Granted { claim, fence, .. } => Some((claim, fence)),
            _ => None,
        });
        granted.expect("locks are free")
    }

    fn end_of(&self, claim: ClaimId) -> Option<u64> {
        let row = self.engine.books().claim(claim)?;
        Some(self.engine.lease_end(row).0)
    }
}

#[test]
fn restart_after_restart_a_lease_gets_one_grace() {
    for (ttl_ns, up_ns, away_ns) in [
        // Away for moments, and for longer than the whole lease.
        (3 * SECOND, 2 * SECOND, TENTH),
        (3 * SECOND, TENTH, TENTH),
        (3 * SECOND, SECOND, SECOND),
        (3 * SECOND, TENTH, SECOND),
        (3600 * SECOND, 5 * SECOND, SECOND),
        (SECOND, 5 * TENTH, 4 * SECOND),
    ] {
        let (mut world, begin) = (World::new(), 10 * SECOND);
        let (claim, _) = world.claim(begin, ttl_ns, Within::Own);
        let (end, grace) = (begin + ttl_ns, ttl_ns.min(30 * SECOND));
        let (mut at, mut first_after) = (begin, None);
        let ended = loop {
            world.tell(at + up_ns, vec![Command::Tick]);
            let Some(until) = world.end_of(claim) else { break at + up_ns };
            assert!(until >= end, "ttl {ttl_ns}: none ends early");
            assert!(until <= first_after.unwrap_or(end) + grace, "ttl {ttl_ns}: {until} at {at}");
            at += up_ns + away_ns;
            if at >= end && first_after.is_none() {
                first_after = Some(at);
            }
            world.start(at);
            if world.end_of(claim).is_none() {
                break at;
            }
        };
        // Then it is found to be over at once, or by the next start.
        let last = first_after.unwrap_or(end).max(end) + grace + up_ns + away_ns;
        assert!((end..=last).contains(&ended), "ttl {ttl_ns}: {ended}, and {last} at most");
    }
}

#[test]
fn a_lease_with_time_left_is_not_longer_for_a_restart() {
    let (mut world, begin) = (World::new(), 10 * SECOND);
    let (claim, _) = world.claim(begin, 5 * SECOND, Within::Own);
    world.start(begin + SECOND);
    assert_eq!(world.end_of(claim), Some(begin + 5 * SECOND));
    world.start(begin + 2 * SECOND);
    assert_eq!(world.end_of(claim), Some(begin + 5 * SECOND));
}

#[test]
fn whoever_renews_in_halves_or_thirds_is_not_over_when_the_daemon_is_back() {
    for (parts, ttl_ns) in [(2, 3 * SECOND), (3, 3 * SECOND), (2, 40 * SECOND), (3, 40 * SECOND)] {
        for died_tenths in 0..=10 {
            for away_tenths in [1, 4, 8, 10, 14, 40] {
                let (mut world, begin) = (World::new(), 10 * SECOND);
                let (claim, fence) = world.claim(begin, ttl_ns, Within::Own);
                // It renews until the daemon dies, and goes on in the same rhythm as if it knew of nothing.
                let (every, died) = (ttl_ns / parts, begin + ttl_ns * died_tenths / 10);
                let back = died + ttl_ns * away_tenths / 10;
                let mut due = begin + every;
                while due < died {
                    world.tell(due, vec![Command::Renew { claim, fence, ttl_ns: 0 }]);
                    due += every;
                }
                while due < back {
                    due += every;
                }
                world.start(back);
                let told = world.tell(due, vec![Command::Renew { claim, fence, ttl_ns: 0 }]);
                let renewed = told.iter().any(|what| matches!(what, What::Renewed { .. }));
                // Who waits for longer than a grace is to be renewed is too late.
                assert!(
                    renewed || due >= back + 15 * SECOND,
                    "1/{parts} of {ttl_ns}, died {died}, back {back}, renewed at {due}: {told:?}"
                );
            }
        }
    }
}

#[test]
fn a_renewal_makes_room_for_another_grace() {
    let (mut world, ttl) = (World::new(), 3 * SECOND);
    let (claim, fence) = world.claim(10 * SECOND, ttl, Within::Own);
    world.start(14 * SECOND);
    assert_eq!(world.end_of(claim), Some(17 * SECOND));
    world.start(16 * SECOND);
    assert_eq!(world.end_of(claim), Some(17 * SECOND), "that was the grace");
    world.tell(16 * SECOND + TENTH, vec![Command::Renew { claim, fence, ttl_ns: 0 }]);
    world.start(20 * SECOND);
    assert_eq!(world.end_of(claim), Some(23 * SECOND), "it was renewed meanwhile");
    world.start(24 * SECOND);
    assert_eq!(world.end_of(claim), None);
}

#[test]
fn whoever_renews_at_the_moment_of_the_start_has_renewed() {
    let (mut world, ttl) = (World::new(), 3 * SECOND);
    let (claim, fence) = world.claim(10 * SECOND, ttl, Within::Own);
    world.start(14 * SECOND);
    world.tell(14 * SECOND, vec![Command::Renew { claim, fence, ttl_ns: 0 }]);
    world.start(18 * SECOND);
    assert_eq!(world.end_of(claim), Some(21 * SECOND));
}

#[test]
fn a_grace_ends_no_later_than_that_of_the_lease_around() {
    let mut world = World::new();
    let (outer, _) = world.claim(10 * SECOND, 3 * SECOND, Within::Own);
    let (inner, _) = world.claim(10 * SECOND, 9 * SECOND, Within::Lease(outer, None));
    world.start(14 * SECOND);
    assert_eq!([world.end_of(outer), world.end_of(inner)], [Some(17 * SECOND); 2]);
}

#[test]
fn a_daemon_that_was_held_up_gives_the_grace_of_a_restart_and_both_are_one() {
    let (mut world, ttl) = (World::new(), 3 * SECOND);
    let woke = || vec![Command::Woke];
    let (claim, fence) = world.claim(10 * SECOND, ttl, Within::Own);
    let (long, _) = world.claim(10 * SECOND, 60 * SECOND, Within::Own);
    world.tell(16 * SECOND, woke());
    assert_eq!(world.end_of(claim), Some(19 * SECOND), "nobody could renew it meanwhile");
    assert_eq!(world.end_of(long), Some(70 * SECOND), "this one has time left");
    world.tell(18 * SECOND, woke());
    world.start(18 * SECOND + TENTH);
    assert_eq!(world.end_of(claim), Some(19 * SECOND), "that was the grace");
    world.tell(18 * SECOND + TENTH, vec![Command::Renew { claim, fence, ttl_ns: 0 }]);
    world.start(22 * SECOND);
    assert_eq!(world.end_of(claim), Some(25 * SECOND), "it was renewed meanwhile");
    world.tell(26 * SECOND, woke());
    assert_eq!(world.end_of(claim), None);
}

#[test]
fn whoever_renews_as_a_daemon_goes_on_has_renewed() {
    let (mut world, ttl) = (World::new(), 3 * SECOND);
    let (claim, fence) = world.claim(10 * SECOND, ttl, Within::Own);
    world.tell(16 * SECOND, vec![Command::Woke, Command::Renew { claim, fence, ttl_ns: 0 }]);
    world.tell(20 * SECOND, vec![Command::Woke]);
    assert_eq!(world.end_of(claim), Some(23 * SECOND), "it has another grace");
}
