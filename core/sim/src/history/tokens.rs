//! The tokens' order, whatever the journal says: if grants happen in the order of their tokens, each as early
//! as it can, no grant is so late that its client had heard of it already.
use super::{Broken, Law, Op, claims::Claims};
use std::{cmp::Reverse, collections::BinaryHeap};

/// Sweeps the grants of each resource in the order of their tokens.
pub(super) fn check(capacities: &[u64], ops: &[Op], claims: &Claims) -> Result<(), Broken> {
    let mut order: Vec<(u32, u64, usize)> =
        claims.all.iter().zip(0..).map(|(claim, place)| (claim.resource, claim.fence, place)).collect();
    order.sort_unstable();
    for grants in order.chunk_by(|a, b| a.0 == b.0) {
        sweep(capacities[grants[0].0 as usize], ops, claims, grants)?;
    }
    Ok(())
}

fn sweep(capacity: u64, ops: &[Op], claims: &Claims, grants: &[(u32, u64, usize)]) -> Result<(), Broken> {
    let (mut now, mut used, mut last) = (0, 0, 0);
    // What is held, by the earliest point at which it can have come back.
    let mut held: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    for &(_, fence, place) in grants {
        let claim = &claims.all[place];
        let (index, op) = (claim.ask as usize, &ops[claim.ask as usize]);
        let broken = |why: String| Err(Broken::new(Law::Token, index, why));
        if fence == last {
            return broken(format!("fence {fence} was given twice"));
        }
        (last, now) = (fence, now.max(op.t_invoke));
        while used + claim.amount > capacity {
            // Whatever is never given back stands last, at the end of time.
            let Some(Reverse((free_from, amount))) = held.pop() else {
                return broken(format!("{} is more than there is", claim.amount));
            };
            (now, used) = (now.max(free_from), used - amount);
        }
        if now == u64::MAX || op.t_return.is_some_and(|returned| returned < now) {
            return broken("what it got was not yet given back when it was answered".into());
        }
        used += claim.amount;
        held.push(Reverse((now.max(claim.ends_from), claim.amount)));
    }
    Ok(())
}
