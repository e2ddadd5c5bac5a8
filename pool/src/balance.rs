//! Whether the books add up: every sum that is kept is computed again from the lines.
use crate::Books;
use bursar_interface::{Amount, NONE, Phase, Row};

impl Books {
    /// Whether each pool's amounts are those of the live leases, no pool is promised beyond what was
    /// ever offered to them, each quota's charge is what its scope holds, and all counts agree.
    pub fn balanced(&self) -> bool {
        self.pools_add_up()
            && self.quotas_add_up()
            && self.kinds_add_up()
            && self.scopes_add_up()
            && self.slices_add_up()
            && self.shares_add_up()
    }

    /// Whether no pool is promised beyond its capacity, or what is offered of it by the rules of sharing. May be untrue after a capacity shrank, until
    /// enough came back; never through a grant.
    pub fn within_capacity(&self) -> bool {
        let pools = &self.tables.pools;
        (0..pools.len()).all(|p| {
            pools.reserved[p] + pools.held[p] + pools.quarantined[p]
                <= pools.capacity[p].max(pools.offered[p])
        })
    }

    fn pools_add_up(&self) -> bool {
        let mut sums = vec![[0 as Amount; 3]; self.tables.pools.len()];
        let (lines, claims) = (&self.tables.lines, &self.tables.claims);
        for l in (0..lines.len()).filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE) {
            let c = lines.claim[l] as usize;
            let account = match (Phase::of(claims.phase[c]), claims.bodied[c]) {
                (Phase::Pending | Phase::Closed, _) => return false,
                (_, crate::lease::QUARANTINED) => 2,
                (Phase::Reserved, _) => 0,
                _ => 1,
            };
            sums[lines.pool[l] as usize][account] += self.holds(l as Row);
        }
        let pools = &self.tables.pools;
        sums.iter().enumerate().all(|(p, sum)| {
            let used = sum.iter().sum::<Amount>().saturating_add(pools.spent[p]);
            let free = self.under_rules(p as Row, pools.offered[p].saturating_sub(used));
            *sum == [pools.reserved[p], pools.held[p], pools.quarantined[p]] && free == pools.free[p]
        })
    }

    fn quotas_add_up(&self) -> bool {
        let quotas = &self.tables.quotas;
        (0..quotas.len()).filter(|&q| quotas.id[q] != 0).all(|q| {
            let (scope, resource) = (quotas.scope[q], quotas.resource[q]);
            let children = (0..quotas.len()).filter(|&other| {
                quotas.id[other] != 0
                    && quotas.resource[other] == resource
                    && self.tables.scopes.parent[quotas.scope[other] as usize] == scope
            });
            quotas.charged[q] == self.held_below(scope, resource)
                && quotas.direct[q] == self.held_by(scope, resource)
                && quotas.kept_back[q] == children.map(|child| self.kept_back(child as Row)).sum::<Amount>()
        })
    }

    fn kinds_add_up(&self) -> bool {
        let pools = self.tables.pools.view();
        (0..self.tables.resources.len()).all(|r| {
            let of_kind = (0..pools.len()).filter(|&p| pools.id[p] != 0 && pools.resource[p] == r as Row);
            of_kind.map(|p| pools.free(p as Row)).sum::<Amount>() == self.tables.resources.free[r]
        })
    }

    fn scopes_add_up(&self) -> bool {
        let (claims, scopes) = (&self.tables.claims, &self.tables.scopes);
        let live = (0..claims.len()).filter(|&c| claims.id[c] != 0);
        let mut counts = vec![0; scopes.len()];
        let mut total = 0;
        for c in live {
            total += 1;
            counts[claims.scope[c] as usize] += 1;
            if claims.apart[c] != NONE {
                counts[claims.apart[c] as usize] += 1;
            }
        }
        total == self.live && (0..scopes.len()).all(|s| counts[s] == scopes.claims[s])
    }
}
