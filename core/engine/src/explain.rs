//! Why a claim waits: the binding constraint per kind, and who holds it.
use crate::Engine;
use bursar_interface::{Amount, ClaimId, NONE, NodeState, Phase, Reason, Row};

/// Holders named in one explanation at most.
const HOLDERS_MAX: usize = 16;

/// One kind that a claim is short of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Short {
    /// Row of the kind.
    pub resource: Row,
    /// How much is missing; 0 where it is there but not together.
    pub by: Amount,
    /// Live claims that hold it, largest share first, at most sixteen.
    pub holders: Vec<ClaimId>,
}

/// Why a claim waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// In one word.
    pub reason: Reason,
    /// Which kinds bind.
    pub short: Vec<Short>,
}

impl Engine {
    /// Why the waiting claim in `row` could not be granted as things stand.
    pub(crate) fn why(&self, row: Row) -> Why {
        let view = self.books.view();
        if let Some((quota, by)) = self.books.quota_short(row) {
            let resource = view.quotas.resource[quota as usize];
            return Why {
                reason: Reason::InsufficientQuota,
                short: vec![Short { resource, by, holders: Vec::new() }],
            };
        }
        let mut short: Vec<Short> = Vec::new();
        let mut named = false;
        for line in view.claims.line_rows(row).map(|line| line as usize) {
            let (resource, want) = (view.lines.resource[line], view.lines.want[line]);
            let asked = self.books.asked(row, resource);
            let free =
                if want == NONE { view.resources.free[resource as usize] } else { view.pools.free(want) };
            if asked > free && short.iter().all(|other| other.resource != resource) {
                named |= want != NONE;
                short.push(Short { resource, by: asked - free, holders: Vec::new() });
            }
        }
        let reason = match short.is_empty() {
            false if named => Reason::HeldByOther,
            false => Reason::InsufficientCapacity,
            true if self.cordoned() => Reason::Cordoned,
            true => Reason::Fragmented,
        };
        Why { reason, short }
    }

    /// Why a waiting claim waits, with the holders of what it is short of; `None` if it does not
    /// wait. Reads every live lease: an answer to a person, not for the hot path.
    pub fn explain(&self, claim: ClaimId) -> Option<Why> {
        let row = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)?;
        let mut why = self.why(row);
        for short in &mut why.short {
            short.holders = self.holders(row, short.resource);
        }
        Some(why)
    }

    fn holders(&self, waiting: Row, resource: Row) -> Vec<ClaimId> {
        let view = self.books.view();
        let wants: Vec<Row> = view
            .claims
            .line_rows(waiting)
            .map(|line| view.lines.want[line as usize])
            .filter(|&want| want != NONE)
            .collect();
        let mut shares: Vec<(Amount, Row)> = (0..view.lines.len())
            .filter(|&l| {
                view.lines.claim[l] != NONE
                    && view.lines.pool[l] != NONE
                    && view.lines.resource[l] == resource
            })
            .filter(|&l| {
                wants.is_empty()
                    || wants.contains(&view.lines.pool[l])
                    || view.pools.node[view.lines.pool[l] as usize] != NONE
            })
            .map(|l| (view.lines.amount[l], view.lines.claim[l]))
            .collect();
        shares.sort_unstable_by(|a, b| b.cmp(a));
        shares.dedup_by_key(|(_, claim)| *claim);
        shares.into_iter().take(HOLDERS_MAX).map(|(_, row)| ClaimId(view.claims.id[row as usize])).collect()
    }

    fn cordoned(&self) -> bool {
        let nodes = self.books.view().nodes;
        !nodes.is_empty() && nodes.state.iter().all(|&state| NodeState::of(state) != NodeState::Open)
    }
}
