//! When something must happen by itself: a heap of points in time that tolerates stale entries, so
//! that renewing a lease costs one push.
use bursar_interface::{ClaimId, Time};
use std::{cmp::Reverse, collections::BinaryHeap};

/// The next points in time per claim; an entry counts only while the claim still has that deadline.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deadlines(BinaryHeap<Reverse<(Time, ClaimId)>>);

impl Deadlines {
    /// Adds a deadline. The claim's earlier entry, if any, becomes stale.
    pub(crate) fn set(&mut self, claim: ClaimId, at: Time) {
        if at != Time::NEVER {
            self.0.push(Reverse((at, claim)));
        }
    }

    /// The earliest deadline that still counts; drops stale ones on the way.
    pub(crate) fn first(&mut self, current: impl Fn(ClaimId) -> Option<Time>) -> Option<(Time, ClaimId)> {
        while let Some(&Reverse((at, claim))) = self.0.peek() {
            if current(claim) == Some(at) {
                return Some((at, claim));
            }
            self.0.pop();
        }
        None
    }

    /// Entries, stale ones included.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes the first entry off, stale or not.
    pub(crate) fn pop(&mut self) {
        self.0.pop();
    }

    /// Drops stale entries once they outnumber the `live` ones, so that the heap stays bounded by
    /// twice the claims whatever the rate of renewals.
    pub(crate) fn compact(&mut self, live: usize, current: impl Fn(ClaimId) -> Option<Time>) {
        if self.0.len() > 2 * live + 1024 {
            self.0.retain(|&Reverse((at, claim))| current(claim) == Some(at));
        }
    }
}
