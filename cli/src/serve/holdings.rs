//! What drivers say of leases, and what is left of those that are gone: kept for whoever shows it.
use bursar_interface::{Amount, ClaimId, Variable};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// What drivers said last. It is no part of the state: after a restart they say it again.
#[derive(Debug, Default)]
pub struct Holdings(Mutex<Kept>);

/// All of it.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// What a lease's processes find in their environment, by driver.
    pub environment: BTreeMap<ClaimId, BTreeMap<String, Vec<Variable>>>,
    /// What leases use of driven kinds as measured, by kind.
    pub used: BTreeMap<ClaimId, BTreeMap<String, Amount>>,
    /// Leases that use more than they hold: the kind, what is used, what is held.
    pub over: BTreeMap<ClaimId, (String, Amount, Amount)>,
    /// What each driver holds that no lease has, by claim.
    pub left: BTreeMap<String, BTreeSet<ClaimId>>,
    /// Cells that no lease has.
    pub cells: BTreeSet<ClaimId>,
    /// Faults of each driver's own doing.
    pub faults: BTreeMap<String, Faults>,
}

/// What went wrong with a driver.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// How often so far.
    pub count: u64,
    /// The last time, if it has not done better since and that was shown.
    pub last: Option<String>,
    /// It has done better since.
    pub cured: bool,
}

impl Holdings {
    /// All of it, to be read or changed.
    pub fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it, to be shown: a fault that was cured meanwhile is shown this once.
    pub fn shown(&self) -> Kept {
        let mut kept = self.kept();
        let shown = kept.clone();
        kept.faults.values_mut().filter(|faults| faults.cured).for_each(|faults| faults.last = None);
        shown
    }

    /// What a lease's processes find in their environment.
    pub fn environment(&self, claim: ClaimId) -> BTreeMap<String, String> {
        let kept = self.kept();
        let all = kept.environment.get(&claim).into_iter().flat_map(BTreeMap::values).flatten();
        all.map(|one| (one.name.clone(), one.value.clone())).collect()
    }

    /// What a lease uses of a driven kind; `None` where that is not known.
    pub fn used(&self, claim: ClaimId, kind: &str) -> Option<Amount> {
        self.kept().used.get(&claim)?.get(kind).copied()
    }

    /// A lease is gone.
    pub fn forget(&self, claim: ClaimId) {
        let mut kept = self.kept();
        kept.environment.remove(&claim);
        kept.used.remove(&claim);
        kept.over.remove(&claim);
    }
}
