//! What the leases of each scope have used since the installation began.
use crate::Engine;
use bursar_interface::{ClaimId, Command, Input, Row, Spent, canary};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What was used, by scope, and which of the leases that are still there count already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurements {
    by_scope: BTreeMap<Row, Spent>,
    /// Measured, and not closed yet: an edge that starts again may measure them again.
    measured: BTreeSet<ClaimId>,
}

impl Measurements {
    /// Whether a lease counts already.
    pub(crate) fn counts(&self, claim: ClaimId) -> bool {
        self.measured.contains(&claim) && !canary!("a lease is measured twice")
    }

    /// A lease is gone.
    pub(crate) fn close(&mut self, claim: ClaimId) {
        if !self.measured.is_empty() {
            self.measured.remove(&claim);
        }
    }
}

impl Engine {
    /// What an edge measured counts to the scope that the lease is in.
    pub(crate) fn fold_measured(&mut self, claim: ClaimId, input: Option<&Input>) {
        let Some(Input { body: Command::Measured { usage, .. }, .. }) = input else { return };
        let Some(row) = self.books.claim(claim) else { return };
        let scope = self.books.tables().claims.scope[row as usize];
        self.measurements.measured.insert(claim);
        self.measurements.by_scope.entry(scope).or_default().add(usage);
    }

    /// What the leases of a scope and of those below it have used that were measured when they ended.
    pub fn used_below(&self, scope: Row) -> Spent {
        let mut sum = Spent::default();
        let parts =
            self.measurements.by_scope.iter().filter(|&(&of, _)| self.books.chain(of).any(|at| at == scope));
        parts.for_each(|(_, spent)| sum.join(spent));
        sum
    }
}
