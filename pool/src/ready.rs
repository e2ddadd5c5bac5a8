//! When what is asked for will have come back by itself: in one pool, in all of a kind together, under a bound. What is
//! spent and held beyond what there is comes back before anything is free again.
use crate::{Books, quota::ROOT};
use bursar_interface::{Amount, NONE, Row, Time};

impl Books {
    /// The pools of a kind that lie on no node.
    pub(crate) fn floating(&self, resource: Row) -> impl Iterator<Item = Row> + Clone + '_ {
        self.listed(self.tables.resources.first_floating[resource as usize])
    }

    /// A pool and those that are listed behind it.
    fn listed(&self, first: Row) -> impl Iterator<Item = Row> + Clone + '_ {
        let some = |pool: Row| Some(pool).filter(|&pool| pool != NONE);
        std::iter::successors(some(first), move |&pool| some(self.tables.pools.next[pool as usize]))
    }

    /// The pools of which a line may be spent: the one that it wants, or where that is [`NONE`] any of the kind, on
    /// whichever node; of those that carry one of the labels `models` where that is not 0.
    pub fn spent_from(
        &self,
        resource: Row,
        want: Row,
        models: u64,
    ) -> impl Iterator<Item = Row> + Clone + '_ {
        let (pools, resources, r) = (&self.tables.pools, &self.tables.resources, resource as usize);
        let first = if want == NONE { resources.first_floating[r] } else { want };
        let floating = self.listed(first).take(if want == NONE { usize::MAX } else { 1 });
        let on_nodes = if want == NONE && resources.largest[r] > 0 { &self.metered[..] } else { &[] };
        let on_nodes = on_nodes.iter().copied();
        let on_nodes = on_nodes
            .filter(move |&p| pools.resource[p as usize] == resource && pools.node[p as usize] != NONE);
        let carries = move |&p: &Row| models == 0 || pools.labels[p as usize] & models != 0;
        floating.chain(on_nodes).filter(carries)
    }

    /// By how much more is spent and held of a pool than there is of it.
    pub fn overdrawn(&self, pool: Row) -> Amount {
        let (pools, p) = (&self.tables.pools, pool as usize);
        let used = pools.reserved[p] + pools.held[p] + pools.quarantined[p];
        used.saturating_add(pools.spent[p]).saturating_sub(pools.offered[p])
    }

    /// What has to come back of a pool before so much is free of it; 0 where it is there.
    pub fn missing(&self, pool: Row, asked: Amount) -> Amount {
        match asked.saturating_sub(self.tables.pools.free(pool)) {
            0 => 0,
            more => more.saturating_add(self.overdrawn(pool)),
        }
    }

    /// As [`Books::missing`], of a kind: of which nothing is free before one of its pools has come out of its debt.
    pub fn missing_of(&self, resource: Row, asked: Amount) -> Amount {
        match asked.saturating_sub(self.tables.resources.free[resource as usize]) {
            0 => 0,
            // On nodes there are too many pools to look at.
            more if self.tables.resources.largest[resource as usize] > 0 => more,
            more => {
                let owed = self.floating(resource).map(|pool| self.overdrawn(pool)).min();
                more.saturating_add(owed.unwrap_or(0))
            }
        }
    }

    /// When so much is free of a pool by what comes back by itself: now where it is there, `None` where it never is.
    pub fn pool_ready(&self, pool: Row, asked: Amount) -> Option<Time> {
        match self.missing(pool, asked) {
            0 => Some(self.at),
            missing => self.pool_back(pool, missing),
        }
    }

    /// When so much of what was spent of a pool will have come back; `None` for never.
    pub fn pool_back(&self, pool: Row, missing: Amount) -> Option<Time> {
        self.pool_meter(pool).ready(self.pool_flow(pool), missing).map(Time)
    }

    /// As [`Books::pool_ready`], of all pools of a kind together.
    pub(crate) fn kind_ready(&self, resource: Row, asked: Amount) -> Option<Time> {
        let pools = self.spent_from(resource, NONE, 0);
        let (first, second) = (pools.clone().next()?, pools.clone().nth(1));
        if second.is_none() {
            return self.pool_ready(first, asked);
        }
        let free = |at: Time| pools.clone().fold(0, |sum: Amount, p| sum.saturating_add(self.free_at(p, at)));
        // What is kept of them for the moment is kept then, too.
        let kept = free(self.at).saturating_sub(self.tables.resources.free[resource as usize]);
        let asked = asked.saturating_add(kept);
        if free(self.at) >= asked {
            return Some(self.at);
        }
        let spent = |pool: Row| self.tables.pools.spent[pool as usize];
        let full = pools.clone().filter_map(|pool| self.pool_back(pool, spent(pool))).max()?;
        if free(full) < asked {
            return None;
        }
        // What is free only grows until somebody asks: the first moment lies between two that are known.
        let (mut early, mut late) = (self.at.0, full.0);
        while late - early > 1 {
            let between = early + (late - early) / 2;
            match free(Time(between)) >= asked {
                true => late = between,
                false => early = between,
            }
        }
        Some(Time(late))
    }

    fn free_at(&self, pool: Row, at: Time) -> Amount {
        self.free_and_spent(pool, at).0
    }

    /// When a bound has room of its own for so much by what comes back by itself: now where it has, `None` where it
    /// never has.
    pub fn meter_ready(&self, quota: Row, asked: Amount) -> Option<Time> {
        match self.level(quota).saturating_add(asked).saturating_sub(self.cap(quota)) {
            0 => Some(self.at),
            missing => self.quota_meter(quota).ready(self.quota_flow(quota), missing).map(Time),
        }
    }

    /// When a ledger that is short of room for what the claim in row `claim` asks for has that by what comes back by
    /// itself; `None` where it never has.
    pub fn quota_ready(&self, claim: Row, quota: Row, asked: Amount) -> Option<Time> {
        let scope = self.tables.claims.scope[claim as usize];
        let ready = match self.assures(quota) {
            true => self.borrow_ready(scope, quota, asked),
            false => self.meter_ready(quota, asked),
        };
        ready.filter(|&ready| ready > self.at)
    }

    /// When the first period of a pool ends that does not end before `at`; `None` where it has none.
    pub fn pool_renewed(&self, pool: Row, at: Time) -> Option<Time> {
        let (pools, p) = (&self.tables.pools, pool as usize);
        renewed(pools.due[p], pools.period[p], at)
    }

    /// As [`Books::pool_renewed`], of a bound.
    pub fn quota_renewed(&self, quota: Row, at: Time) -> Option<Time> {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        renewed(quotas.due[q], quotas.period[q], at)
    }

    /// By how much more is held, spent and kept for others of a ledger than there is of it; nothing where there is room.
    pub(crate) fn beyond(&self, quota: Row, room: Amount, kept: Amount) -> Amount {
        if room > 0 {
            return 0;
        }
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let own = self.shifted_level(quota).saturating_add(kept).saturating_sub(self.cap(quota));
        if quotas.scope[q] != ROOT || kept == 0 && !self.assures(quota) {
            return own;
        }
        let kind = quotas.resource[q];
        let owed = self.floating(kind).map(|pool| self.overdrawn(pool)).min().unwrap_or(0);
        let shift = self.shifted.get(&quota).copied().unwrap_or(0);
        let free = self.tables.resources.free[kind as usize].saturating_add_signed(-shift.min(0));
        own.max(kept.saturating_add(owed).saturating_sub(free))
    }
}

fn renewed(due: u64, period: u64, at: Time) -> Option<Time> {
    if period == 0 {
        return None;
    }
    let periods = at.0.saturating_sub(due).div_ceil(period);
    Some(Time(due.saturating_add(periods.saturating_mul(period))))
}
