//! Who holds what a claim waits for, set by set of its lines, as far as somebody may see them: whom one may not
//! see leaves no gap.
use crate::{Engine, Short, Why};
use bursar_interface::{Amount, ClaimId, NONE, Phase, Reason, Row, bound::NAMED_MAX};
use std::ops::Range;

impl Engine {
    /// Why a waiting claim waits, for each of its sets of lines in order, with those holders of what is short
    /// whose rows `sees` says yes to; `None` if it does not wait. Reads every live lease.
    pub fn explain_to(&self, claim: ClaimId, sees: &dyn Fn(Row) -> bool) -> Option<Vec<Why>> {
        let row = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)?;
        let told = Reason::of(self.books.tables().claims.reason[row as usize]);
        let set = |set: usize| {
            let lines = self.books.set_rows(row, set);
            let mut why = if set == 0 { self.why(row) } else { self.why_in(row, lines.clone()) };
            if let (true, Some(told)) = (why.short.is_empty(), told) {
                // Enough is there, and kept for somebody who came before.
                why.reason = told;
            }
            let within = self.books.slice_short(row).is_some();
            let ledger = self.books.quota_short_in(row, lines.clone()).map(|(quota, _)| quota);
            for short in &mut why.short {
                short.holders = match within {
                    true => self.siblings(row, sees),
                    false => self.holders(lines.clone(), short.resource, ledger, sees),
                };
            }
            why
        };
        Some((0..self.books.sets(row)).map(set).collect())
    }

    /// Those who hold most of a kind: where a ledger binds in that, and else where the lines may be taken from.
    fn holders(
        &self,
        lines: Range<Row>,
        resource: Row,
        ledger: Option<Row>,
        sees: &dyn Fn(Row) -> bool,
    ) -> Vec<ClaimId> {
        let view = self.books.view();
        let wants = lines.map(|line| line as usize).filter(|&l| view.lines.resource[l] == resource);
        let wants: Vec<Row> = wants.map(|l| view.lines.want[l]).filter(|&want| want != NONE).collect();
        let bound = ledger.map(|quota| view.quotas.scope[quota as usize]);
        let counts = |l: usize| {
            let pool = view.lines.pool[l];
            pool != NONE
                && view.lines.resource[l] == resource
                && (wants.is_empty() || wants.contains(&pool) || view.pools.node[pool as usize] != NONE)
        };
        let there = |&c: &usize| view.claims.id[c] != 0 && self.books.phase(c as Row) > Phase::Pending;
        let held = |c: usize| {
            let lines = view.claims.line_rows(c as Row).map(|line| line as usize);
            let amount: Amount = lines.filter(|&l| counts(l)).map(|l| view.lines.amount[l]).sum();
            (amount > 0).then_some((amount, c as Row))
        };
        let below = |&(_, row): &(Amount, Row)| {
            let scope = view.claims.scope[row as usize];
            bound.is_none_or(|bound| self.books.chain(scope).any(|up| up == bound))
        };
        let all = (0..view.claims.len()).filter(there).filter_map(held);
        let mut shares: Vec<(Amount, Row)> = all.filter(below).filter(|&(_, row)| sees(row)).collect();
        if shares.len() > NAMED_MAX {
            shares.select_nth_unstable_by(NAMED_MAX, |a, b| b.cmp(a));
            shares.truncate(NAMED_MAX);
        }
        shares.sort_unstable_by(|a, b| b.cmp(a));
        shares.into_iter().map(|(_, row)| ClaimId(view.claims.id[row as usize])).collect()
    }

    /// What a gang is short of as a whole, though none of it is short by itself: all are of one scope.
    pub(crate) fn gang_short(&self, claim: ClaimId, row: Row) -> Option<Why> {
        let tables = self.books.tables();
        let (sums, named) = self.gang_sums(&self.gang(claim)?);
        let scope = tables.claims.scope[row as usize];
        let short = |resource, by| Short { resource, by, holders: Vec::new() };
        let free = |kind: Row| tables.resources.free[kind as usize];
        let ledger = |(&kind, &asked): (&Row, &Amount)| {
            Some(short(kind, self.books.ledger_short(scope, kind, asked)?.1))
        };
        let mut shorts: Vec<Short> = sums
            .iter()
            .filter(|&(&kind, &asked)| asked > free(kind))
            .map(|(&kind, &asked)| short(kind, asked - free(kind)))
            .collect();
        for (pool, asked) in named {
            let (kind, by) = (tables.pools.resource[pool as usize], self.books.missing(pool, asked));
            if by > 0 && shorts.iter().all(|short| short.resource != kind) {
                shorts.push(short(kind, by));
            }
        }
        shorts.extend(sums.iter().find_map(ledger).filter(|_| shorts.is_empty()));
        (!shorts.is_empty()).then_some(Why { reason: Reason::WaitingForGang, short: shorts, retry_at: None })
    }
}
