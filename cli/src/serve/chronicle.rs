//! What happened, from memory or from the journal, as far as it concerns who reads.
use super::{host::Host, present::may_see, told};
use bursar_api::Place;
use bursar_engine::Engine;
use bursar_interface::{Batch, ClaimId, Principal, Reason, Refusal};
use bursar_wire as wire;
use std::sync::Arc;

/// Batches that are read from the journal at a time, at most.
const READ_MAX: usize = 256;

impl Host {
    /// At most `max` events above a sequence; events of one sequence are not parted. Empty only at the end of all.
    pub(super) fn events_since(
        &self,
        by: &Principal,
        since: u64,
        max: usize,
    ) -> Result<Vec<wire::EventRow>, Refusal> {
        let mut place = Place { since, events: 0 };
        loop {
            let (page, then) = self.walk(by, place, max, true)?;
            if !page.is_empty() || then == place {
                return Ok(page);
            }
            place = then;
        }
    }

    /// Goes on from a place through the batches that are at hand, until there are `max` events that concern the
    /// reader, and with `whole` those of the last one's sequence as well; tells them, and how far it came.
    pub(super) fn walk(
        &self,
        by: &Principal,
        from: Place,
        max: usize,
        whole: bool,
    ) -> Result<(Vec<wire::EventRow>, Place), Refusal> {
        let (mut page, mut at): (Vec<wire::EventRow>, Place) = (Vec::new(), from);
        for (batch, wall_ms) in self.batches(from.since, max)? {
            for mut row in told::rows(&batch, wall_ms, Place { since: from.since, ..at }) {
                let parts = !whole || page.last().is_some_and(|last| last.seq != row.seq);
                if page.len() >= max && parts {
                    return Ok((page, at));
                }
                at.events += 1;
                if self.concerns(by, &row) {
                    self.tell_blame(by, &mut row);
                    page.push(row);
                }
            }
            at = Place { since: batch.next_seq().saturating_sub(1), events: 0 };
        }
        Ok((page, at))
    }

    /// Whether an event is about something that a principal may see.
    fn concerns(&self, by: &Principal, row: &wire::EventRow) -> bool {
        let scope = || self.present(|present| present.scope_of_claim(ClaimId(row.claim?)));
        by.root.is_empty() || scope().is_some_and(|scope| may_see(by, &scope))
    }

    /// The batches above a sequence: from memory where they still are, else so many as `max` events need from the journal.
    fn batches(&self, since: u64, max: usize) -> Result<Vec<(Arc<Batch>, i64)>, Refusal> {
        let (tail, complete) = self.follower.tail(since.saturating_add(1));
        if complete || tail.is_empty() && self.follower.read(Engine::next_seq) <= since.saturating_add(1) {
            return Ok(tail.into_iter().map(|batch| (batch.clone(), self.clock.wall_ms(batch.at))).collect());
        }
        let unreadable = |error: bursar_journal::Error| {
            Refusal::new(Reason::BadRequest, format!("the journal cannot be read: {error}"))
        };
        let journal = bursar_journal::Follower::open(&self.state).map_err(unreadable)?;
        let entries = journal.since(since.saturating_add(1), max.clamp(1, READ_MAX)).map_err(unreadable)?;
        let committed = self.follower.read(Engine::next_seq);
        let folded = entries.into_iter().filter(|entry| entry.batch.next_seq() <= committed);
        Ok(folded.map(|entry| (Arc::new(entry.batch), entry.wall_ms)).collect())
    }
}
