//! Who has to make room first when memory runs short: the worst class, then the smallest priority, then whoever came
//! last, with whom the least work is lost.
use crate::Holder;
use bursar_interface::{ClaimId, Class, Time};
use std::cmp::Reverse;

/// Where a lease stands; smaller is better.
pub(crate) fn standing(holder: &Holder) -> (Class, Reverse<u32>, Time, ClaimId) {
    (holder.class, Reverse(holder.priority), holder.granted_at, holder.claim)
}

/// Those who may have to make room, the worst first; guaranteed ones come last, for what is done by their own limit.
pub(crate) fn worst_first(holders: &[Holder]) -> Vec<&Holder> {
    let mut all: Vec<&Holder> = holders.iter().collect();
    all.sort_by_key(|holder| Reverse(standing(holder)));
    all
}
