//! A live lease that is to hold other amounts: what that is short of, and the change itself.
use crate::{Books, lease::Account};
use bursar_interface::{Amount, LineSize, Row, Shape, canary};

/// What a lease that is to grow is short of, and by how much.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tight {
    /// Room in a ledger above it.
    Ledger {
        /// Which.
        ledger: Row,
        /// By how much it is to grow.
        asked: Amount,
        /// What has to come back for that: more than it, where more is held than there is.
        by: Amount,
    },
    /// What is free of a pool.
    Pool {
        /// Which.
        pool: Row,
        /// By how much it is to grow.
        asked: Amount,
        /// What has to come back for that.
        by: Amount,
    },
}

impl Books {
    /// What is short for a granted claim to grow so, beside what is `kept` of pools for others: first in
    /// the ledgers of its scope and those above, then in its pools. Asked before every growth.
    pub fn growth_short(&self, claim: Row, to: &[LineSize], kept: &[(Row, Amount)]) -> Vec<Tight> {
        let mut short = Vec::new();
        let mut kinds: Vec<(Row, Amount)> = Vec::new();
        let mut pools: Vec<(Row, Amount)> = Vec::new();
        for &LineSize { line, amount } in to {
            let l = (self.tables.claims.first_line[claim as usize] + line) as usize;
            let more = self.growth(l as Row, claim, amount);
            add(&mut kinds, self.tables.lines.resource[l], more);
            add(&mut pools, self.tables.lines.pool[l], more);
        }
        let scope = self.tables.claims.scope[claim as usize];
        for (kind, more) in kinds {
            let tight = self.ledger_short(scope, kind, more);
            short.extend(tight.map(|(ledger, by)| Tight::Ledger { ledger, asked: more, by }));
        }
        for (pool, more) in pools {
            let kept: Amount = kept.iter().filter(|(of, _)| *of == pool).map(|(_, kept)| kept).sum();
            let free = self.room_for_holder(claim, pool).saturating_sub(kept);
            if more > free {
                let by = (more - free).saturating_add(self.overdrawn(pool));
                short.push(Tight::Pool { pool, asked: more, by });
            }
        }
        short
    }

    /// How much more a line counts as, once it is of this amount: what those within it spent above the estimate is
    /// charged already, and of a budget takes the place of that charge as far as it can still be given back.
    fn growth(&self, line: Row, claim: Row, amount: Amount) -> Amount {
        let l = line as usize;
        let (resource, before) = (self.tables.lines.resource[l], self.tables.lines.amount[l]);
        let (drawn, more) = (self.drawn_from(line), amount.saturating_sub(before));
        match self.shape(resource) {
            Shape::Rate => amount.max(drawn).saturating_sub(before.max(drawn)),
            Shape::Budget if drawn > before => {
                let scope = self.tables.claims.scope[claim as usize];
                let back = self.given_back_at_most(line, self.tables.lines.pool[l], scope, resource);
                more - more.min(drawn - before).min(back)
            }
            _ => more,
        }
    }

    /// A line of a granted claim holds so much from now on. What of a rate is given back flows back as with
    /// a settlement; a budget that was settled already holds nothing that could change. What those within spent above
    /// the one or the other amount is counted once.
    pub fn resize(&mut self, claim: Row, LineSize { line, amount }: LineSize) {
        let rows = self.tables.claims.line_rows(claim);
        let Some(account) = self.account(claim).filter(|_| (line as usize) < rows.len()) else { return };
        let (row, l) = (rows.start + line, (rows.start + line) as usize);
        let (pool, resource) = (self.tables.lines.pool[l], self.tables.lines.resource[l]);
        let (scope, before) = (self.tables.claims.scope[claim as usize], self.tables.lines.amount[l]);
        let drawn = match canary!("a resize forgets what was spent within") {
            false if self.spends(resource) => self.drawn_from(row),
            _ => 0,
        };
        match self.shape(resource) {
            // The actual was told meanwhile, and that is what counts.
            Shape::Rate if self.tables.lines.used[l] != Amount::MAX => {}
            _ if amount == before => {}
            Shape::Rate => self.spend(row, pool, scope, resource, (before.max(drawn), amount.max(drawn))),
            // What is settled holds nothing; what was given back whole may be held again.
            _ if before > 0 && self.holds(row) == 0 => {}
            _ => {
                self.hold_otherwise(pool, scope, resource, account, before, amount);
                self.resize_shared(claim, pool, before, amount);
                let beyond = (drawn.saturating_sub(before), drawn.saturating_sub(amount));
                if beyond.0 != beyond.1 {
                    self.spend(row, pool, scope, resource, beyond);
                }
            }
        }
        self.tables.lines.amount[l] = amount;
        self.tables.lines.touch(row, self.epoch);
    }

    fn hold_otherwise(
        &mut self,
        pool: Row,
        scope: Row,
        resource: Row,
        account: Account,
        before: Amount,
        now: Amount,
    ) {
        if now > before {
            self.enter(pool, account, now - before);
            self.charge(scope, resource, now - before, false);
        } else {
            self.leave(pool, account, before - now);
            self.charge(scope, resource, before - now, true);
        }
    }
}

fn add(sums: &mut Vec<(Row, Amount)>, of: Row, more: Amount) {
    match sums.iter_mut().find(|(known, _)| *known == of) {
        Some((_, sum)) => *sum += more,
        None => sums.push((of, more)),
    }
}
