//! Each lease by its own limit: its holder hears that it comes near, and is made to give back what it does not need,
//! before the kernel ends something in it. By what its own group uses and how long it stood still for want of memory,
//! never by what others do.
use crate::{Deed, Level, Levels, Thresholds};
use bursar_interface::{ClaimId, Class, Step, Time};
use std::collections::{BTreeMap, BTreeSet};

/// Share of the last ten seconds in which something in a lease waited for memory, in thousandths, from which it counts
/// as pressed, if it is near at all.
const STALLED_MILLI: u64 = 100;
/// How long a lease is given to give back, in nanoseconds (10 s), until it is told to again; each time twice as long,
/// until it is so many times that.
const AGAIN_NS: u64 = 10_000_000_000;
const PATIENCE_MAX: u64 = 64;

/// What one lease uses of its own limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OwnUse {
    /// Which.
    pub claim: ClaimId,
    /// How firmly it was promised.
    pub class: Class,
    /// What it can never pass, in bytes.
    pub limit: u64,
    /// What it uses that cannot simply be dropped, in bytes.
    pub used: u64,
    /// Share of the last ten seconds in which something in it waited for memory, in thousandths, where that is known.
    pub stalled_milli: Option<u64>,
}

/// Where one lease stands.
#[derive(Clone, Debug)]
struct Near {
    levels: Levels,
    asked: bool,
    /// When, and how many times [`AGAIN_NS`] it is given.
    collected: Option<(Time, u64)>,
}

/// All leases, each by its own limit.
#[derive(Clone, Debug)]
pub struct Own {
    thresholds: Thresholds,
    collects: [bool; 3],
    near: BTreeMap<ClaimId, Near>,
}

impl Own {
    /// With these thresholds; `collects` says for which classes there is a command.
    pub fn new(thresholds: Thresholds, collects: [bool; 3]) -> Own {
        Own { thresholds, collects, near: BTreeMap::new() }
    }

    /// How near a lease is to its own limit.
    pub fn level(&self, claim: ClaimId) -> Level {
        self.near.get(&claim).map_or(Level::Calm, |near| near.levels.level())
    }

    /// What is to be done of which lease.
    pub fn look(&mut self, at: Time, uses: &[OwnUse]) -> Vec<Deed> {
        let there: BTreeSet<ClaimId> = uses.iter().map(|one| one.claim).collect();
        self.near.retain(|claim, _| there.contains(claim));
        let mut deeds = Vec::new();
        for one in uses.iter().filter(|one| one.limit > 0) {
            let level = self.level_of(at, one);
            let (thresholds, collects) = (self.thresholds, self.collects[one.class as usize]);
            let Some(near) = self.near.get_mut(&one.claim) else { continue };
            if level == Level::Calm {
                near.collected = None;
                if std::mem::take(&mut near.asked) {
                    deeds.push(Deed::Undo { step: Step::Ask, claim: Some(one.claim) });
                }
                continue;
            }
            let deed = |step, bytes| Deed::Take { step, claim: Some(one.claim), bytes };
            if !std::mem::replace(&mut near.asked, true) {
                let goal = thresholds.pressed.saturating_sub(thresholds.slack);
                deeds.push(deed(Step::Ask, (u128::from(one.limit) * u128::from(goal) / 1000) as u64));
            }
            let due = near.collected.is_none_or(|(then, times)| then.after(times * AGAIN_NS) <= at);
            if level >= Level::Short && collects && due {
                let times = near.collected.map_or(1, |(_, times)| (2 * times).min(PATIENCE_MAX));
                near.collected = Some((at, times));
                deeds.push(deed(Step::Collect, one.used));
            }
        }
        deeds
    }

    fn level_of(&mut self, at: Time, one: &OwnUse) -> Level {
        let milli = (u128::from(one.used) * 1000 / u128::from(one.limit)) as u64;
        let Thresholds { pressed, slack, .. } = self.thresholds;
        let stalled = one.stalled_milli.is_some_and(|stalled| stalled >= STALLED_MILLI);
        let milli = if stalled && milli + slack >= pressed { milli.max(pressed) } else { milli };
        let near = Near { levels: Levels::new(self.thresholds), asked: false, collected: None };
        self.near.entry(one.claim).or_insert(near).levels.look(at, milli, milli)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn one(used: u64, stalled_milli: Option<u64>) -> OwnUse {
        OwnUse { claim: ClaimId(7), class: Class::Guaranteed, limit: 1000, used, stalled_milli }
    }

    fn steps(deeds: Vec<Deed>) -> Vec<(Step, u64)> {
        let step = |deed| match deed {
            Deed::Take { step, bytes, .. } => (step, bytes),
            // Nothing is asked any more.
            Deed::Undo { step, .. } => (step, 0),
            other => panic!("{other:?}"),
        };
        deeds.into_iter().map(step).collect()
    }

    #[test]
    fn a_holder_hears_once_that_its_own_limit_is_near_and_gives_back_before_the_kernel_ends_something() {
        let mut own = Own::new(Thresholds::default(), [true; 3]);
        let mut look = |second: u64, used| steps(own.look(Time(second * SECOND), &[one(used, None)]));
        assert_eq!(look(1, 700), []);
        assert_eq!(look(2, 800), [(Step::Ask, 750)]);
        assert_eq!(look(3, 790), [], "it was told");
        assert_eq!(look(4, 910), [(Step::Collect, 910)]);
        assert_eq!(look(5, 920), []);
        assert_eq!(look(14, 920), [(Step::Collect, 920)]);
        let after: Vec<(Step, u64)> = (15..25).flat_map(|second| look(second, 500)).collect();
        assert_eq!(after, [(Step::Ask, 0)], "what it was asked is over, and that is said once");
        assert_eq!(look(25, 850), [(Step::Ask, 750)], "it is a new matter");
    }

    #[test]
    fn who_stands_still_for_want_of_memory_is_nearer() {
        let mut own = Own::new(Thresholds::default(), [false; 3]);
        assert_eq!(steps(own.look(Time(1), &[one(760, Some(50))])), []);
        assert_eq!(steps(own.look(Time(2), &[one(600, Some(500))])), [], "not by its own limit");
        assert_eq!(steps(own.look(Time(3), &[one(760, Some(150))])), [(Step::Ask, 750)]);
    }
}
