//! Where claims are: on nodes that take claims, in the pools that they asked for, and never where they could
//! not be at all.
use super::{Broken, Law, broken};
use bursar_engine::Engine;
use bursar_interface::{ClaimId, NONE, Row};

/// Those who were just granted have what they asked for; `settled` says that no node changed meanwhile.
pub(super) fn all_are_lawful(engine: &Engine, granted: &[ClaimId], settled: bool) -> Result<(), Broken> {
    let (view, books) = (engine.view(), engine.books());
    for &claim in granted {
        let Some(row) = books.claim(claim) else { continue };
        let node = view.claims.node[row as usize];
        let mut pools = view.claims.line_rows(row).map(|line| view.lines.pool[line as usize]);
        // Who draws from a lease alone takes nothing of the node that is not given already.
        let takes = books.parent(claim).is_none() || pools.any(|pool| view.pools.node[pool as usize] != NONE);
        if settled && takes && node != NONE && view.nodes.state[node as usize] != 0 {
            return broken(Law::Place, format!("claim {claim} is on a node that takes none"));
        }
        for line in view.claims.line_rows(row).map(|line| line as usize) {
            let (pool, want) = (view.lines.pool[line], view.lines.want[line]);
            let of_kind = view.pools.resource[pool as usize] == view.lines.resource[line];
            let there = [NONE, node].contains(&view.pools.node[pool as usize]);
            if !of_kind || !there || want != NONE && want != pool {
                return broken(Law::Place, format!("claim {claim} has a line in pool {pool}"));
            }
        }
    }
    Ok(())
}

/// Those who were just queued ask for nothing that no pool has.
pub(super) fn all_can_fit(engine: &Engine, queued: &[ClaimId]) -> Result<(), Broken> {
    let (view, books) = (engine.view(), engine.books());
    for &claim in queued {
        let Some(row) = books.claim(claim) else { continue };
        let there = |line: Row| {
            let line = line as usize;
            (0..view.pools.len()).any(|p| {
                view.pools.id[p] != 0
                    && view.pools.resource[p] == view.lines.resource[line]
                    && view.pools.capacity[p] >= view.lines.amount[line]
            })
        };
        let mut sets = (0..books.sets(row)).map(|set| books.set_rows(row, set));
        if !sets.any(|mut lines| lines.all(there)) {
            return broken(Law::Honest, format!("claim {claim} waits for what no pool has"));
        }
    }
    Ok(())
}
