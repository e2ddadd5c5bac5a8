//! Who may take from whom: guarantees first, then bands. Asked whenever a lease is chosen, and again when
//! its grace is over, or bounds have changed.
use crate::{Engine, engine::Tape};
use bursar_interface::{Amount, ClaimId, Claimed, NONE, Row, canary};
use std::collections::BTreeMap;

/// What is supposed to have been given back, by ledger.
pub(crate) type Gone = BTreeMap<Row, Amount>;

/// By what right a lease may be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Right {
    pub(crate) why: Claimed,
    /// Part of it is within the guarantee of its scope, which it only fits into with what it borrows.
    pub(crate) straddles: bool,
}

impl Engine {
    /// A claim's band: smaller goes first.
    pub(crate) fn band(&self, row: Row) -> u32 {
        let (claims, bands) = (&self.books.tables().claims, &self.preemption.policy.bands);
        let below = bands.iter().filter(|&&from| claims.priority[row as usize] < from).count() as u32;
        claims.class[row as usize] * (bands.len() as u32 + 1) + below
    }

    /// Where a claim stands among those who take from each other: 0 within its guarantee, else by band.
    pub(crate) fn standing(&self, row: Row) -> u32 {
        match self.preemption.policy.reclaim && self.guaranteed_all(row) {
            true => 0,
            false => self.band(row) + 1,
        }
    }

    /// The ledger of a kind that speaks for a scope against those outside of `within`: the topmost with a
    /// guarantee on the way up to it.
    fn speaker(&self, scope: Row, kind: Row, within: Row) -> Option<Row> {
        let quotas = &self.books.tables().quotas;
        let below = self.books.quotas_of(scope, kind).take_while(|&q| quotas.scope[q as usize] != within);
        below.filter(|&q| quotas.guaranteed[q as usize] > 0).last()
    }

    /// Whether what a claim asks of a kind, and what is promised to others there, stays within a guarantee.
    fn stays_within(&self, row: Row, kind: Row, ledger: Row) -> bool {
        let (tables, q) = (self.books.tables(), ledger as usize);
        let at = tables.quotas.scope[q];
        let others = self.preemption.promises.keys().filter_map(|&claim| self.books.claim(claim));
        let promised: Amount = others
            .filter(|&other| other != row)
            .filter(|&other| self.books.chain(tables.claims.scope[other as usize]).any(|up| up == at))
            .map(|other| self.books.asked(other, kind))
            .sum();
        tables.quotas.charged[q] + promised + self.books.asked(row, kind) <= tables.quotas.guaranteed[q]
    }

    /// The kinds that a claim asks for and that are held.
    fn kinds(&self, row: Row) -> impl Iterator<Item = Row> + '_ {
        let tables = self.books.tables();
        let lines = tables.claims.line_rows(row);
        lines.map(|line| tables.lines.resource[line as usize]).filter(|&kind| self.is_held(kind))
    }

    /// Whether some kind that a claim asks for stays within a guarantee of its scope, at any level.
    pub(crate) fn guaranteed_some(&self, row: Row) -> bool {
        let (tables, scope) = (self.books.tables(), self.books.tables().claims.scope[row as usize]);
        self.kinds(row).any(|kind| {
            self.books
                .quotas_of(scope, kind)
                .any(|q| tables.quotas.guaranteed[q as usize] > 0 && self.stays_within(row, kind, q))
        })
    }

    /// Whether all that a claim asks for stays within what is guaranteed to it against everybody.
    fn guaranteed_all(&self, row: Row) -> bool {
        let scope = self.books.tables().claims.scope[row as usize];
        let mut some = false;
        let all = self.kinds(row).all(|kind| {
            some = true;
            self.speaker(scope, kind, 0).is_some_and(|ledger| self.stays_within(row, kind, ledger))
        });
        some && all
    }

    /// By what right a claim may take a lease for the sake of `wanted` kinds, once all of `gone` is given
    /// back; `None` if it may not.
    pub(crate) fn right(&self, row: Row, victim: Row, wanted: &[Row], gone: &Gone) -> Option<Right> {
        let theirs = self.books.tables().claims.scope[victim as usize];
        let common = self.common(row, victim);
        let straddles = self.beyond_guarantee(victim, theirs, common, gone)?;
        let policy = &self.preemption.policy;
        let lent = self.has_lent(row, victim, wanted, common);
        let (own, other) = (self.band(row), self.band(victim));
        let band = policy.by_band
            && (own < other
                || own == other && canary!("a band takes from its own")
                || own != other && canary!("who stands behind takes back"));
        #[cfg(test)]
        let band = band || self.preemption.either_way && self.band(row) != self.band(victim);
        let why = match (lent, band) {
            (true, _) => Claimed::Lent,
            (_, true) => Claimed::Band,
            _ => return None,
        };
        Some(Right { why, straddles })
    }

    /// Whether a lease holds only what it has lent, of the `wanted` kinds, of the scope of a claim that stays within
    /// its guarantee; `common` is the lowest scope of both.
    fn has_lent(&self, row: Row, victim: Row, wanted: &[Row], common: Row) -> bool {
        let claims = &self.books.tables().claims;
        let (mine, theirs) = (claims.scope[row as usize], claims.scope[victim as usize]);
        let mut kinds = wanted.iter().filter(|&&kind| self.books.asked(victim, kind) > 0).peekable();
        self.preemption.policy.reclaim
            && theirs != mine
            && kinds.peek().is_some()
            && kinds.all(|&kind| {
                self.speaker(mine, kind, common).is_some_and(|ledger| self.stays_within(row, kind, ledger))
            })
    }

    /// The lowest scope that is above both.
    fn common(&self, row: Row, victim: Row) -> Row {
        let claims = &self.books.tables().claims;
        let (mine, theirs) = (claims.scope[row as usize], claims.scope[victim as usize]);
        let mut above = self.books.chain(theirs);
        above.find(|&up| self.books.chain(mine).any(|own| own == up)).unwrap_or(0)
    }

    /// Bounds changed: of those for whom others give back what they have lent, whom no guarantee covers any more. Of
    /// several below one guarantee the last ones.
    pub(crate) fn disown(&mut self, tape: &mut Tape<'_>) {
        let promised: Vec<ClaimId> = self.preemption.promises.keys().rev().copied().collect();
        for by in promised {
            let Some(row) = self.books.claim(by) else { continue };
            let wanted = self.wanted(row);
            let lent = self
                .preemption
                .notices
                .iter()
                .filter(|(_, notice)| notice.by == by && notice.why == Claimed::Lent);
            let mut victims = lent.filter_map(|(&victim, _)| self.books.claim(victim));
            if victims.any(|victim| !self.has_lent(row, victim, &wanted, self.common(row, victim))) {
                self.unpromise(tape, by);
            }
        }
    }

    /// `None` where a lease is within a guarantee of its scope, at any level below `common`; else whether it
    /// is in part.
    fn beyond_guarantee(&self, victim: Row, scope: Row, common: Row, gone: &Gone) -> Option<bool> {
        let (tables, mut straddles) = (self.books.tables(), false);
        for line in tables.claims.line_rows(victim).map(|line| line as usize) {
            let kind = tables.lines.resource[line];
            if !self.is_held(kind) || tables.lines.pool[line] == NONE {
                continue;
            }
            let asked = self.books.asked(victim, kind);
            let ledgers = self.books.quotas_of(scope, kind);
            for q in ledgers.take_while(|&q| tables.quotas.scope[q as usize] != common) {
                let guaranteed = tables.quotas.guaranteed[q as usize];
                let held =
                    tables.quotas.charged[q as usize].saturating_sub(gone.get(&q).copied().unwrap_or(0));
                if guaranteed > 0 && held <= guaranteed && !canary!("a guarantee is cut into") {
                    return None;
                }
                straddles |= guaranteed > 0 && held < guaranteed + asked;
            }
        }
        Some(straddles)
    }

    /// Whether a lease that was told to end may still be taken: its scope may have come to be within its
    /// guarantee meanwhile. What drains already is gone.
    pub(crate) fn still_takeable(&self, claim: ClaimId, by: ClaimId) -> bool {
        let (Some(victim), Some(row)) = (self.books.claim(claim), self.books.claim(by)) else { return false };
        let theirs = self.books.tables().claims.scope[victim as usize];
        let common = self.common(row, victim);
        self.beyond_guarantee(victim, theirs, common, &self.leaving()).is_some()
    }
}
