//! What folders take, looked at again and again: the longer a look takes, the more rarely it is taken.
use bursar_sdk::{ClaimId, Fence};
use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

/// Looking may take one part in so many of the time.
const COST: u32 = 50;
/// How long one folder may be looked at.
const LOOK: Duration = Duration::from_millis(400);

/// One folder's last look.
#[derive(Clone, Copy, Debug)]
struct Look {
    bytes: Option<u64>,
    at: Instant,
    took: Duration,
}

impl Look {
    /// When it is to be looked at again.
    fn due(&self) -> Instant {
        self.at + self.took * COST
    }
}

/// The last looks, by claim.
#[derive(Debug, Default)]
pub(crate) struct Measured(BTreeMap<ClaimId, Look>);

impl Measured {
    /// Looks at the folders that are due, those first that have waited longest, for no longer than `patience`.
    pub(crate) fn go_on(
        &mut self,
        folders: impl Iterator<Item = (ClaimId, Fence)>,
        patience: Duration,
        mut look: impl FnMut(ClaimId, Fence, Instant) -> Option<u64>,
    ) {
        let begun = Instant::now();
        let due = |claim: &ClaimId| self.0.get(claim).map(Look::due);
        let mut ahead: Vec<(Option<Instant>, ClaimId, Fence)> =
            folders.map(|(claim, fence)| (due(&claim), claim, fence)).collect();
        ahead.retain(|(due, ..)| due.is_none_or(|due| due <= begun));
        ahead.sort();
        for (_, claim, fence) in ahead {
            let at = Instant::now();
            if at.duration_since(begun) + LOOK > patience {
                break;
            }
            let bytes = look(claim, fence, at + LOOK);
            self.0.insert(claim, Look { bytes, at, took: at.elapsed() });
        }
    }

    /// What a folder took at the last look; `None` if that is not known.
    pub(crate) fn of(&self, claim: ClaimId) -> Option<u64> {
        self.0.get(&claim)?.bytes
    }

    /// A folder is gone.
    pub(crate) fn forget(&mut self, claim: ClaimId) {
        self.0.remove(&claim);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_looked_at_more_rarely() {
        let mut measured = Measured::default();
        let folders = || [1, 2].map(|id| (ClaimId(id), Fence(1))).into_iter();
        let mut looks = Vec::new();
        let go_on = |measured: &mut Measured, looks: &mut Vec<u64>| {
            measured.go_on(folders(), Duration::from_secs(2), |claim, _, _| {
                looks.push(claim.0);
                if claim.0 == 1 {
                    std::thread::sleep(Duration::from_millis(20));
                    return None;
                }
                Some(7)
            });
        };
        go_on(&mut measured, &mut looks);
        std::thread::sleep(Duration::from_millis(20));
        go_on(&mut measured, &mut looks);
        assert_eq!(looks, [1, 2, 2], "a look of 20 ms is not repeated for a second");
        assert_eq!((measured.of(ClaimId(1)), measured.of(ClaimId(2))), (None, Some(7)));
        measured.forget(ClaimId(2));
        assert_eq!(measured.of(ClaimId(2)), None);
    }
}
