//! What an operator sets while everything goes on: each setting names a thing and what is to change of it.
use crate::{Amount, NodeState, PoolSpec, QuotaSpec, Refill, ScopeSpec};
use serde::{Deserialize, Serialize};

/// One thing that is set. What is `None` stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Setting {
    /// A supply.
    Pool(PoolChange),
    /// A scope's weight.
    Scope(ScopeSpec),
    /// A bound.
    Quota(QuotaChange),
    /// Whether a machine takes claims.
    Node(NodeChange),
    /// A bound goes: what is held stays held, and nothing stands in the way any more.
    RemoveQuota {
        /// Scope path from the root of the tree.
        scope: String,
        /// Name of the kind.
        resource: String,
    },
    /// A floating supply goes, when nobody holds any of it.
    RemovePool {
        /// Name of the kind.
        resource: String,
        /// Name of the node; `None` for a floating pool.
        node: Option<String>,
        /// Its name.
        name: String,
    },
}

/// What changes of a supply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolChange {
    /// Name of the kind.
    pub resource: String,
    /// Name of the node; `None` for a floating pool.
    pub node: Option<String>,
    /// Its name.
    pub name: String,
    /// What exists, in base units.
    pub capacity: Option<Amount>,
    /// In which the whole capacity comes back, in nanoseconds; 0 for never.
    pub period_ns: Option<u64>,
    /// Rates: what may be spent at once; 0 for a whole period's.
    pub burst: Option<Amount>,
}

impl PoolChange {
    /// The pool as it is to be, from how it is.
    pub fn onto(&self, pool: PoolSpec) -> PoolSpec {
        let capacity = self.capacity.unwrap_or(pool.capacity);
        let refill = refilled(pool.refill, self.period_ns, self.burst, capacity);
        PoolSpec { capacity, refill, ..pool }
    }
}

/// What changes of a bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaChange {
    /// Scope path from the root of the tree.
    pub scope: String,
    /// Name of the kind.
    pub resource: String,
    /// What the scope can always have.
    pub guaranteed: Option<Amount>,
    /// What it may hold with those below it; inner `None` for no limit.
    pub limit: Option<Option<Amount>>,
    /// What may be borrowed above the guarantee; inner `None` for no limit.
    pub borrow_limit: Option<Option<Amount>>,
    /// What may be lent to siblings; inner `None` for all of it.
    pub lend_limit: Option<Option<Amount>>,
    /// In which the limit comes back, in nanoseconds; 0 for never.
    pub period_ns: Option<u64>,
    /// Rates: what may be spent at once; 0 for a whole period's.
    pub burst: Option<Amount>,
}

impl QuotaChange {
    /// The bound as it is to be, from how it is.
    pub fn onto(&self, quota: QuotaSpec) -> QuotaSpec {
        let limit = self.limit.unwrap_or(quota.limit);
        let guaranteed = self.guaranteed.unwrap_or(quota.guaranteed);
        let comes_back = limit.is_some() || guaranteed > 0;
        let all = limit.unwrap_or(Amount::MAX);
        let refill = comes_back.then(|| refilled(quota.refill, self.period_ns, self.burst, all));
        QuotaSpec {
            guaranteed,
            limit,
            borrow_limit: self.borrow_limit.unwrap_or(quota.borrow_limit),
            lend_limit: self.lend_limit.unwrap_or(quota.lend_limit),
            // Without a limit or a guarantee there is nothing to come back.
            refill: refill.unwrap_or_default(),
            ..quota
        }
    }
}

/// A burst of `all` that comes back in a period is the same as none of its own.
fn refilled(refill: Refill, period_ns: Option<u64>, burst: Option<Amount>, all: Amount) -> Refill {
    let burst = Some(burst.unwrap_or(refill.burst)).filter(|&burst| burst != all);
    Refill { period_ns: period_ns.unwrap_or(refill.period_ns), burst: burst.unwrap_or(0), ..refill }
}

/// What changes of a machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeChange {
    /// Its name.
    pub name: String,
    /// Open, cordoned or draining.
    pub state: NodeState,
    /// Draining: how long its leases may stay, in nanoseconds. Who said less before is not overruled.
    pub grace_ns: u64,
}

/// What a setting came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// The thing was not there before.
    Created,
    /// It was there, and is otherwise now.
    Changed,
    /// It was like this already.
    Unchanged,
    /// It was there, and is no more.
    Removed,
}
