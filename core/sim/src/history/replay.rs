//! The journal's order: it agrees with the clients' clock, and a plain model gives the same answers.
use super::{
    Broken, Kind, Law, Op, Outcome,
    claims::{Claims, Window},
};

/// One entry of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    place: u64,
    op: u32,
    /// An ask was queued; else something was decided.
    queues: bool,
}

/// What a resource is like after the entries so far.
#[derive(Clone, Debug)]
struct Resource {
    capacity: u64,
    used: u64,
    waiting: u64,
    fence: u64,
}

/// Replays the journal, and writes down when each claim was granted and ended.
pub(super) fn check(capacities: &[u64], ops: &[Op], claims: &mut Claims) -> Result<(), Broken> {
    let entries = entries(ops)?;
    let latest = latest(ops, &entries);
    let resource = |&capacity: &u64| Resource { capacity, used: 0, waiting: 0, fence: 0 };
    let mut resources: Vec<Resource> = capacities.iter().map(resource).collect();
    let (mut earliest, mut newest) = (0, 0);
    for (entry, latest) in entries.iter().zip(latest) {
        let (index, op) = (entry.op as usize, &ops[entry.op as usize]);
        if op.t_invoke > earliest {
            (earliest, newest) = (op.t_invoke, index);
        }
        if op.t_return.is_some_and(|returned| returned < earliest) {
            let why =
                format!("it was answered before operation {newest} was sent, which the journal has first");
            return Err(Broken::new(Law::Order, index, why));
        }
        let resource = &mut resources[op.resource as usize];
        if entry.queues {
            resource.waiting += 1;
        } else {
            decide(index, op, resource, claims, Window { earliest, latest })?;
        }
    }
    Ok(())
}

fn entries(ops: &[Op]) -> Result<Vec<Entry>, Broken> {
    let mut entries = Vec::with_capacity(ops.len());
    for (op, index) in ops.iter().zip(0..) {
        entries.extend(op.asked.map(|place| Entry { place, op: index, queues: true }));
        // Looks and refused verbs decide nothing.
        if !matches!(op.outcome, Outcome::Stale | Outcome::Held | Outcome::Gone) {
            entries.extend(op.seq.map(|place| Entry { place, op: index, queues: false }));
        }
    }
    entries.sort_unstable();
    match entries.windows(2).find(|pair| pair[0].place == pair[1].place) {
        None => Ok(entries),
        Some(pair) => {
            let why = format!("the entry at {} decided operation {} already", pair[0].place, pair[0].op);
            Err(Broken::new(Law::Entry, pair[1].op as usize, why))
        }
    }
}

/// The latest point at which each entry took effect: before any answer to it, or to those behind it.
fn latest(ops: &[Op], entries: &[Entry]) -> Vec<u64> {
    let mut all = vec![0; entries.len()];
    let mut latest = u64::MAX;
    for (entry, cell) in entries.iter().zip(&mut all).rev() {
        latest = latest.min(ops[entry.op as usize].t_return.unwrap_or(u64::MAX));
        *cell = latest;
    }
    all
}

fn decide(
    index: usize,
    op: &Op,
    resource: &mut Resource,
    claims: &mut Claims,
    window: Window,
) -> Result<(), Broken> {
    let broken = |law: Law, why: String| Err(Broken::new(law, index, why));
    if op.kind == Kind::Ask {
        resource.waiting -= u64::from(op.asked.is_some());
        let room = resource.capacity - resource.used;
        match op.outcome {
            Outcome::Busy if op.amount <= room && resource.waiting == 0 => {
                broken(Law::Busy, format!("{} is refused, {room} is free and nobody waits", op.amount))
            }
            Outcome::Done if op.fence <= resource.fence => {
                broken(Law::Fence, format!("fence {} comes after {}", op.fence, resource.fence))
            }
            Outcome::Done if op.amount > room => {
                broken(Law::Capacity, format!("{} is given, and {room} is free", op.amount))
            }
            Outcome::Done => {
                resource.used += op.amount;
                resource.fence = op.fence;
                if let Some(claim) = claims.get_mut(op.claim) {
                    claim.granted = Some(window);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    } else if op.outcome == Outcome::Done {
        let Some(claim) = claims.get_mut(op.claim) else {
            return broken(Law::Holder, format!("nobody was granted claim {}", op.claim));
        };
        match (claim.granted, claim.ended) {
            (None, _) => broken(Law::Holder, format!("claim {} was not granted yet", op.claim)),
            (_, Some(_)) => broken(Law::Holder, format!("claim {} had ended", op.claim)),
            _ if claim.fence != op.fence => {
                broken(Law::Holder, format!("fence {} is not {}, the claim's", op.fence, claim.fence))
            }
            _ if claim.resource != op.resource => {
                broken(Law::Holder, format!("claim {} is of resource {}", op.claim, claim.resource))
            }
            _ if matches!(op.kind, Kind::Release | Kind::Expire) => {
                claim.ended = Some(window);
                resource.used -= claim.amount;
                Ok(())
            }
            _ => Ok(()),
        }
    } else {
        Ok(())
    }
}
