//! Serving the line: who is offered to the allocator next, together with whom, and who is not tried again
//! until something changes.
use crate::{
    Engine, Plugins,
    crowd::only_pool,
    engine::Tape,
    lack::Lack,
    line::Place,
    promised::{Promised, hints},
    queue::Candidate,
    round::{Offer, Workbench},
    shape::Shape,
    sticky::Reservation,
    tag::Bound,
};
use bursar_interface::{
    Amount, Backfill, ClaimId, Discipline, NONE, Rank, Reason, Row, Time, What,
    bound::{ROUND_MAX, STARVED_NS},
    canary,
};
use std::ops::Range;

/// Passes over the line in one step at most; what is left is tried in the next step.
const PASSES_MAX: usize = 64;

/// A group that was tried in this round, by the claim that stood for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tried {
    claim: ClaimId,
    shape: Shape,
    lack: Lack,
    due: Option<Time>,
}

/// What is kept from those who are offered together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Terms {
    /// What is kept for the head.
    head: bool,
    /// What is promised to those for whom others end.
    promise: Option<Bound>,
    /// Room in ledgers.
    rooms: Vec<(Row, Amount)>,
}

impl Terms {
    /// Whether anything is.
    fn any(&self) -> bool {
        self.head || self.promise.is_some() || !self.rooms.is_empty()
    }
}

/// When somebody is tried again who lacks nothing but what may be kept for the head, in nanoseconds.
const AGAIN_NS: u64 = 1_000_000_000;

impl Engine {
    /// A claim that has just got its rank stands in line.
    pub(crate) fn line_up(&mut self, rank: Rank, offer: Offer) {
        self.heirs.enter(&self.books, offer.row, offer.claim, rank.tier);
        self.stand_in_line(Place::new(rank, offer.claim), offer.row);
    }

    pub(crate) fn stand_in_line(&mut self, place: Place, row: Row) {
        self.stood.push(place.into());
        let mut shape = self.shape_within(row, self.shape_of(row));
        if self.gangs.has(place.claim) {
            // It stands for others, whom nobody is like.
            shape = shape.with(place.claim.0);
        }
        let scope = self.books.tables().claims.scope[row as usize];
        let (books, queue) = (&self.books, &mut self.queue);
        let chain = books.chain(scope).map(|at| (at, books.tables().scopes.parent[at as usize]));
        queue.insert(place, shape, chain, |into| hints(books, row, into));
    }

    /// Offers those who wait to the allocator, in order, for as long as somebody may fit.
    pub(crate) fn serve_line(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins, bench: &mut Workbench) {
        let discipline = plugins.qos.active.discipline();
        self.mark_starved();
        self.rooms.look_again();
        let mut head = self.reservation(&discipline);
        self.keep_for(head.as_ref());
        let most = if discipline.reserve_after_ns == 0 { 1 } else { ROUND_MAX };
        // Where what is free of a kind fits, nobody is offered who does not.
        let sure = |kind| only_pool(&self.books, kind).is_some();
        let mut width = if self.queue.all_ripe() || self.queue.all_lack(sure) { most } else { 1 };
        let (mut seen, mut stale) = (tape.events.len(), false);
        for _ in 0..PASSES_MAX {
            let terms = self.pick(bench, width, &discipline, head.as_ref());
            if bench.picked.is_empty() {
                break;
            }
            bench.offers.clear();
            let rows = bench.picked.iter().filter_map(|picked| {
                let claim = picked.place.claim;
                Some(Offer { claim, row: self.books.claim(claim)? })
            });
            bench.offers.extend(rows);
            self.offer_gang(bench);
            let offers = std::mem::take(&mut bench.offers);
            self.withhold(terms.head, head.as_ref());
            let promised = self.withhold_promised(terms.promise);
            self.keep_rooms(&terms.rooms);
            match offers[..] {
                [offer] if self.books.sets(offer.row) > 1 => self.place_sets(tape, plugins, offer, bench),
                _ => self.place(tape, plugins, &offers, bench),
            }
            bench.gang = false;
            if terms.promise.is_some() {
                self.restore_promised(&promised);
            }
            // Who was turned away for want of room that is kept lacks nothing else.
            self.books.restore_room();
            let all = self.put_back(&offers, terms.any(), bench);
            self.restore(terms.head, head.as_ref());
            bench.offers = offers;
            width = if all { (width * 2).min(most) } else { 1 };
            if self.moved(tape, &mut seen) || head.is_none() {
                self.rooms.look_again();
                head = self.reservation(&discipline);
                stale |= self.keep_for(head.as_ref());
            }
        }
        self.park_tried(tape, bench);
        if stale {
            // Who was tried behind the head that was is parked only now.
            self.queue.wake_behind();
        }
    }

    /// What is kept, and for whom; whoever stands behind it is worth a try when that changes. Says whether it
    /// did.
    fn keep_for(&mut self, head: Option<&Reservation>) -> bool {
        let changed = self.kept_for.as_ref() != head;
        if changed {
            self.kept_for = head.cloned();
            self.queue.wake_behind();
        }
        changed
    }

    /// Whether anything was granted since `seen` events: then a head could start at another time.
    fn moved(&self, tape: &Tape<'_>, seen: &mut usize) -> bool {
        let new = &tape.events[std::mem::replace(seen, tape.events.len())..];
        new.iter().any(|event| matches!(event.what, What::Granted { .. }))
    }

    /// Takes the next claims out of the line that may go together, at most `width`; says what is kept from all of
    /// them.
    fn pick(
        &mut self,
        bench: &mut Workbench,
        width: usize,
        discipline: &Discipline,
        head: Option<&Reservation>,
    ) -> Terms {
        bench.picked.clear();
        bench.promised.clear();
        let mut terms = Terms::default();
        while bench.picked.len() < width {
            let Some(next) = self.next_in_line(&bench.promised, head) else { break };
            let claim = next.place.claim;
            let Some(row) = self.books.claim(claim) else { break };
            let gang = self.gang(claim);
            let own = self.terms(head, claim, row, discipline);
            let alone = gang.is_some() || head.is_some_and(|head| head.claim == claim);
            // Who has a choice is tried by itself: which of its sets it takes shows then.
            let alone = alone || self.books.sets(row) > 1;
            if !bench.picked.is_empty() && (own != terms || alone) {
                break;
            }
            terms = own;
            let barred = terms.head
                && (discipline.backfill == Backfill::Nothing
                    || head.is_some_and(|head| !self.fits_beside_head(head, row)))
                || self.behind_promise(terms.promise, row)
                || self.needs_room(&terms.rooms, row);
            let known = gang.map_or_else(|| self.lack(row), |gang| self.gang_lack(&gang));
            let (lack, due) = match known {
                (Lack::Nothing, due) if barred => (Lack::Behind, due),
                known => known,
            };
            if barred || lack != Lack::Nothing {
                self.queue.park(next.shape, Lack::Tried, None);
                bench.tried.push(Tried { claim, shape: next.shape, lack, due });
                continue;
            }
            if !self.fits_beside(&bench.promised, row) {
                // Whether it fits shows once the others are granted: nobody behind it goes before that.
                break;
            }
            self.promise(bench, row);
            self.queue.remove(claim);
            bench.picked.push(next);
            if alone {
                break;
            }
        }
        self.stand_again(&bench.promised);
        terms
    }

    /// What is kept from a claim.
    fn terms(
        &mut self,
        head: Option<&Reservation>,
        claim: ClaimId,
        row: Row,
        discipline: &Discipline,
    ) -> Terms {
        let passes = |head: &Reservation| self.may_pass(head, claim, row);
        let kept_for = head.filter(|head| !passes(head)).map(|head| head.claim);
        Terms {
            head: kept_for.is_some_and(|head| !self.holds_up(head, claim)),
            promise: self.bound(claim, row),
            rooms: self.rooms_before(claim, row, discipline),
        }
    }

    /// Who is first: of those worth a try, or the head if it can start now.
    fn next_in_line(&mut self, promised: &Promised, head: Option<&Reservation>) -> Option<Candidate> {
        if let Some(claim) = self.promised_first() {
            return self.queue.candidate(claim);
        }
        let first = self.first_in_line(promised);
        let due = head.filter(|head| head.start <= self.books.at());
        let head = due.and_then(|head| self.queue.candidate(head.claim));
        match (first, head) {
            (Some(first), Some(head)) if self.queue.stands_before(first.place.claim, head.place.claim) => {
                Some(first)
            }
            (first, head) => head.or(first),
        }
    }

    fn first_in_line(&mut self, promised: &Promised) -> Option<Candidate> {
        self.settle_line(promised);
        let books = &self.books;
        self.queue.first(!promised.is_empty(), |lack| match lack {
            Lack::Kind(kind, _) => {
                books.tables().resources.free[kind as usize].saturating_sub(promised.of_kind(kind))
            }
            Lack::Ledger(quota, _) => books.cap(quota).saturating_sub(books.level(quota)),
            _ => Amount::MAX,
        })
    }

    /// Whether a claim may take what is kept for the head: the head itself, who stands before it, and who will
    /// be gone before it starts.
    fn may_pass(&self, head: &Reservation, claim: ClaimId, row: Row) -> bool {
        let expect = self.books.tables().claims.expect[row as usize];
        canary!("everybody passes the head")
            || claim == head.claim
            || self.queue.stands_before(claim, head.claim)
            || expect > 0 && self.books.at().after(expect) <= head.start && !self.spends_of(head, row)
    }

    /// Whether a claim would spend of what is kept for the head: that does not come back when it ends.
    fn spends_of(&self, head: &Reservation, row: Row) -> bool {
        let tables = self.books.tables();
        let kept = |kind| head.keep.iter().any(|&(pool, _)| tables.pools.resource[pool as usize] == kind);
        let mut spent = self.books.all_rows(row).filter(|&line| self.is_spent(line));
        spent.any(|line| kept(tables.lines.resource[line as usize]))
    }

    fn withhold(&mut self, kept: bool, head: Option<&Reservation>) {
        if let (true, Some(head)) = (kept, head) {
            self.books.begin_change();
            head.keep.iter().for_each(|&(pool, amount)| self.books.withhold(pool, amount));
        }
    }

    fn restore(&mut self, kept: bool, head: Option<&Reservation>) {
        if let (true, Some(head)) = (kept, head) {
            self.books.begin_change();
            head.keep.iter().for_each(|&(pool, _)| self.books.restore(pool));
        }
    }

    /// Those who were picked and still wait stand in line again; says whether there were none.
    fn put_back(&mut self, offers: &[Offer], kept: bool, bench: &mut Workbench) -> bool {
        let picked = std::mem::take(&mut bench.picked);
        let (mut all, mut turned_away) = (true, false);
        for (picked, offer) in picked.iter().zip(offers) {
            if !self.still_waits(offer) {
                continue;
            }
            self.stand_in_line(picked.place, offer.row);
            let (lack, due) = self.lack(offer.row);
            // A ledger has turned away somebody before it, for whom the plan had set something aside.
            let misled = lack == Lack::Nothing && (turned_away || self.was_crossed(offers, offer));
            turned_away |= matches!(lack, Lack::Ledger(..));
            all = false;
            if misled {
                continue;
            }
            // There is enough of a rate in all of its pools, and in none of them.
            let due = if lack == Lack::Nothing { self.try_due(offer) } else { due };
            let lack = match lack {
                Lack::Ledger(..) | Lack::Within => lack,
                // What it lacks may be what is kept from it.
                _ if kept => Lack::Behind,
                Lack::Nothing => Lack::Together,
                _ => lack,
            };
            self.queue.park(picked.shape, Lack::Tried, None);
            bench.tried.push(Tried { claim: offer.claim, shape: picked.shape, lack, due });
        }
        bench.picked = picked;
        all
    }

    /// Whether somebody of the same plan was granted from whom a claim keeps apart: it was perhaps to go there.
    fn was_crossed(&self, offers: &[Offer], offer: &Offer) -> bool {
        let apart = |offer: &Offer| self.books.tables().claims.apart[offer.row as usize];
        let crossed = |other: &Offer| !self.still_waits(other) && apart(other) == apart(offer);
        apart(offer) != NONE && offers.iter().any(crossed)
    }

    /// Parks the groups that were tried, by what they lack.
    fn park_tried(&mut self, tape: &mut Tape<'_>, bench: &mut Workbench) {
        for Tried { claim, shape, lack, due } in bench.tried.drain(..) {
            let Some(row) = self.books.claim(claim) else {
                self.queue.park_tried(shape, lack, due);
                continue;
            };
            // What assured scopes were granted since it was tried may be borrowed now, or before long.
            let moved =
                matches!(lack, Lack::Ledger(..)) && self.books.assures_any() && !self.is_ganged(claim);
            let (lack, due) = if moved { self.lack(row) } else { (lack, due) };
            if lack == Lack::Nothing {
                // What is kept for the head was taken away when it was tried: at once it would come to the same.
                match self.kept_for.as_ref().is_some_and(|head| head.claim != claim) {
                    true => self.queue.park_tried(shape, Lack::Behind, Some(self.books.at().after(AGAIN_NS))),
                    false => self.queue.wake_claim(claim),
                }
                continue;
            }
            let again = self.preempt_for(tape, claim, row);
            self.queue.park_tried(shape, lack, due.into_iter().chain(again).min());
            self.tell_why(tape, &Offer { claim, row });
        }
    }

    /// What a claim lacks that can be told without trying, and when that will have come back by itself.
    pub(crate) fn lack(&self, row: Row) -> (Lack, Option<Time>) {
        match self.books.sets(row) {
            1 => self.lack_in(row, self.books.tables().claims.line_rows(row)),
            _ => self.lack_of_all(row),
        }
    }

    /// As [`Engine::lack`], for one set of a claim's lines.
    pub(crate) fn lack_in(&self, row: Row, lines: Range<Row>) -> (Lack, Option<Time>) {
        let tables = self.books.tables();
        if self.is_short_within(row) {
            // Only what comes back to its parent helps.
            return (Lack::Within, None);
        }
        if let Some((quota, _)) = self.books.quota_short_in(row, lines.clone()) {
            let asked = self.books.asked_in(lines, tables.quotas.resource[quota as usize]);
            return (Lack::ledger(quota, asked), self.books.quota_ready(row, quota, asked));
        }
        for line in lines.clone().map(|line| line as usize) {
            let (resource, want) = (tables.lines.resource[line], tables.lines.want[line]);
            let asked = self.books.asked_in(lines.clone(), resource);
            if want == NONE && asked > tables.resources.free[resource as usize] {
                return (Lack::kind(resource, asked), self.kind_due(lines, resource));
            }
            if want != NONE && self.books.wanted_in(lines.clone(), want) > tables.pools.free(want) {
                return (Lack::Together, self.kind_due(lines, resource));
            }
        }
        (Lack::Nothing, None)
    }

    pub(crate) fn tell_why(&mut self, tape: &mut Tape<'_>, offer: &Offer) {
        let (reason, retry_at) = self.why_briefly(offer.row);
        let retry_at = retry_at.unwrap_or_default();
        let claims = &self.books.tables().claims;
        let told = (Reason::of(claims.reason[offer.row as usize]), Time(claims.retry_at[offer.row as usize]));
        if told != (Some(reason), retry_at) {
            self.emit(tape, None, What::Waiting { claim: offer.claim, reason, retry_at });
        }
    }

    /// Claims that have waited too long go before others of their tier.
    fn mark_starved(&mut self) {
        let now = self.books.at();
        let asked_at = |claim: ClaimId| {
            let row = self.books.claim(claim)?;
            Some(Time(self.books.tables().claims.asked_at[row as usize]))
        };
        let starved: Vec<ClaimId> = self
            .queue
            .patient()
            .take_while(|&claim| asked_at(claim).is_none_or(|at| at.after(STARVED_NS) <= now))
            .collect();
        starved.into_iter().for_each(|claim| self.queue.starve(claim));
    }

    /// Whether there is enough of every kind beside what is kept for the head.
    fn fits_beside_head(&self, head: &Reservation, row: Row) -> bool {
        let mut sets = (0..self.books.sets(row)).map(|set| self.books.set_rows(row, set));
        sets.any(|lines| self.set_fits_beside_head(head, lines))
    }

    fn set_fits_beside_head(&self, head: &Reservation, lines: Range<Row>) -> bool {
        let tables = self.books.tables();
        let mut kinds = lines.clone().map(|line| tables.lines.resource[line as usize]);
        kinds.all(|kind| {
            let of_kind = head.keep.iter().filter(|(pool, _)| tables.pools.resource[*pool as usize] == kind);
            let kept = of_kind.map(|&(pool, kept)| kept.min(tables.pools.free(pool))).sum();
            let asked = self.books.asked_in(lines.clone(), kind);
            asked <= tables.resources.free[kind as usize].saturating_sub(kept)
        })
    }

    /// Whether there is enough of every kind beside what this pass has promised.
    fn fits_beside(&self, promised: &Promised, row: Row) -> bool {
        let tables = self.books.tables();
        let mut lines = tables.claims.line_rows(row).map(|line| tables.lines.resource[line as usize]);
        promised.is_empty()
            || lines.all(|kind| {
                let free = tables.resources.free[kind as usize];
                self.books.asked(row, kind) <= free.saturating_sub(promised.of_kind(kind))
            })
    }

    /// A claim is picked: its scopes stand as if it had been granted.
    fn promise(&mut self, bench: &mut Workbench, row: Row) {
        let tables = self.books.tables();
        let scope = tables.claims.scope[row as usize];
        for line in tables.claims.line_rows(row).map(|line| line as usize) {
            bench.promised.add(
                tables.lines.resource[line],
                tables.lines.amount[line],
                self.books.chain(scope),
            );
        }
        self.restand_chain(scope);
    }

    /// Scopes that were promised something stand where the books say again.
    fn stand_again(&mut self, promised: &Promised) {
        promised.scopes().for_each(|scope| {
            self.queue.moves(scope);
        });
    }
}
