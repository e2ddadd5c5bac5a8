//! What is spent for good: rates at the grant, budgets when the actual is known, each on its pool and on
//! every bound above the spender.
use crate::{
    Books,
    lease::Account,
    meter::{Flow, Meter},
    outstanding::Level,
};
use bursar_interface::{Amount, NONE, Refill, Row, Shape, Time, canary};

impl Books {
    /// How a line's kind is counted.
    pub fn shape(&self, resource: Row) -> Shape {
        Shape::of(self.tables.resources.shape[resource as usize])
    }

    /// What a granted line keeps from others while it lives: rates are spent at once, and a budget that was
    /// settled holds nothing back any more.
    pub(crate) fn holds(&self, line: Row) -> Amount {
        let (lines, l) = (&self.tables.lines, line as usize);
        match self.shape(lines.resource[l]) {
            Shape::Rate => 0,
            Shape::Budget if lines.used[l] != Amount::MAX => 0,
            _ => lines.amount[l],
        }
    }

    /// A line is granted: what it holds is held, what it spends is spent.
    pub(crate) fn begin_line(&mut self, line: Row, pool: Row, scope: Row, account: Account) {
        let (resource, amount) =
            (self.tables.lines.resource[line as usize], self.tables.lines.amount[line as usize]);
        if self.shape(resource) == Shape::Rate {
            self.spend(line, pool, scope, resource, (0, amount));
        } else {
            self.enter(pool, account, amount);
            self.charge(scope, resource, amount, false);
        }
    }

    /// A line's claim is gone: what it held is free, and a budget whose actual nobody told counts as spent.
    pub(crate) fn end_line(&mut self, line: Row, pool: Row, scope: Row, account: Account) {
        let (resource, amount) = (self.tables.lines.resource[line as usize], self.holds(line));
        self.forget_stretches(line, pool, scope, resource);
        if amount == 0 {
            return;
        }
        self.leave(pool, account, amount);
        if !canary!("the scope gets nothing back") {
            self.charge(scope, resource, amount, true);
        }
        if self.shape(resource) == Shape::Budget && !canary!("an unknown outcome is free") {
            self.spend(NONE, pool, scope, resource, (0, amount));
        }
    }

    /// The actual of a granted line: of a rate the difference to what was spent for it flows back or is
    /// spent as well, of a budget the actual takes the place of the hold.
    pub(crate) fn settle_line(&mut self, line: Row, scope: Row, account: Account, used: Amount) {
        let l = line as usize;
        let (pool, resource, amount) =
            (self.tables.lines.pool[l], self.tables.lines.resource[l], self.tables.lines.amount[l]);
        let known = Some(self.tables.lines.used[l]).filter(|&used| used != Amount::MAX);
        // What those within it spent comes on top of what it used itself, and is counted already where it
        // is beyond the estimate.
        let drawn = self.drawn_from(line);
        match (self.shape(resource), known) {
            (Shape::Rate, Some(_)) if canary!("who settles twice is refunded twice") => {
                self.spend(line, pool, scope, resource, (amount, used))
            }
            (Shape::Budget, Some(_)) if canary!("who settles twice is charged twice") => {
                self.spend(line, pool, scope, resource, (0, used))
            }
            (Shape::Rate | Shape::Budget, Some(known)) => {
                self.spend(line, pool, scope, resource, (known, used));
            }
            (Shape::Rate, None) => {
                self.spend(line, pool, scope, resource, (amount.max(drawn), used.saturating_add(drawn)));
            }
            (Shape::Budget, None) => {
                self.leave(pool, account, amount);
                self.charge(scope, resource, amount, true);
                let counted = drawn.saturating_sub(amount);
                self.spend(line, pool, scope, resource, (counted, used.saturating_add(drawn)));
            }
            _ => {}
        }
        self.tables.lines.used[l] = used;
        self.tables.lines.touch(line, self.epoch);
    }

    /// What a line (or nobody who could give back of it: [`NONE`]) spent, counted as `before`, has come to `now`:
    /// on the pool, and on the bounds of the scope and those above it. What is more is spent as well; what is less
    /// is given back as far as it has not come back by itself, meter by meter.
    pub fn spend(
        &mut self,
        line: Row,
        pool: Row,
        scope: Row,
        resource: Row,
        (before, now): (Amount, Amount),
    ) {
        let shape = self.shape(resource);
        let meter = self.recount(line, Level::Pool(pool), self.pool_meter(pool), (before, now), shape);
        self.set_pool_meter(pool, meter);
        let mut at = scope;
        while at != NONE {
            let known = self.ledger_of(at, resource);
            at = self.tables.scopes.parent[at as usize];
            // Where there is no bound, nothing is counted towards one that may come.
            let known = known.filter(|&quota| self.tables.quotas.set[quota as usize] != 0);
            let Some(quota) = known else { continue };
            let level = self.quota_meter(quota);
            let counted = self.recount(line, Level::Ledger(quota), level, (before, now), shape);
            let Meter { spent, due, rest } = counted;
            let (table, q) = (&mut self.tables.quotas, quota as usize);
            (table.spent[q], table.due[q], table.rest[q]) = (spent, due, rest);
            table.touch(quota, self.epoch);
            if !self.assured.meters.is_empty() {
                self.spend_assured(quota, level.spent, spent);
            }
        }
    }

    /// Lets what was spent of pools come back up to now; says of which kinds more is free since.
    pub(crate) fn refill(&mut self, mut freed: impl FnMut(Row)) {
        for i in 0..self.metered.len() {
            let pool = self.metered[i];
            let (before, meter) = (self.tables.pools.spent[pool as usize], self.pool_meter(pool));
            if meter.spent < before {
                freed(self.tables.pools.resource[pool as usize]);
            }
            self.set_pool_meter(pool, meter);
        }
    }

    /// How a pool's supply comes back from now on.
    pub(crate) fn set_pool_refill(&mut self, pool: Row, refill: &Refill) {
        let (pools, p) = (&mut self.tables.pools, pool as usize);
        let before = std::mem::replace(&mut pools.period[p], refill.period_ns);
        if before != refill.period_ns && refill.period_ns > 0 {
            let shape = Shape::of(self.tables.resources.shape[pools.resource[p] as usize]);
            pools.due[p] = first_due(shape, refill, self.at);
            pools.rest[p] = 0;
            if !self.metered.contains(&pool) {
                self.metered.push(pool);
            }
        }
    }

    /// Counts what came back of a bound up to now: before it comes back otherwise.
    pub(crate) fn count_quota(&mut self, quota: Row) {
        let meter = self.quota_meter(quota);
        let (quotas, q) = (&mut self.tables.quotas, quota as usize);
        (quotas.spent[q], quotas.due[q], quotas.rest[q]) = (meter.spent, meter.due, meter.rest);
    }

    /// How a bound comes back from now on.
    pub(crate) fn set_quota_refill(&mut self, quota: Row, refill: &Refill) {
        let shape = self.shape(self.tables.quotas.resource[quota as usize]);
        let ceiling = self.ceiling(quota);
        let (quotas, q) = (&mut self.tables.quotas, quota as usize);
        quotas.burst[q] = if refill.burst > 0 { refill.burst } else { ceiling };
        if std::mem::replace(&mut quotas.period[q], refill.period_ns) != refill.period_ns {
            quotas.due[q] = first_due(shape, refill, self.at);
            quotas.rest[q] = 0;
        }
    }

    /// A pool's meter as of now.
    pub(crate) fn pool_meter(&self, pool: Row) -> Meter {
        self.pool_meter_at(pool, self.at)
    }

    fn pool_meter_at(&self, pool: Row, at: Time) -> Meter {
        let (pools, p) = (&self.tables.pools, pool as usize);
        let meter = Meter { spent: pools.spent[p], due: pools.due[p], rest: pools.rest[p] };
        meter.at(self.pool_flow(pool), at.0)
    }

    /// What of a pool is free, and what is spent and not back yet, as it will be at a later moment if nothing is
    /// asked for until then.
    pub fn free_and_spent(&self, pool: Row, at: Time) -> (Amount, Amount) {
        let spent = self.pool_meter_at(pool, at.max(self.at)).spent;
        (self.free_beside_spent(pool, spent), spent)
    }

    pub(crate) fn pool_flow(&self, pool: Row) -> Flow {
        let (pools, p) = (&self.tables.pools, pool as usize);
        Flow { shape: self.shape(pools.resource[p]), capacity: pools.capacity[p], period: pools.period[p] }
    }

    fn set_pool_meter(&mut self, pool: Row, meter: Meter) {
        let (pools, p) = (&mut self.tables.pools, pool as usize);
        let before = (pools.spent[p], pools.due[p], pools.rest[p]);
        if before == (meter.spent, meter.due, meter.rest) {
            return;
        }
        (pools.spent[p], pools.due[p], pools.rest[p]) = (meter.spent, meter.due, meter.rest);
        self.count_free(pool);
    }

    /// A bound's meter as of now. The row itself is counted up only when something is spent.
    pub(crate) fn quota_meter(&self, quota: Row) -> Meter {
        self.quota_meter_at(quota, self.at)
    }

    fn quota_meter_at(&self, quota: Row, at: Time) -> Meter {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let meter = Meter { spent: quotas.spent[q], due: quotas.due[q], rest: quotas.rest[q] };
        meter.at(self.quota_flow(quota), at.0)
    }

    pub(crate) fn quota_flow(&self, quota: Row) -> Flow {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        Flow {
            shape: self.shape(quotas.resource[q]),
            capacity: self.ceiling(quota),
            period: quotas.period[q],
        }
    }

    /// What a scope and those below it hold of a bound, and what they spent and is not back yet, as of now.
    pub fn level(&self, quota: Row) -> Amount {
        self.level_at(quota, self.at)
    }

    /// As [`Books::level`], as it will be at a later moment if nothing more is spent until then.
    pub fn level_at(&self, quota: Row, at: Time) -> Amount {
        self.tables.quotas.charged[quota as usize].saturating_add(self.quota_meter_at(quota, at).spent)
    }
}

fn first_due(shape: Shape, refill: &Refill, at: Time) -> u64 {
    match shape {
        Shape::Budget if refill.due > at => refill.due.0,
        Shape::Budget => at.after(refill.period_ns).0,
        _ => at.0,
    }
}
