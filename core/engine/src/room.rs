//! Room in ledgers for those who wait for it: within a team's bounds, too, nobody is overtaken for ever by those
//! behind it who ask for less.
//!
//! EASY backfilling once more ([`crate::sticky`]), over the room in one ledger instead of the pools of one node: the
//! first of those who are short of it, once it has waited long enough, is promised what comes back; whoever stands
//! behind it takes what it leaves, or is gone before.
use crate::Engine;
use bursar_interface::{Amount, Backfill, ClaimId, Discipline, NONE, Row, Time};
use std::collections::{BTreeMap, BTreeSet};

/// What is kept of one ledger.
#[derive(Clone, Copy, Debug)]
struct Room {
    /// For whom.
    claim: ClaimId,
    /// When there is enough, if all goes as estimated.
    start: Time,
    /// What must be left now.
    keep: Amount,
}

/// What is kept of ledgers, as of the last time that somebody below them was looked at.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rooms {
    of: BTreeMap<Row, Room>,
    /// Those that were looked at since anything changed.
    seen: BTreeSet<Row>,
}

impl Rooms {
    /// Somebody was granted, or time went by.
    pub(crate) fn look_again(&mut self) {
        self.seen.clear();
    }

    /// A claim waits no more; says whether anything was kept for it.
    pub(crate) fn leave(&mut self, claim: ClaimId) -> bool {
        let before = self.of.len();
        self.of.retain(|_, room| room.claim != claim);
        self.of.len() < before
    }
}

impl Engine {
    /// Whether room in a ledger above a waiting claim is kept for another.
    pub fn keeps_room_from(&self, claim: ClaimId) -> bool {
        let Some(row) = self.books.claim(claim).filter(|_| !self.rooms.of.is_empty()) else { return false };
        self.bounds_above(row)
            .iter()
            .any(|ledger| self.rooms.of.get(ledger).is_some_and(|room| room.claim != claim && room.keep > 0))
    }

    /// The room that a waiting claim must leave in the ledgers above it, by ledger.
    pub(crate) fn rooms_before(
        &mut self,
        claim: ClaimId,
        row: Row,
        discipline: &Discipline,
    ) -> Vec<(Row, Amount)> {
        if discipline.backfill == Backfill::Anything || !self.has_waited(discipline.reserve_after_ns) {
            return Vec::new();
        }
        let ledgers = self.bounds_above(row);
        ledgers.iter().for_each(|&ledger| self.look_at_room(ledger, discipline.reserve_after_ns));
        let expect = self.books.tables().claims.expect[row as usize];
        let ends = if expect == 0 { Time::NEVER } else { self.books.at().after(expect) };
        let mut kept: Vec<(Row, Room)> = Vec::new();
        kept.extend(ledgers.into_iter().filter_map(|ledger| Some((ledger, *self.rooms.of.get(&ledger)?))));
        kept.retain(|&(ledger, room)| {
            room.claim != claim
                && room.keep > 0
                && !(self.is_held(self.books.tables().quotas.resource[ledger as usize]) && ends <= room.start)
                && !self.queue.stands_before(claim, room.claim)
        });
        kept.retain(|(_, room)| !self.holds_up(room.claim, claim));
        kept.into_iter().map(|(ledger, room)| (ledger, room.keep)).collect()
    }

    /// Whether a claim that fits would not leave this room.
    pub(crate) fn needs_room(&mut self, rooms: &[(Row, Amount)], row: Row) -> bool {
        !rooms.is_empty() && {
            self.keep_rooms(rooms);
            let needs = !self.in_bounds(row);
            self.books.restore_room();
            needs
        }
    }

    /// Keeps room from whoever asks, until it is restored.
    pub(crate) fn keep_rooms(&mut self, rooms: &[(Row, Amount)]) {
        rooms.iter().for_each(|&(ledger, keep)| self.books.shift_room(ledger, keep as i64));
    }

    /// The ledgers above a claim, on kinds that it asks for and somebody bounds.
    fn bounds_above(&self, row: Row) -> Vec<Row> {
        let tables = self.books.tables();
        let scope = tables.claims.scope[row as usize];
        let kinds: BTreeSet<Row> = self
            .books
            .all_rows(row)
            .map(|line| tables.lines.resource[line as usize])
            .filter(|&kind| self.books.bounds_any(kind))
            .collect();
        kinds.into_iter().flat_map(|kind| self.books.quotas_of(scope, kind)).collect()
    }

    /// For whom room is kept in a ledger now: the first in line of those who are short of it, and of the head.
    fn look_at_room(&mut self, ledger: Row, patience_ns: u64) {
        if !self.rooms.seen.insert(ledger) {
            return;
        }
        self.rooms.of.remove(&ledger);
        let waited =
            self.have_waited(patience_ns).into_iter().filter(|&claim| self.is_short_of(claim, ledger));
        let may = waited.chain(self.queue.short_of_room(ledger)).chain(self.head());
        let first = may
            .filter(|&claim| self.may_have_room(claim, ledger, patience_ns))
            .reduce(|first, claim| if self.queue.stands_before(claim, first) { claim } else { first });
        if let Some(room) = first.and_then(|claim| self.room_for(claim, ledger)) {
            self.rooms.of.insert(ledger, room);
        }
    }

    /// Whether a claim waits below a ledger, and has waited so long.
    fn may_have_room(&self, claim: ClaimId, ledger: Row, patience_ns: u64) -> bool {
        self.books.claim(claim).is_some_and(|row| {
            self.queue.stands(claim).is_some()
                && self.is_patient(claim, patience_ns)
                && self.bounds_above(row).contains(&ledger)
        })
    }

    /// Whether there is not enough for a claim in a ledger.
    fn is_short_of(&self, claim: ClaimId, ledger: Row) -> bool {
        let kind = self.books.tables().quotas.resource[ledger as usize];
        self.books.claim(claim).is_some_and(|row| {
            (0..self.books.sets(row))
                .any(|set| self.short_by(row, ledger, self.asked_of(claim, row, set, kind)).is_some())
        })
    }

    /// What is missing in a ledger above a claim for so much.
    fn short_by(&self, row: Row, ledger: Row, asked: Amount) -> Option<Amount> {
        let tables = self.books.tables();
        let (scope, kind) = (tables.claims.scope[row as usize], tables.quotas.resource[ledger as usize]);
        let mut short = self.books.ledgers_short(scope, kind, asked);
        short.find(|&(short, _)| short == ledger).map(|(_, by)| by)
    }

    /// What a claim asks for of a kind with its gang, or by one of its sets.
    fn asked_of(&self, claim: ClaimId, row: Row, set: usize, kind: Row) -> Amount {
        match self.gang(claim) {
            Some(gang) => gang.iter().map(|member| self.books.asked(member.row, kind)).sum(),
            None if self.books.sets(row) == 1 => self.books.asked(row, kind),
            None => self.books.asked_in(self.books.set_rows(row, set), kind),
        }
    }

    /// When there is enough for a claim in a ledger, and what must be left until then; of several sets by the one for
    /// which there is enough first.
    fn room_for(&self, claim: ClaimId, ledger: Row) -> Option<Room> {
        let row = self.books.claim(claim)?;
        let kind = self.books.tables().quotas.resource[ledger as usize];
        let head = self.kept_for.as_ref().filter(|head| head.claim == claim);
        let sets = self.books.sets(row);
        let may = |&set: &usize| match head {
            _ if sets == 1 => true,
            Some(head) => head.set == set,
            // One that no node ever has is waited for by nobody.
            None => {
                self.short_by(row, ledger, self.asked_of(claim, row, set, kind)).is_some()
                    && self.reserve(claim, row, self.books.set_rows(row, set)).is_some()
            }
        };
        let soonest = head.map_or(self.books.at(), |head| head.start.max(self.books.at()));
        let room = |set| self.room_of(claim, ledger, self.asked_of(claim, row, set, kind), soonest);
        (0..sets).filter(may).filter_map(room).min_by_key(|room| room.start)
    }

    /// As [`Engine::room_for`], for so much.
    fn room_of(&self, claim: ClaimId, ledger: Row, asked: Amount, soonest: Time) -> Option<Room> {
        let (tables, row, now) = (self.books.tables(), self.books.claim(claim)?, self.books.at());
        let kind = tables.quotas.resource[ledger as usize];
        let by = self.short_by(row, ledger, asked).unwrap_or(0);
        if !self.is_held(kind) {
            let ready = if by == 0 { now } else { self.books.quota_ready(row, ledger, asked)? };
            return Some(Room { claim, start: ready.max(soonest), keep: asked });
        }
        let scope = tables.quotas.scope[ledger as usize];
        let (start, back) = enough(&self.back_below(scope, kind), by, soonest)?;
        Some(Room { claim, start, keep: asked.saturating_sub(back) })
    }

    /// When leases of a scope and those below it give back how much of a kind, in order. Reads every lease.
    fn back_below(&self, scope: Row, kind: Row) -> Vec<(Time, Amount)> {
        let (lines, claims) = (&self.books.tables().lines, &self.books.tables().claims);
        let below = |l: usize| {
            let of = claims.scope[lines.claim[l] as usize];
            self.books.chain(of).any(|up| up == scope)
        };
        let mut back: Vec<(Time, Amount)> = (0..lines.len())
            .filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE && lines.resource[l] == kind)
            .filter(|&l| below(l))
            .map(|l| (self.line_end(l), lines.amount[l]))
            .collect();
        back.sort_unstable();
        back
    }
}

/// When so much is back, but not before `soonest`, and how much it is by then; `None` for never.
fn enough(back: &[(Time, Amount)], by: Amount, soonest: Time) -> Option<(Time, Amount)> {
    let mut sum = 0;
    let last = back.iter().find(|&&(_, amount)| {
        sum += amount;
        sum >= by
    });
    let start = if by == 0 { soonest } else { last?.0.max(soonest) };
    Some((start, back.iter().take_while(|end| end.0 <= start).map(|end| end.1).sum()))
}
