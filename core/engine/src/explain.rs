//! Why a claim waits: the binding constraint per kind, and who holds it.
use crate::{Engine, kept::Lacked};
use bursar_interface::{Amount, ClaimId, NONE, PoolId, Reason, Row, Shape, Time};
use bursar_pool::Inner;
use std::ops::Range;

/// One kind that a claim is short of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Row of the kind.
    pub resource: Row,
    /// How much is missing; 0 where it is there but not together.
    pub by: Amount,
    /// Live claims that hold it, largest share first, at most [`bursar_interface::bound::NAMED_MAX`].
    pub holders: Vec<ClaimId>,
}

/// Why a claim waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In one word.
    pub reason: Reason,
    /// Which kinds bind.
    pub short: Vec<Short>,
    /// When all of what is short will have come back by itself; `None` where that cannot be told.
    pub retry_at: Option<Time>,
}

/// What will be there last of what is short.
struct Last {
    kind: Row,
    /// The pool that was named, or [`NONE`].
    want: Row,
    reason: Reason,
    /// When; `None` where that is in somebody's hands.
    ready: Option<Time>,
}

impl Engine {
    /// Why the waiting claim in `row` could not be granted as things stand: of several sets of lines the
    /// first, with the time at which one of them will be there.
    pub(crate) fn why(&self, row: Row) -> Why {
        let (reason, retry_at) = self.why_briefly(row);
        let Why { short, .. } = self.why_in(row, self.books.set_rows(row, 0));
        Why { reason, short, retry_at }
    }

    /// As [`Engine::why`], for one set of a claim's lines.
    pub(crate) fn why_in(&self, row: Row, lines: Range<Row>) -> Why {
        let mut short = Vec::new();
        let (reason, retry_at) = self.find_short(row, lines, |resource, by| {
            short.push(Short { resource, by, holders: Vec::new() });
        });
        Why { reason, short, retry_at }
    }

    /// As [`Engine::why`], without the kinds: what a claim is told as it waits.
    pub(crate) fn why_briefly(&self, row: Row) -> (Reason, Option<Time>) {
        let brief = |set| self.find_short(row, self.books.set_rows(row, set), |_, _| ());
        let (reason, mut retry_at) = brief(0);
        for (_, other) in (1..self.books.sets(row)).map(brief) {
            retry_at = other.into_iter().chain(retry_at).min();
        }
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        match self.preemption.promises.contains_key(&claim) {
            true => (Reason::PreemptionPending, retry_at),
            false => (reason, retry_at),
        }
    }

    /// Why one set of lines is not granted, and when it can be; `short` hears each kind that binds, once.
    fn find_short(
        &self,
        row: Row,
        lines: Range<Row>,
        mut short: impl FnMut(Row, Amount),
    ) -> (Reason, Option<Time>) {
        if let Some((&Inner { resource, .. }, by)) = self.books.slice_short(row) {
            short(resource, by);
            return (self.spent(resource).unwrap_or(Reason::InsufficientCapacity), None);
        }
        if let Some((quota, by)) = self.books.quota_short_in(row, lines.clone()) {
            let resource = self.books.tables().quotas.resource[quota as usize];
            short(resource, by);
            let last = self.last_back(row, &lines);
            return last.map_or((Reason::InsufficientQuota, None), |last| (last.reason, last.ready));
        }
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        let ganged = self.gangs.has(claim);
        if ganged && self.waits_for_others(claim) {
            return (Reason::WaitingForGang, None);
        }
        if let Some(why) = ganged.then(|| self.gang_short(claim, row)).flatten() {
            why.short.iter().for_each(|kind| short(kind.resource, kind.by));
            return (why.reason, why.retry_at);
        }
        let mut told = 0u64;
        for (resource, _, by, _) in self.pools_short(&lines) {
            if told & 1 << resource == 0 {
                told |= 1 << resource;
                short(resource, by);
            }
        }
        match self.last_back(row, &lines) {
            Some(last) => (last.reason, last.ready),
            None => (self.why_though_there(claim, row, ganged), None),
        }
    }

    /// Why a claim waits of which there is enough of every kind.
    fn why_though_there(&self, claim: ClaimId, row: Row, ganged: bool) -> Reason {
        if self.shut_out(row) {
            return Reason::Cordoned;
        }
        // Enough is there, and kept for who came before.
        if self.kept_for.as_ref().is_some_and(|head| head.claim != claim)
            || !self.preemption.promises.is_empty()
        {
            return Reason::InsufficientCapacity;
        }
        // There is room in the ledgers above it, and it is kept.
        if self.keeps_room_from(claim) {
            return Reason::InsufficientQuota;
        }
        if ganged { Reason::WaitingForGang } else { Reason::Fragmented }
    }

    /// What lines are short of in pools: the kind, the pool that was named or [`NONE`], by how much, and when it will
    /// have come back by itself.
    fn pools_short<'a>(
        &'a self,
        lines: &Range<Row>,
    ) -> impl Iterator<Item = (Row, Row, Amount, Option<Time>)> + use<'a> {
        let (tables, all, flows) = (self.books.tables(), lines.clone(), self.flow(lines.clone()));
        lines.clone().filter_map(move |line| {
            let (resource, want) = (tables.lines.resource[line as usize], tables.lines.want[line as usize]);
            if self.is_spent(line) {
                let flow = flows.iter().find(|flow| flow.line == line)?;
                let by = match flow.pool {
                    NONE => flow.asked,
                    pool => self.books.missing(pool, flow.asked),
                };
                return (by > 0).then_some((resource, want, by, flow.ready));
            }
            let by = match want {
                NONE => self.books.missing_of(resource, self.books.asked_in(all.clone(), resource)),
                pool => self.books.missing(pool, self.books.wanted_in(all.clone(), pool)),
            };
            (by > 0).then_some((resource, want, by, None))
        })
    }

    /// Of all that lines are short of, in ledgers and in pools, what will be there last.
    fn last_back(&self, row: Row, lines: &Range<Row>) -> Option<Last> {
        let tables = self.books.tables();
        let kind = |line: Row| tables.lines.resource[line as usize];
        let scope = tables.claims.scope[row as usize];
        let first = |&line: &Row| (lines.start..line).all(|before| kind(before) != kind(line));
        let kinds = lines.clone().filter(first).map(kind).filter(|&kind| self.books.bounds_any(kind));
        let ledgers = kinds.flat_map(|kind| {
            let asked = self.books.asked_in(lines.clone(), kind);
            let reason = self.spent(kind).unwrap_or(Reason::InsufficientQuota);
            let last = move |(quota, _)| {
                let ready = self.books.quota_ready(row, quota, asked);
                Last { kind, want: NONE, reason, ready }
            };
            self.books.ledgers_short(scope, kind, asked).map(last)
        });
        let pools = self.pools_short(lines).map(|(kind, want, _, ready)| {
            let held = if want == NONE { Reason::InsufficientCapacity } else { Reason::HeldByOther };
            let reason = self.spent(kind).unwrap_or(held);
            Last { kind, want, reason, ready }
        });
        let when = |last: &Last| last.ready.unwrap_or(Time(u64::MAX));
        ledgers.chain(pools).reduce(|last, other| if when(&other) > when(&last) { other } else { last })
    }

    /// What a waiting claim is short of that will be there last: the kind, and the pool where it named one.
    pub(crate) fn lacks(&self, row: Row) -> Option<Lacked> {
        let pool = |want: Row| match want {
            NONE => PoolId(0),
            pool => PoolId(self.books.tables().pools.id[pool as usize]),
        };
        if let Some((inner, _)) = self.books.slice_short(row) {
            return Some(Lacked { resource: inner.resource, pool: pool(inner.want) });
        }
        let last = self.last_back(row, &self.books.tables().claims.line_rows(row))?;
        Some(Lacked { resource: last.kind, pool: pool(last.want) })
    }

    /// The word for a kind that is spent and not held.
    pub(crate) fn spent(&self, resource: Row) -> Option<Reason> {
        match self.books.spec(resource).shape {
            Shape::Rate => Some(Reason::RateLimited),
            Shape::Budget => Some(Reason::BudgetExhausted),
            Shape::Capacity | Shape::Unit => None,
        }
    }

    /// Why a waiting claim waits, with the holders of what it is short of, of several sets of lines by the
    /// first; `None` if it does not wait. Reads every live lease: an answer to a person, not for the hot path.
    pub fn explain(&self, claim: ClaimId) -> Option<Why> {
        self.explain_to(claim, &|_| true)?.into_iter().next()
    }
}
