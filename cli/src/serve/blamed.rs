//! What waits are charged to, as each asker may see it: its own scopes by name, all others as one figure.
use super::{
    host::Host,
    present::{Present, may_see},
    told,
};
use bursar_engine::{Part, Share};
use bursar_interface::{ClaimId, NONE, Principal, Row};
use bursar_wire as wire;
use std::collections::BTreeMap;

impl Host {
    /// With the end of a claim it is told what it had waited for.
    pub(super) fn tell_blame(&self, by: &Principal, row: &mut wire::EventRow) {
        if let (told::CLOSED, Some(claim), Some(detail)) =
            (row.kind.as_str(), row.claim, row.detail.as_object_mut())
        {
            let blame = self.present(|present| present.blame(by, ClaimId(claim)));
            detail.insert("blame".into(), serde_json::to_value(blame).unwrap_or_default());
        }
    }
}

/// What a scope waited for, by kind, and for whom.
#[derive(Default)]
struct Waits(BTreeMap<Option<Row>, (u64, BTreeMap<String, u64>)>);

impl Present<'_> {
    /// What a claim waited for, or has waited for so far; `None` where that is not known.
    pub fn blame(&self, by: &Principal, id: ClaimId) -> Option<Vec<wire::WaitPart>> {
        let parts = self.follower.blame(|blame| blame.parts(id, self.clock.now()));
        match parts {
            Some(parts) => Some(parts.iter().map(|part| self.part(by, part)).collect()),
            None => self.did_not_wait(id).then(Vec::new),
        }
    }

    /// Whether a claim was granted in the moment in which it came.
    fn did_not_wait(&self, id: ClaimId) -> bool {
        let claims = self.engine.view().claims;
        let at_once = |row: Row| claims.granted_at[row as usize] == claims.asked_at[row as usize];
        self.engine.books().claim(id).is_some_and(at_once)
    }

    fn part(&self, by: &Principal, part: &Part) -> wire::WaitPart {
        let holders = seen(by, part.holders());
        wire::WaitPart {
            reason: part.cause.reason.map(|reason| reason.name().into()),
            resource: self.kind(part.cause.resource),
            quota: part.cause.ledger.as_deref().map(str::to_owned),
            waited_ns: part.ns,
            others_ns: part.ns - holders.iter().map(|holder| holder.waited_ns).sum::<u64>(),
            holders,
        }
    }

    fn kind(&self, resource: Option<Row>) -> Option<String> {
        resource.filter(|&row| row != NONE).map(|row| self.engine.books().spec(row).name.clone())
    }

    /// What each scope waited for, and how long others waited for it, as far as the asker may see those who
    /// waited.
    pub fn waits(&self, by: &Principal, scopes: &mut [wire::Scope]) {
        let mut waits: BTreeMap<String, Waits> = BTreeMap::new();
        let mut caused: BTreeMap<String, u64> = BTreeMap::new();
        self.follower.blame(|blame| {
            for (scope, resource, tallied) in blame.tallies().filter(|(scope, ..)| may_see(by, scope)) {
                let holders = seen(by, tallied.holders());
                for holder in &holders {
                    for path in upwards(&holder.scope) {
                        *caused.entry(path.to_owned()).or_default() += holder.waited_ns;
                    }
                }
                for path in upwards(scope) {
                    let (ns, by_scope) =
                        waits.entry(path.to_owned()).or_default().0.entry(resource).or_default();
                    *ns += tallied.ns;
                    for holder in &holders {
                        *by_scope.entry(holder.scope.clone()).or_default() += holder.waited_ns;
                    }
                }
            }
        });
        for scope in scopes {
            let kinds = waits.remove(&scope.path).unwrap_or_default().0;
            scope.waits = kinds.into_iter().map(|(resource, wait)| self.wait(resource, wait)).collect();
            scope.caused_ns = caused.remove(&scope.path).unwrap_or(0);
        }
    }

    fn wait(&self, resource: Option<Row>, (ns, holders): (u64, BTreeMap<String, u64>)) -> wire::ScopeWait {
        let named: u64 = holders.values().sum();
        let holder = |(scope, waited_ns)| wire::Blamed { scope, waited_ns };
        wire::ScopeWait {
            resource: self.kind(resource),
            waited_ns: ns,
            holders: holders.into_iter().map(holder).collect(),
            others_ns: ns - named,
        }
    }
}

fn seen<'a>(by: &Principal, shares: impl Iterator<Item = &'a Share>) -> Vec<wire::Blamed> {
    let seen = shares.filter(|share| may_see(by, &share.scope));
    seen.map(|share| wire::Blamed { scope: share.scope.to_string(), waited_ns: share.ns }).collect()
}

/// A scope and those above it, from below; the root is the empty path.
fn upwards(scope: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(scope), |path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(above, _)| above))
    })
}
