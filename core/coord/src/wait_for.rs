//! The wait-for graph, as far as it cannot be read off the books: for which leases a waiting claim is asked
//! for. What a claim waits for is not kept here, since it changes with every grant: the books are asked.
use bursar_interface::ClaimId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// Claims that wait while their asker holds something, and what it holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitFor {
    /// The leases that go on until the claim is granted, by claim.
    held: BTreeMap<ClaimId, Vec<ClaimId>>,
    /// The claims for which each of these leases goes on.
    asked: BTreeMap<ClaimId, BTreeSet<ClaimId>>,
}

impl WaitFor {
    /// Whether nobody who holds something waits.
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// How many claims wait here.
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// A claim waits whose asker holds these leases, and keeps them meanwhile.
    pub fn park(&mut self, claim: ClaimId, leases: impl Iterator<Item = ClaimId>) {
        let mut held: Vec<ClaimId> = leases.collect();
        held.sort_unstable();
        held.dedup();
        if held.is_empty() {
            return;
        }
        for &lease in &held {
            self.asked.entry(lease).or_default().insert(claim);
        }
        self.held.insert(claim, held);
    }

    /// A claim waits no more, granted or gone.
    pub fn leave(&mut self, claim: ClaimId) {
        if self.held.is_empty() {
            return;
        }
        for lease in self.held.remove(&claim).unwrap_or_default() {
            self.let_go(lease, claim);
        }
    }

    /// A lease is gone: nobody waits while holding it.
    pub fn give_back(&mut self, lease: ClaimId) {
        if self.asked.is_empty() {
            return;
        }
        for claim in self.asked.remove(&lease).unwrap_or_default() {
            let Some(held) = self.held.get_mut(&claim) else { continue };
            held.retain(|&other| other != lease);
            if held.is_empty() {
                self.held.remove(&claim);
            }
        }
    }

    fn let_go(&mut self, lease: ClaimId, claim: ClaimId) {
        let Some(asked) = self.asked.get_mut(&lease) else { return };
        asked.remove(&claim);
        if asked.is_empty() {
            self.asked.remove(&lease);
        }
    }

    /// What is held meanwhile by whoever waits for a claim, in order; nothing for one that is not in here.
    pub fn held(&self, claim: ClaimId) -> &[ClaimId] {
        if self.held.is_empty() { &[] } else { self.held.get(&claim).map_or(&[], Vec::as_slice) }
    }

    /// The claims that whoever holds a lease waits for, oldest first.
    pub fn asked(&self, lease: ClaimId) -> impl Iterator<Item = ClaimId> + '_ {
        self.asked.get(&lease).into_iter().flatten().copied()
    }

    /// All claims that wait here, oldest first.
    pub fn claims(&self) -> impl DoubleEndedIterator<Item = ClaimId> + '_ {
        self.held.keys().copied()
    }

    /// All leases of which the holder waits, oldest first, and for how many claims.
    pub fn leases(&self) -> impl Iterator<Item = (ClaimId, usize)> + '_ {
        self.asked.iter().map(|(&lease, asked)| (lease, asked.len()))
    }

    /// Every word of it, in an order of its own: for a digest.
    pub fn words(&self) -> impl Iterator<Item = u64> + '_ {
        self.held
            .iter()
            .flat_map(|(claim, held)| [claim.0].into_iter().chain(held.iter().map(|lease| lease.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_know_of_each_other_until_either_is_gone() {
        let (one, two, three) = (ClaimId(1), ClaimId(2), ClaimId(3));
        let mut graph = WaitFor::default();
        graph.park(ClaimId(9), std::iter::empty());
        assert!(graph.is_empty(), "who holds nothing is not in here");
        graph.park(ClaimId(10), [two, one, two].into_iter());
        graph.park(ClaimId(11), [two].into_iter());
        assert_eq!(graph.held(ClaimId(10)), [one, two]);
        assert_eq!(graph.leases().collect::<Vec<_>>(), [(one, 1), (two, 2)]);
        graph.give_back(two);
        assert_eq!((graph.held(ClaimId(10)), graph.held(ClaimId(11)), graph.len()), (&[one][..], &[][..], 1));
        graph.give_back(three);
        graph.leave(ClaimId(10));
        assert_eq!(graph, WaitFor::default());
    }
}
