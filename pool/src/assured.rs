//! Rates that a scope always gets: what it may spend of its assured rate is kept from those beside it, and what
//! it leaves flows over to them.
//!
//! A hierarchical token bucket (Devera's HTB; Floyd and Jacobson, ToN 1995), told as what is kept back: beside
//! the ledger's own meter there is one of the assured rate. Whoever spends takes from that first, and above it
//! only what the ledger above has beyond all that is kept for others. The bucket of an assured rate is what flows
//! at it in the time in which the pool fills: so if the rates fit into the pool's, so do the buckets, and
//! nobody's can be spent by another. A full bucket flows over, which is what others borrow.
use crate::{
    Books,
    meter::{Flow, Meter},
    quota::ROOT,
};
use bursar_interface::{Amount, NONE, Row, Shape, Time};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Moments that are looked at to find one; past that, the last of them is told, and it is looked again then.
const LOOKS_MAX: usize = 256;

/// Assured rates by ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Assured {
    /// What is spent of each and not yet back.
    pub(crate) meters: BTreeMap<Row, Meter>,
    /// The ledgers that have one, by the ledger above.
    below: BTreeMap<Row, Vec<Row>>,
}

impl Books {
    /// The operator said what a ledger is assured of.
    pub(crate) fn assure(&mut self, quota: Row) {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let (scope, resource) = (quotas.scope[q], quotas.resource[q]);
        let parent = self.tables.scopes.parent[scope as usize];
        let rate = self.shape(resource) == Shape::Rate && quotas.period[q] > 0 && parent != NONE;
        let assured = rate && quotas.guaranteed[q] > 0;
        if assured {
            // It begins with nothing: what is in the pool now is anybody's.
            let meter = Meter { spent: self.assured_burst(quota), due: self.at.0, rest: 0 };
            if self.assured.meters.insert(quota, meter).is_none() {
                let above = self.ledger(parent, resource);
                self.assured.below.entry(above).or_default().push(quota);
            }
        } else if self.assured.meters.remove(&quota).is_some() {
            let above = self.ledger(parent, resource);
            let below = self.assured.below.entry(above).or_default();
            below.retain(|&other| other != quota);
            if below.is_empty() {
                self.assured.below.remove(&above);
            }
        }
    }

    /// Whether any ledger at all is assured of a rate.
    pub fn assures_any(&self) -> bool {
        !self.assured.below.is_empty()
    }

    /// Whether some ledger right below this one is assured of a rate.
    pub fn assures(&self, quota: Row) -> bool {
        !self.assured.below.is_empty() && self.assured.below.contains_key(&quota)
    }

    /// What of an assured rate may be spent at once: what flows at it while the pool fills.
    fn assured_burst(&self, quota: Row) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let pool = self.tables.resources.first_floating[quotas.resource[q] as usize];
        let pools = &self.tables.pools;
        let Some(&capacity) = pools.capacity.get(pool as usize).filter(|&&capacity| capacity > 0) else {
            return quotas.guaranteed[q];
        };
        let (burst, period) = (pools.offered[pool as usize], pools.period[pool as usize]);
        let whole = u128::from(quotas.guaranteed[q]) * u128::from(burst) / u128::from(capacity);
        let whole = whole.saturating_mul(period.into()) / u128::from(quotas.period[q].max(1));
        Amount::try_from(whole).unwrap_or(Amount::MAX).max(1)
    }

    fn assured_flow(&self, quota: Row) -> Flow {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        Flow { shape: Shape::Rate, capacity: quotas.guaranteed[q], period: quotas.period[q] }
    }

    /// What a ledger has of its assured rate at a moment, and does not lend.
    fn assured_at(&self, quota: Row, at: Time) -> Amount {
        let Some(meter) = self.assured.meters.get(&quota) else { return 0 };
        let spent = meter.at(self.assured_flow(quota), at.0).spent;
        let lent = Some(self.tables.quotas.lend_limit[quota as usize]).filter(|&lend| lend != Amount::MAX);
        self.assured_burst(quota).saturating_sub(spent).saturating_sub(lent.unwrap_or(0))
    }

    /// What is kept at a moment for the ledgers right below one, but for `but`. Looks at each of them.
    pub(crate) fn assured_to_others(&self, quota: Row, but: Option<Row>, at: Time) -> Amount {
        let below = self.assured.below.get(&quota).into_iter().flatten();
        below.filter(|&&other| Some(other) != but).map(|&other| self.assured_at(other, at)).sum()
    }

    /// The most that somebody in the child of ledger `below` can have of it at once while all others have what they
    /// are assured of and spend nothing: more than that is never there again but by what those others spend.
    pub fn most_beside(&self, quota: Row, below: Option<Row>) -> Amount {
        if !self.assures(quota) {
            return Amount::MAX;
        }
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let mut most = self.cap(quota);
        if quotas.scope[q] == ROOT {
            let first = self.tables.resources.first_floating[quotas.resource[q] as usize];
            most = most.min(self.tables.pools.offered.get(first as usize).copied().unwrap_or(Amount::MAX));
        }
        let others = self.assured.below.get(&quota).into_iter().flatten();
        let kept = others.filter(|&&other| Some(other) != below).map(|&other| {
            let lent = Some(quotas.lend_limit[other as usize]).filter(|&lend| lend != Amount::MAX);
            self.assured_burst(other).saturating_sub(lent.unwrap_or(0))
        });
        most.saturating_sub(kept.sum())
    }

    /// What is spent of a ledger has come from `before` to `now`: of the assured rate first.
    pub(crate) fn spend_assured(&mut self, quota: Row, before: Amount, now: Amount) {
        let Some(meter) = self.assured.meters.get(&quota) else { return };
        let meter = meter.at(self.assured_flow(quota), self.at.0);
        let meter = meter.give_back(before.saturating_sub(now)).spend(now.saturating_sub(before));
        let spent = meter.spent.min(self.assured_burst(quota));
        self.assured.meters.insert(quota, Meter { spent, ..meter });
    }

    /// The first moment at which a ledger that assures others of theirs has room for `asked` to somebody in the
    /// child of ledger `below`; `None` where it never will by itself.
    ///
    /// What is kept only grows: so what is needed at a moment before the one that is sought is a lower bound,
    /// and the moment at which so much is there is the next one to look at.
    pub(crate) fn borrow_ready(&self, quota: Row, below: Option<Row>, asked: Amount) -> Option<Time> {
        let mut at = self.at;
        for _ in 0..LOOKS_MAX {
            let needed = asked.saturating_add(self.assured_to_others(quota, below, at));
            let next = self.free_ready(quota, needed)?;
            if next <= at {
                break;
            }
            at = next;
        }
        Some(at)
    }

    /// When so much is free of a ledger, and at the root of its pool, whatever is kept of it.
    fn free_ready(&self, quota: Row, needed: Amount) -> Option<Time> {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let missing = needed.saturating_sub(self.cap(quota).saturating_sub(self.level(quota)));
        let own = if missing == 0 { self.at } else { self.meter_ready(quota, missing)? };
        if quotas.scope[q] != ROOT {
            return Some(own);
        }
        let resource = quotas.resource[q];
        let missing = needed.saturating_sub(self.tables.resources.free[resource as usize]);
        let pool = if missing == 0 { self.at } else { self.ready(resource, NONE, missing)? };
        Some(own.max(pool))
    }
}
