//! Whom an allocator places others past: claims for which some node has room at each of several looks, one after the
//! other, while later ones of their class are placed. Whether it is to blame for that is for a second opinion to say.
use super::follower::Follower;
use bursar_interface::{ClaimId, Left, Time, bound::LEFT_MAX};
use std::collections::BTreeMap;

/// Looks in a row at which there has to be room for a claim.
pub const LOOKS: u32 = 6;
/// Those who have waited longest that are looked at: each look goes over all nodes.
const LOOKED_MAX: usize = 64;
/// The longest pause between two suspicions that come to nothing, in nanoseconds (5 minutes); it doubles.
pub const PAUSE_NS_MAX: u64 = 300 * 1_000_000_000;

/// Who fitted so far, since when, and at how many looks.
pub struct Passed {
    every_ns: u64,
    next: Time,
    fitted: BTreeMap<ClaimId, (Time, u32)>,
    /// When somebody is suspected again at the earliest, and the pause after that.
    again: Time,
    pause_ns: u64,
}

impl Passed {
    /// Looks so often, in nanoseconds.
    pub fn new(every_ns: u64) -> Passed {
        Passed { every_ns, next: Time(0), fitted: BTreeMap::new(), again: Time(0), pause_ns: every_ns }
    }

    /// From here on it is looked anew.
    pub fn forget(&mut self) {
        self.fitted.clear();
    }

    /// For how long somebody has to be passed over, in nanoseconds.
    pub fn bound_ns(&self) -> u64 {
        self.every_ns.saturating_mul(LOOKS.into())
    }

    /// Who is passed over, if it is time to look, and somebody is.
    pub fn look(&mut self, follower: &Follower, now: Time) -> Vec<Left> {
        if now < self.next {
            return Vec::new();
        }
        self.next = now.after(self.every_ns);
        let mut waiting = follower.read(|engine| engine.waiting_longest(now, self.every_ns));
        waiting.truncate(LOOKED_MAX);
        let (mut fitted, mut passed) = (BTreeMap::new(), Vec::new());
        for claim in waiting {
            // One after the other, as nothing is folded meanwhile.
            let found = follower.read(|engine| Some((engine.left(claim, now)?, engine.class_of(claim)?)));
            let Some((left, class)) = found else { continue };
            let (since, looks) = self.fitted.get(&claim).copied().unwrap_or((now, 0));
            fitted.insert(claim, (since, looks + 1));
            let later = follower.newest(class).is_some_and(|(newest, at)| newest > claim && at >= since);
            if later && looks + 1 >= LOOKS {
                passed.push(left);
            }
        }
        self.fitted = fitted;
        self.in_time(now, passed)
    }

    /// Lets a suspicion through unless the last one was just now.
    fn in_time(&mut self, now: Time, mut passed: Vec<Left>) -> Vec<Left> {
        if passed.is_empty() {
            (self.again, self.pause_ns) = (now, self.every_ns);
            return passed;
        }
        if now < self.again {
            return Vec::new();
        }
        self.again = now.after(self.pause_ns);
        self.pause_ns = self.pause_ns.saturating_mul(2).min(PAUSE_NS_MAX);
        passed.truncate(LEFT_MAX);
        passed
    }
}
