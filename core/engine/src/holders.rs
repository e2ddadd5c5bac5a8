//! Who holds what a claim waits for, set by set of its lines, as far as somebody may see them: whom one may not
//! see leaves no gap.
use crate::{Engine, Short, Why};
use bursar_interface::{Amount, ClaimId, NONE, Phase, Reason, Row, Time, bound::NAMED_MAX};
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
            let ledger = self.binding_ledger(row, lines.clone());
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
        let ledgers = sums
            .iter()
            .filter_map(|(&kind, &asked)| Some((kind, self.books.ledger_short(scope, kind, asked)?.1)));
        let bound: Vec<(Row, Amount)> = ledgers.collect();
        let (reason, retry_at) = self.gang_reason(claim, row, &shorts, &bound);
        shorts.extend(bound.first().filter(|_| shorts.is_empty()).map(|&(kind, by)| short(kind, by)));
        (!shorts.is_empty()).then_some(Why { reason, short: shorts, retry_at })
    }

    /// The word for what a whole gang is short of in pools, and of room in ledgers `bound`, by what is there last.
    fn gang_reason(
        &self,
        claim: ClaimId,
        row: Row,
        shorts: &[Short],
        bound: &[(Row, Amount)],
    ) -> (Reason, Option<Time>) {
        let lines = self.books.tables().claims.line_rows(row);
        let pools = shorts.iter().map(|short| (short.resource, Reason::WaitingForGang));
        let ledgers = bound.iter().map(|&(kind, _)| (kind, Reason::InsufficientQuota));
        let all = pools.chain(ledgers).map(|(kind, held)| match self.spent(kind) {
            Some(spent) => (spent, self.flows_back(claim, lines.clone(), kind)),
            None => (held, None),
        });
        let when = |of: &(Reason, Option<Time>)| of.1.unwrap_or(Time::NEVER);
        let last = all.reduce(|last, other| if when(&other) > when(&last) { other } else { last });
        last.unwrap_or((Reason::WaitingForGang, None))
    }

    /// The ledger that binds for one set of a waiting claim's lines, or for the whole gang that it waits with.
    pub fn binding_ledger(&self, row: Row, lines: Range<Row>) -> Option<Row> {
        let own = self.books.quota_short_in(row, lines).map(|(quota, _)| quota);
        own.or_else(|| self.gang_ledger(row))
    }

    /// The ledger of which a whole gang is short, though there is enough in the pools.
    fn gang_ledger(&self, row: Row) -> Option<Row> {
        let tables = self.books.tables();
        let claim = ClaimId(tables.claims.id[row as usize]);
        if !self.is_ganged(claim) || self.waits_for_others(claim) {
            return None;
        }
        let (sums, named) = self.gang_sums(&self.gang(claim)?);
        let short = |(&kind, &asked): (&Row, &Amount)| asked > tables.resources.free[kind as usize];
        if sums.iter().any(short) || named.iter().any(|(&pool, &asked)| self.books.missing(pool, asked) > 0) {
            return None;
        }
        let scope = tables.claims.scope[row as usize];
        let ledger = |(&kind, &asked): (&Row, &Amount)| self.books.ledger_short(scope, kind, asked);
        sums.iter().find_map(ledger).map(|(quota, _)| quota)
    }
}
