//! Supplies and bounds that an operator takes away. A bound goes at any moment: nothing is taken from anybody by
//! it. A supply goes when nobody has, or waits by name for, any of it.
use crate::{Engine, admit::bad};
use bursar_interface::{Change, ClaimId, NONE, PoolId, Refusal, Row, Setting, check_scope};

/// Claims named in one refusal at most.
const NAMED_MAX: usize = 8;

impl Engine {
    /// Whether a bound can go.
    pub(crate) fn judge_quota_gone(&self, scope: &str, resource: &str) -> Result<Change, Refusal> {
        check_scope(scope)?;
        self.check_kind(resource)?;
        let Some(kind) = self.books.resource(resource) else { return Ok(Change::Unchanged) };
        Ok(match self.books.quota_spec(scope, kind) {
            None => Change::Unchanged,
            Some(_) => Change::Removed,
        })
    }

    /// Whether a supply can go.
    pub(crate) fn judge_pool_gone(
        &self,
        resource: &str,
        node: Option<&str>,
        name: &str,
    ) -> Result<Change, Refusal> {
        self.check_kind(resource)?;
        let Some(kind) = self.books.resource(resource) else { return Ok(Change::Unchanged) };
        let spec = self.books.spec(kind);
        let Some(pool) = self.books.pool_on(kind, node, name) else {
            return self.check_place(kind, node).map(|()| Change::Unchanged);
        };
        if spec.springs > 0 {
            return bad(
                &format!("pools of {} spring from their names, and go with their last holder", spec.name),
                "release or cancel the claims that name it",
            );
        }
        if spec.driven || node.is_some() {
            return bad("it was found there, and would be found again", "set its capacity to 0");
        }
        let (holders, waiters) = self.who_has(pool);
        if !holders.is_empty() {
            return bad(
                &format!("leases stand on it: {}", told(&holders)),
                "set its capacity to 0, so that nobody new is granted any, and remove it when they have ended",
            );
        }
        if !waiters.is_empty() {
            return bad(
                &format!("claims wait for it by name: {}", told(&waiters)),
                "cancel them first: they would wait for ever",
            );
        }
        Ok(Change::Removed)
    }

    /// Who holds anything of a pool, and who waits for it by name, oldest first. Reads every line.
    fn who_has(&self, pool: Row) -> (Vec<ClaimId>, Vec<ClaimId>) {
        let tables = self.books.tables();
        let (lines, claims) = (&tables.lines, &tables.claims);
        let of = |rows: &[Row]| {
            let rows = (0..lines.len()).filter(|&l| lines.claim[l] != NONE && rows[l] == pool);
            let mut claims: Vec<ClaimId> =
                rows.map(|l| ClaimId(claims.id[lines.claim[l] as usize])).collect();
            claims.sort_unstable();
            claims.dedup();
            claims
        };
        let holders = of(&lines.pool);
        let waiters = of(&lines.want).into_iter().filter(|claim| !holders.contains(claim));
        let waiters = waiters.collect();
        (holders, waiters)
    }

    /// The fold of what was taken away.
    pub(crate) fn take_away(&mut self, setting: &Setting) {
        match setting {
            Setting::RemoveQuota { scope, resource } => {
                if let Some(kind) = self.books.resource(resource) {
                    self.books.remove_quota(scope, kind);
                }
            }
            Setting::RemovePool { resource, node, name } => {
                let kind = self.books.resource(resource);
                let pool = kind.and_then(|kind| self.books.pool_on(kind, node.as_deref(), name));
                if let Some(pool) = pool {
                    self.by_hand.remove(&PoolId(self.books.tables().pools.id[pool as usize]));
                    self.books.remove_pool(pool);
                }
            }
            _ => {}
        }
    }
}

fn told(claims: &[ClaimId]) -> String {
    let named: Vec<String> = claims.iter().take(NAMED_MAX).map(ClaimId::to_string).collect();
    let more = if claims.len() > NAMED_MAX { " and others" } else { "" };
    named.join(", ") + more
}
