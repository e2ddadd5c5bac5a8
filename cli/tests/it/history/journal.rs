//! What the journal says of the operations that clients sent: where each of them was decided, and how.
use super::Seen;
use bursar_interface::{Batch, Command, Ending, What};
use bursar_journal::Follower;
use bursar_sim::history::{Kind, Op, Outcome};
use std::{collections::BTreeMap, path::Path, time::Duration};

/// How much earlier than by the client's clock a lease may end: a batch has one time, which is read before
/// what came in meanwhile.
const SLACK: Duration = Duration::from_millis(100);
/// Batches read at once.
const PAGE: usize = 100;

/// Places of what was decided; the order is that of the events.
#[derive(Default)]
pub(crate) struct Journal {
    events: u64,
    /// By key: where it was queued, and the claim.
    asked: BTreeMap<String, (u64, u64)>,
    /// By claim: token and place.
    granted: BTreeMap<u64, (u64, u64)>,
    /// By claim: why and where it ended.
    ended: BTreeMap<u64, (Ending, u64)>,
    /// Renewals and settlements by their mark.
    marked: BTreeMap<u64, u64>,
}

impl Journal {
    /// Reads all of it.
    pub(crate) fn read(state: &Path) -> Journal {
        let follower = Follower::open(state).expect("a journal");
        let (mut journal, mut next) = (Journal::default(), 0);
        loop {
            let entries = follower.since(next, PAGE).expect("rows");
            let Some(last) = entries.last() else { return journal };
            next = last.batch.next_seq();
            entries.iter().for_each(|entry| journal.hear(&entry.batch));
        }
    }

    fn hear(&mut self, batch: &Batch) {
        for event in &batch.events {
            self.events += 1;
            let place = self.events;
            let input =
                event.cause.and_then(|cause| batch.inputs.get(cause as usize)).map(|input| &input.body);
            match (&event.what, input) {
                (What::Queued { claim, .. }, Some(Command::Ask(ask))) => {
                    self.asked.insert(ask.key.clone().unwrap_or_default(), (place, claim.0));
                }
                (What::Granted { claim, fence, .. }, _) => {
                    self.granted.insert(claim.0, (fence.0, place));
                }
                (What::Closed { claim, ending }, _) => {
                    self.ended.insert(claim.0, (*ending, place));
                }
                (What::Renewed { .. }, Some(Command::Renew { ttl_ns, .. })) => {
                    self.marked.entry(ttl_ns % 1_000_000_000 / 1000).or_insert(place);
                }
                (What::Settled(_), Some(Command::Settle { used, .. })) => {
                    self.marked.entry(used[0].amount).or_insert(place);
                }
                _ => {}
            }
        }
    }

    /// The history: what was seen, with its places; what was not heard of, as it is here; and what the
    /// daemon ended by itself.
    pub(crate) fn history(&self, seen: Vec<Seen>, ttl: Duration) -> Vec<Op> {
        let mut ops: Vec<Op> = seen.into_iter().map(|seen| self.placed(seen)).collect();
        let asks: Vec<Op> = ops.iter().filter(|op| op.kind == Kind::Ask && op.fence != 0).copied().collect();
        for ask in asks {
            let Some(&(ending, place)) = self.ended.get(&ask.claim) else { continue };
            let after = match ending {
                Ending::Released => continue,
                Ending::LeaseExpired => ttl.saturating_sub(SLACK),
                // Its asker was gone before it could be told.
                _ => Duration::ZERO,
            };
            let (kind, t_return, asked, seq) = (Kind::Expire, None, None, Some(place));
            let t_invoke = ask.t_invoke + after.as_nanos() as u64;
            ops.push(Op { client: u32::MAX, kind, t_invoke, t_return, asked, seq, ..ask });
        }
        ops
    }

    fn placed(&self, seen: Seen) -> Op {
        let Seen { op, key, mark, repeated, again } = seen;
        // An answer to a repetition may hide what the first one did.
        let doubtful = op.t_return.is_none() || repeated && op.outcome == Outcome::Stale;
        let seq = match op.kind {
            Kind::Ask => return self.placed_ask(op, &key),
            Kind::Renew | Kind::Settle => self.marked.get(&mark).copied(),
            Kind::Release if !again => {
                let ended = self.ended.get(&op.claim).filter(|(ending, _)| *ending == Ending::Released);
                ended.map(|(_, place)| *place)
            }
            _ => None,
        };
        match (op.outcome, seq) {
            (Outcome::Done, seq) => Op { seq, ..op },
            (_, Some(seq)) if doubtful => Op { seq: Some(seq), outcome: Outcome::Done, ..op },
            _ => op,
        }
    }

    fn placed_ask(&self, mut op: Op, key: &str) -> Op {
        let Some(&(asked, claim)) = self.asked.get(key) else { return op };
        op.asked = Some(asked);
        let granted = self.granted.get(&claim).copied();
        let ended = self.ended.get(&claim).copied();
        match (op.t_return, op.outcome, granted) {
            (Some(_), Outcome::Done, Some((fence, place))) if (claim, fence) == (op.claim, op.fence) => {
                op.seq = Some(place);
            }
            (Some(_), Outcome::Busy, None) => op.seq = ended.map(|(_, place)| place),
            (None, _, Some((fence, place))) => {
                (op.claim, op.fence, op.outcome, op.seq) = (claim, fence, Outcome::Done, Some(place));
            }
            (None, _, None) => {
                op.seq = ended.map(|(_, place)| place);
                op.outcome = match ended {
                    Some((Ending::WaitExpired, _)) => Outcome::Busy,
                    _ => Outcome::Unknown,
                };
            }
            // It was answered otherwise than the journal has it.
            _ => {}
        }
        op
    }
}
