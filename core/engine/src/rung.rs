//! Which rung a lease that was told to end takes next, and what it gives up on it. A rung is taken only where
//! it is enough: where what it frees, together with what others free for the same claim, is all that is missing
//! as surely as if the lease ended. So nobody is frozen or cut down for nothing before it ends all the same.
//!
//! *Shrink*: the lines from which something is missing hold less, down to a share of what they held. *Suspend*:
//! its processes are frozen, and what a frozen process does not use (the policy names those kinds, in practice
//! processor time) is given back; memory, devices and ports are not, so nobody is suspended for whose lock, port or
//! device somebody waits (`awaited`). *Revoke*: the lease ends. The ladder is that
//! of ALGORITHMS.md 5.6, with Slurm's GraceTime and SUSPEND as its models.
use crate::{Engine, engine::Tape, preempt::Notice};
use bursar_interface::{
    Amount, ClaimId, Ending, LineSize, NONE, Phase, Row, Rung, Shape, Time, What, bound::FREEZE_NS,
};
use std::collections::BTreeMap;

/// What is missing until a promise can be kept, beside what is on its way back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Missing {
    pools: BTreeMap<Row, Amount>,
    /// By ledger, and the kind of it.
    ledgers: BTreeMap<(Row, Row), Amount>,
}

/// What a lease can do on a rung.
enum Offer {
    /// Nothing is missing but what others give.
    Needless,
    /// These lines are to hold so much.
    Lines(Vec<LineSize>),
    /// It would not be enough.
    TooLittle,
}

impl Missing {
    /// How much is missing that a line of this kind could give.
    fn of(&self, engine: &Engine, row: Row, pool: Row, kind: Row) -> Amount {
        let ledgers = engine.ledgers_above(row, kind).filter_map(|ledger| self.ledgers.get(&(ledger, kind)));
        ledgers.chain(self.pools.get(&pool)).copied().max().unwrap_or(0)
    }

    /// So much of it comes back from there.
    fn less(&mut self, engine: &Engine, row: Row, pool: Row, kind: Row, given: Amount) {
        let lower = |cell: &mut Amount| *cell = cell.saturating_sub(given);
        self.pools.get_mut(&pool).map(lower);
        for ledger in engine.ledgers_above(row, kind) {
            self.ledgers.get_mut(&(ledger, kind)).map(lower);
        }
    }

    fn is_nothing(&self) -> bool {
        self.pools.values().chain(self.ledgers.values()).all(|&amount| amount == 0)
    }
}

impl Engine {
    /// The grace of a lease, or its time on a rung, is over.
    pub(crate) fn next_rung(&mut self, tape: &mut Tape<'_>, claim: ClaimId, notice: Notice) {
        let policy = &self.preemption.policy;
        let further = [Rung::Shrunk, Rung::Suspended].into_iter().filter(|&rung| rung > notice.rung);
        let allowed: Vec<Rung> = further
            .filter(|rung| if *rung == Rung::Shrunk { policy.shrink_ns > 0 } else { policy.suspend_ns > 0 })
            .collect();
        // What a ladder without rungs between costs: nothing.
        let missing = if allowed.is_empty() { Missing::default() } else { self.missing_for(notice.by) };
        for rung in allowed {
            match self.offer(claim, notice.by, rung, &missing) {
                Offer::Lines(lines) => return self.take_rung(tape, claim, rung, lines),
                Offer::Needless => {
                    let until = self.rung_ends(rung);
                    let told = What::Rung { claim, rung: notice.rung, until, lines: Vec::new() };
                    return self.emit(tape, None, told);
                }
                Offer::TooLittle => {}
            }
        }
        self.end(tape, None, claim, Ending::Preempted);
    }

    /// Has a lease take a rung: the one way in, whoever it is for.
    pub(crate) fn take_rung(
        &mut self,
        tape: &mut Tape<'_>,
        claim: ClaimId,
        rung: Rung,
        lines: Vec<LineSize>,
    ) {
        let Some(row) = self.books.claim(claim) else { return };
        let until = self.rung_ends(rung);
        self.emit(tape, None, What::Rung { claim, rung, until, lines: lines.clone() });
        if rung == Rung::Shrunk {
            self.change(None, tape, row, claim, lines);
        }
    }

    fn rung_ends(&self, rung: Rung) -> Time {
        let policy = &self.preemption.policy;
        self.books.at().after(if rung == Rung::Shrunk { policy.shrink_ns } else { FREEZE_NS })
    }

    /// What a rung of a lease comes to for the claim that it is told to end for.
    fn offer(&self, claim: ClaimId, by: ClaimId, rung: Rung, missing: &Missing) -> Offer {
        if !self.may_take_rung(claim, rung) {
            return Offer::TooLittle;
        }
        let mut rest = missing.clone();
        let lines = self.give(claim, rung, &mut rest);
        let others = self.preemption.notices.iter().filter(|&(&other, n)| n.by == by && other != claim);
        for (&other, notice) in others.filter(|&(&other, _)| !self.on_its_way(other)) {
            match notice.rung < rung && self.may_take_rung(other, rung) {
                true => drop(self.give(other, rung, &mut rest)),
                false => self.give_all(other, &mut rest),
            }
        }
        match (rest.is_nothing(), lines.is_empty()) {
            (false, _) => Offer::TooLittle,
            (true, true) => Offer::Needless,
            (true, false) => Offer::Lines(lines),
        }
    }

    /// Whether a lease is one that can take a rung at all: true, on its own, and not being changed already.
    fn may_take_rung(&self, claim: ClaimId, rung: Rung) -> bool {
        let Some(row) = self.books.claim(claim) else { return false };
        let bodied = self.books.tables().claims.bodied[row as usize] != 0;
        self.books.phase(row) == Phase::Held
            && self.books.child_count(claim) == 0
            && !self.resizing.contains_key(&claim)
            && (rung == Rung::Shrunk || bodied)
            // Whoever is frozen gives back no thing that somebody waits for.
            && (rung == Rung::Shrunk || !self.is_awaited(claim))
    }

    /// What a lease gives up on a rung of what is missing, and that it is missing no more.
    fn give(&self, claim: ClaimId, rung: Rung, missing: &mut Missing) -> Vec<LineSize> {
        let Some(row) = self.books.claim(claim) else { return Vec::new() };
        let mut helps = false;
        let mut lines = Vec::new();
        for (line, pool, kind, held) in self.held_lines(row) {
            let step = self.books.spec(kind).step.max(1);
            let wanted = missing.of(self, row, pool, kind);
            let slack = self.slack(claim, line, kind, held, rung);
            let given = match rung {
                Rung::Suspended => slack,
                _ => wanted.div_ceil(step).saturating_mul(step).min(slack),
            };
            helps |= given > 0 && wanted > 0;
            if given > 0 {
                missing.less(self, row, pool, kind, given);
                lines.push(LineSize { line, amount: held - given });
            }
        }
        if helps { lines } else { Vec::new() }
    }

    /// How much of a line can be given up on a rung.
    fn slack(&self, claim: ClaimId, line: u32, kind: Row, held: Amount, rung: Rung) -> Amount {
        let (spec, policy) = (self.books.spec(kind), &self.preemption.policy);
        match rung {
            Rung::Suspended if policy.idle.contains(&spec.name) => held,
            Rung::Shrunk if spec.shape == Shape::Capacity && !spec.driven => {
                let before = self.preemption.lessened.get(&claim);
                let before = before.and_then(|l| l.before.iter().find(|size| size.line == line));
                let whole = before.map_or(held, |size| size.amount);
                let share = (u128::from(whole) * u128::from(policy.shrink_to)).div_ceil(100);
                let floor = Amount::try_from(share).unwrap_or(Amount::MAX).max(spec.min).max(1);
                held.saturating_sub(floor.div_ceil(spec.step.max(1)).saturating_mul(spec.step.max(1)))
            }
            _ => 0,
        }
    }

    /// As if a lease ended.
    fn give_all(&self, claim: ClaimId, missing: &mut Missing) {
        let Some(row) = self.books.claim(claim) else { return };
        for (_, pool, kind, held) in self.held_lines(row) {
            missing.less(self, row, pool, kind, held);
        }
    }

    /// The lines of a claim that come back: their number, pool, kind and amount.
    pub(crate) fn held_lines(&self, row: Row) -> impl Iterator<Item = (u32, Row, Row, Amount)> + '_ {
        let tables = self.books.tables();
        let lines = (0..).zip(tables.claims.line_rows(row).map(|line| line as usize));
        lines
            .map(|(n, l)| (n, tables.lines.pool[l], tables.lines.resource[l], tables.lines.amount[l]))
            .filter(|&(_, pool, kind, _)| pool != NONE && self.is_held(kind))
    }

    fn ledgers_above(&self, row: Row, kind: Row) -> impl Iterator<Item = Row> + '_ {
        self.books.quotas_of(self.books.tables().claims.scope[row as usize], kind)
    }

    /// Whether a lease that was told is about to give something: it drains, it is being changed, or it is to
    /// be frozen.
    fn on_its_way(&self, claim: ClaimId) -> bool {
        let draining = self.books.claim(claim).is_some_and(|row| self.books.phase(row) == Phase::Draining);
        draining || self.resizing.contains_key(&claim) || self.is_freezing(claim)
    }

    /// Whether an edge has yet to say that a lease is frozen.
    pub(crate) fn is_freezing(&self, claim: ClaimId) -> bool {
        let told = self.preemption.notices.get(&claim).is_some_and(|n| n.rung == Rung::Suspended);
        told && !self.is_frozen(claim)
    }

    /// What is missing until a promise can be kept, beside what is on its way back for it.
    fn missing_for(&mut self, by: ClaimId) -> Missing {
        let mut missing = Missing::default();
        let Some(row) = self.books.claim(by) else { return missing };
        let pools =
            self.preemption.promises.get(&by).map(|promise| promise.pools.clone()).unwrap_or_default();
        let kept = self.withhold_promised(self.bound(by, row));
        let tables = self.books.tables();
        for (line, pool) in tables.claims.line_rows(row).map(|line| line as usize).zip(pools) {
            let kind = tables.lines.resource[line];
            if let (Some(pool), true) = (self.books.pool(pool), self.is_held(kind)) {
                *missing.pools.entry(pool).or_default() += tables.lines.amount[line];
                let scope = tables.claims.scope[row as usize];
                let short = self.books.ledgers_short(scope, kind, self.books.asked(row, kind));
                missing.ledgers.extend(short.map(|(ledger, by)| ((ledger, kind), by)));
            }
        }
        for (&pool, amount) in &mut missing.pools {
            *amount = amount.saturating_sub(self.books.view().pools.free(pool));
        }
        self.restore_promised(&kept);
        let told = self.preemption.notices.iter().filter(|(_, notice)| notice.by == by);
        let coming: Vec<ClaimId> = told.map(|(&claim, _)| claim).filter(|&c| self.on_its_way(c)).collect();
        for claim in coming {
            self.expect_back(claim, &mut missing);
        }
        missing
    }

    /// What ledgers will have back of leases that go on with less, once that is true.
    pub(crate) fn add_lessening(&self, gone: &mut BTreeMap<Row, Amount>) {
        let sizes = self.resizing.iter().map(|(&claim, resizing)| (claim, resizing.to.clone()));
        let told = self.preemption.notices.keys().filter(|&&claim| self.is_freezing(claim));
        let frozen = told.filter_map(|&claim| Some((claim, self.idle_lines(self.books.claim(claim)?))));
        for (claim, lines) in sizes.chain(frozen) {
            let Some(row) = self.books.claim(claim) else { continue };
            for (line, _, kind, held) in self.held_lines(row) {
                let to = lines.iter().find(|size| size.line == line).map_or(held, |size| size.amount);
                let ledgers = self.ledgers_above(row, kind);
                ledgers.for_each(|ledger| *gone.entry(ledger).or_default() += held.saturating_sub(to));
            }
        }
    }

    /// What a lease that is on its way down gives back by itself.
    fn expect_back(&self, claim: ClaimId, missing: &mut Missing) {
        let Some(row) = self.books.claim(claim) else { return };
        match self.resizing.get(&claim) {
            Some(resizing) => {
                for (line, pool, kind, held) in self.held_lines(row) {
                    let to = resizing.to.iter().find(|size| size.line == line);
                    let less = to.map_or(0, |size| held.saturating_sub(size.amount));
                    missing.less(self, row, pool, kind, less);
                }
            }
            None if self.is_freezing(claim) => drop(self.give(claim, Rung::Suspended, missing)),
            // What is in quarantine may never come.
            None if self.books.quarantined(row) => {}
            None => self.give_all(claim, missing),
        }
    }
}
