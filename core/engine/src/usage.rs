//! What the leases of each scope have used since the installation began.
use crate::Engine;
use bursar_interface::{ClaimId, Command, Input, Spent, Usage, canary};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What was used, by scope, and which of the leases that are still there count already.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Measurements {
    /// By path: scopes come and go, and what was used in them stays.
    by_scope: BTreeMap<String, Spent>,
    /// Measured, and not closed yet: an edge that starts again may measure them again.
    measured: BTreeSet<ClaimId>,
}

/// Scopes whose use is kept apart. Beyond that what one used counts to the scope above it alone.
const SCOPES_MAX: usize = 4096;

impl Measurements {
    fn add(&mut self, scope: String, usage: &Usage) {
        self.by_scope.entry(scope).or_default().add(usage);
        while self.by_scope.len() > SCOPES_MAX {
            // The root is first, and stays.
            let Some(path) = self.by_scope.keys().find(|path| !path.is_empty()).cloned() else { return };
            let above = path.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
            if let Some(spent) = self.by_scope.remove(&path) {
                self.by_scope.entry(above).or_default().join(&spent);
            }
        }
    }

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
        let scope = self.books.scope_path(self.books.tables().claims.scope[row as usize]).to_string();
        self.measurements.measured.insert(claim);
        self.measurements.add(scope, usage);
    }

    /// What the leases of a scope and of those below it have used that were measured when they ended.
    pub fn used_below(&self, scope: &str) -> Spent {
        let mut sum = Spent::default();
        let below = |path: &str| {
            path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let parts = self.measurements.by_scope.iter().filter(|(path, _)| scope.is_empty() || below(path));
        parts.for_each(|(_, spent)| sum.join(spent));
        sum
    }
}
