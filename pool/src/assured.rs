//! What is spent and a scope always gets: what it may spend of what it is assured of is kept from those beside it,
//! and from those beside the scopes that it lies in. What it leaves of a rate flows over to them.
//!
//! A hierarchical token bucket (Devera's HTB; Floyd and Jacobson, ToN 1995), told as what is kept back: beside
//! the ledger's own meter there is one of the assured rate. Whoever spends takes from that first, and above it
//! only what the ledger above has beyond all that is kept for others. The bucket of an assured rate is what flows
//! at it in the time in which the pool fills: so if the rates fit into the pool's, so do the buckets, and
//! nobody's can be spent by another. A full bucket flows over, which is what others borrow. Of a budget the
//! guarantee itself is kept, less what was spent of it in its period and is held for it.
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
    /// The ledgers that are assured of something, or have such below them, by the ledger above.
    below: BTreeMap<Row, Vec<Row>>,
}

impl Books {
    /// What a ledger is assured of, and in which time (ns); nothing where it is assured of no rate.
    pub(crate) fn assured_rate(&self, quota: Row) -> (Amount, u64) {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        match self.shape(quotas.resource[q]) {
            Shape::Rate if quotas.period[q] > 0 => (quotas.guaranteed[q], quotas.period[q]),
            _ => (0, 0),
        }
    }

    /// The operator said what a ledger is assured of; `before` is the rate of which it was.
    pub(crate) fn assure(&mut self, quota: Row, before: (Amount, u64)) {
        let rate = self.assured_rate(quota);
        if rate.0 == 0 || self.tables.quotas.scope[quota as usize] == ROOT {
            self.assured.meters.remove(&quota);
        } else if before != rate || !self.assured.meters.contains_key(&quota) {
            // It begins with nothing: what is in the pool now is anybody's.
            let meter = Meter { spent: self.assured_burst(quota), due: self.at.0, rest: 0 };
            self.assured.meters.insert(quota, meter);
        }
        self.link_assured(quota);
    }

    /// Keeps which ledgers are to be looked at from above, after one has come to be assured, or is no more.
    fn link_assured(&mut self, quota: Row) {
        let mut at = quota;
        loop {
            let (scope, resource) =
                (self.tables.quotas.scope[at as usize], self.tables.quotas.resource[at as usize]);
            let parent = self.tables.scopes.parent[scope as usize];
            let counts = self.is_assured(at) || self.assures(at);
            if parent == NONE || !counts && self.ledger_of(parent, resource).is_none() {
                return;
            }
            let above = self.ledger(parent, resource);
            let below = self.assured.below.entry(above).or_default();
            let known = below.contains(&at);
            if counts && !known {
                below.push(at);
            } else if known && !counts {
                below.retain(|&other| other != at);
            }
            if below.is_empty() {
                self.assured.below.remove(&above);
            }
            if counts == known {
                return;
            }
            at = above;
        }
    }

    /// Whether a ledger itself is assured of a rate or of a part of a budget.
    fn is_assured(&self, quota: Row) -> bool {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let budget = self.shape(quotas.resource[q]) == Shape::Budget && quotas.scope[q] != ROOT;
        self.assured.meters.contains_key(&quota) || budget && quotas.guaranteed[q] > 0
    }

    /// Whether any ledger at all is assured of what is spent.
    pub fn assures_any(&self) -> bool {
        !self.assured.below.is_empty()
    }

    /// Whether some ledger below this one is assured of what is spent.
    pub fn assures(&self, quota: Row) -> bool {
        !self.assured.below.is_empty() && self.assured.below.contains_key(&quota)
    }

    /// What of an assured rate may be spent at once: what flows at it while the pools fill, all of them together, as a
    /// ledger is of a kind and not of one of its pools.
    fn assured_burst(&self, quota: Row) -> Amount {
        let (quotas, q, pools) = (&self.tables.quotas, quota as usize, &self.tables.pools);
        let mut floating = self.floating(quotas.resource[q]).map(|pool| pool as usize).peekable();
        let period = floating.peek().map_or(0, |&first| pools.period[first]);
        // In the time in which the first of them comes back.
        let (mut burst, mut capacity) = (0, 0);
        for p in floating {
            burst += u128::from(pools.offered[p]);
            capacity += match pools.period[p] {
                same if same == period => u128::from(pools.capacity[p]),
                0 => 0,
                other => u128::from(pools.capacity[p]) * u128::from(period) / u128::from(other),
            };
        }
        if capacity == 0 {
            return quotas.guaranteed[q];
        }
        let whole = u128::from(quotas.guaranteed[q]).saturating_mul(burst) / capacity;
        let whole = whole.saturating_mul(period.into()) / u128::from(quotas.period[q].max(1));
        Amount::try_from(whole).unwrap_or(Amount::MAX).max(1)
    }

    fn assured_flow(&self, quota: Row) -> Flow {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        Flow { shape: Shape::Rate, capacity: quotas.guaranteed[q], period: quotas.period[q] }
    }

    /// What a ledger itself has at a moment of what it is assured of, and does not lend.
    fn assured_at(&self, quota: Row, at: Time) -> Amount {
        let left = match self.assured.meters.get(&quota) {
            Some(meter) => {
                self.assured_burst(quota).saturating_sub(meter.at(self.assured_flow(quota), at.0).spent)
            }
            None if !self.is_assured(quota) => return 0,
            None => self.tables.quotas.guaranteed[quota as usize].saturating_sub(self.level_at(quota, at)),
        };
        left.saturating_sub(self.lent(quota))
    }

    /// The most that a ledger itself ever has so.
    fn assured_at_most(&self, quota: Row) -> Amount {
        let most = match self.assured.meters.contains_key(&quota) {
            true => self.assured_burst(quota),
            false if !self.is_assured(quota) => return 0,
            false => self.tables.quotas.guaranteed[quota as usize],
        };
        most.saturating_sub(self.lent(quota))
    }

    /// What a ledger lends of what it is assured of: nothing where nobody says, as what is spent does not come back.
    fn lent(&self, quota: Row) -> Amount {
        let lent = self.tables.quotas.lend_limit[quota as usize];
        if lent == Amount::MAX { 0 } else { lent }
    }

    /// What is kept at a moment for the ledgers below one, but for `but` and those below that. Looks at each.
    pub(crate) fn assured_to_others(&self, quota: Row, but: Option<Row>, at: Time) -> Amount {
        self.kept_for_others(quota, but, &|ledger| self.assured_at(ledger, at))
    }

    /// The sum of what ledgers right below one have of their own, or those below them have where that is more.
    fn kept_for_others(&self, quota: Row, but: Option<Row>, own: &dyn Fn(Row) -> Amount) -> Amount {
        let below = self.assured.below.get(&quota).into_iter().flatten();
        let kept = |&other: &Row| own(other).max(self.kept_for_others(other, None, own));
        below.filter(|&&other| Some(other) != but).map(kept).fold(0, Amount::saturating_add)
    }

    /// What is kept of a ledger at a moment for whoever is beside a scope, at this level and all those below.
    fn kept_beside(&self, scope: Row, quota: Row, own: &dyn Fn(Row) -> Amount) -> Amount {
        let (mut below, mut kept) = (None, 0 as Amount);
        for ledger in self.quotas_of(scope, self.tables.quotas.resource[quota as usize]) {
            kept = kept.saturating_add(self.kept_for_others(ledger, below.replace(ledger), own));
            if ledger == quota {
                break;
            }
        }
        kept
    }

    /// The most that somebody in a scope can have of a ledger on its way up at once while all others have what they
    /// are assured of and spend nothing: more than that is never there again but by what those others spend. Of what
    /// is held, what is left beside what others never lend. Reads every ledger.
    pub fn most_beside(&self, scope: Row, quota: Row) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        if !self.spends(quotas.resource[q]) {
            return self.most_lent(scope, quota);
        }
        if !self.assures(quota) {
            return Amount::MAX;
        }
        let mut most = self.cap(quota);
        if quotas.scope[q] == ROOT {
            let offered =
                self.floating(quotas.resource[q]).map(|pool| self.tables.pools.offered[pool as usize]);
            most = most.min(offered.reduce(Amount::saturating_add).unwrap_or(Amount::MAX));
        }
        most.saturating_sub(self.kept_beside(scope, quota, &|ledger| self.assured_at_most(ledger)))
    }

    /// What is spent of a ledger has come from `before` to `now`: of the assured rate first.
    pub(crate) fn spend_assured(&mut self, quota: Row, before: Amount, now: Amount) {
        let Some(meter) = self.assured.meters.get(&quota) else { return };
        let meter = meter.at(self.assured_flow(quota), self.at.0);
        let meter = meter.give_back(before.saturating_sub(now)).spend(now.saturating_sub(before));
        let spent = meter.spent.min(self.assured_burst(quota));
        self.assured.meters.insert(quota, Meter { spent, ..meter });
    }

    /// The first moment at which a ledger that assures others of theirs has room for `asked` to somebody in a scope
    /// below it; `None` where it never will by itself.
    ///
    /// What is kept only grows: so what is needed at a moment before the one that is sought is a lower bound,
    /// and the moment at which so much is there is the next one to look at.
    pub(crate) fn borrow_ready(&self, scope: Row, quota: Row, asked: Amount) -> Option<Time> {
        let mut at = self.at;
        for _ in 0..LOOKS_MAX {
            let kept = self.kept_beside(scope, quota, &|ledger| self.assured_at(ledger, at));
            let next = self.free_ready(quota, asked.saturating_add(kept))?;
            if next <= at {
                break;
            }
            at = next;
        }
        Some(at)
    }

    /// When so much is free of a ledger, and at the root of its pools, whatever is kept of it.
    fn free_ready(&self, quota: Row, needed: Amount) -> Option<Time> {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        let own = self.meter_ready(quota, needed)?;
        match quotas.scope[q] {
            ROOT => Some(own.max(self.kind_ready(quotas.resource[q], needed)?)),
            _ => Some(own),
        }
    }
}
