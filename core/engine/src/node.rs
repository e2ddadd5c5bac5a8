//! Nodes that close: cordoned ones take no new claims, and the leases of draining ones end when the grace
//! is over, renewed or not. What floats is on no node and stays.
use crate::{Engine, engine::Tape};
use bursar_interface::{
    Amount, ClaimId, Ending, NONE, NodeChange, NodeSpec, NodeState, Phase, Row, Time, What,
};

impl Engine {
    /// When the lease in `row` ends unless it is renewed; on a draining node no later than its grace.
    pub fn lease_end(&self, row: Row) -> Time {
        let claims = &self.books.tables().claims;
        let until = Time(claims.lease_until[row as usize]);
        match self.drains.is_empty() {
            true => until,
            false => self.drains.get(&claims.node[row as usize]).map_or(until, |&end| end.min(until)),
        }
    }

    /// When the leases of a node end, if it is draining.
    pub fn drains_until(&self, node: Row) -> Option<Time> {
        self.drains.get(&node).copied()
    }

    /// Why a lease ends whose time was over at `at`.
    pub(crate) fn expiry(&self, claim: ClaimId, at: Time) -> Ending {
        let node = self.books.claim(claim).map_or(NONE, |row| self.books.tables().claims.node[row as usize]);
        match self.drains.get(&node) {
            Some(&end) if end <= at => Ending::Drained,
            _ => Ending::LeaseExpired,
        }
    }

    /// How many leases are on a node, those that are being taken back included.
    pub fn leases_on(&self, node: Row) -> usize {
        self.on_node(node).count()
    }

    fn on_node(&self, node: Row) -> impl Iterator<Item = (ClaimId, Row)> + '_ {
        let claims = &self.books.tables().claims;
        (0..claims.len())
            .filter(move |&c| claims.id[c] != 0 && claims.node[c] == node)
            .map(|c| (ClaimId(claims.id[c]), c as Row))
            .filter(|&(_, row)| self.books.phase(row) > Phase::Pending)
    }

    fn staying_on(&self, node: Row) -> Vec<(ClaimId, Row)> {
        self.on_node(node).filter(|&(_, row)| self.books.phase(row) < Phase::Draining).collect()
    }

    /// Asks the leases of a node that has just begun to drain to leave.
    pub(crate) fn ask_to_leave(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, change: &NodeChange) {
        let Some(node) = self.books.node(&change.name) else { return };
        if change.state == NodeState::Draining {
            for (claim, row) in self.staying_on(node) {
                self.emit(tape, cause, What::Leaving { claim, until: self.lease_end(row) });
            }
        }
    }

    /// The end of a claim's waiting or lease is another than before.
    pub(crate) fn ends_anew(&mut self, claim: ClaimId) {
        if let Some(at) = self.deadline(claim) {
            self.deadlines.set(claim, at);
        }
    }

    /// When the leases of a node would end if it drained from now on.
    pub(crate) fn drain_end(&self, node: Row, grace_ns: u64) -> Time {
        let end = self.books.at().after(grace_ns);
        self.drains.get(&node).map_or(end, |&known| known.min(end))
    }

    /// A node opens or closes.
    pub(crate) fn set_node_state(&mut self, change: &NodeChange) {
        let Some(node) = self.books.node(&change.name) else { return };
        self.books.set_node_state(node, change.state);
        if change.state == NodeState::Draining {
            self.drains.insert(node, self.drain_end(node, change.grace_ns));
        } else {
            self.stop_draining(node);
        }
    }

    /// A node as it is found; whether it was draining before is not found out anew.
    pub(crate) fn node_told(&mut self, spec: &NodeSpec) {
        let node = self.books.set_node(spec);
        if spec.state != NodeState::Draining {
            self.stop_draining(node);
        }
    }

    /// The leases of a node end when they would have.
    fn stop_draining(&mut self, node: Row) {
        if self.drains.remove(&node).is_some() {
            self.staying_on(node).into_iter().for_each(|(claim, _)| self.ends_anew(claim));
        }
    }

    /// Whether a waiting claim would have room on a node that takes none, or no node takes any.
    pub(crate) fn shut_out(&self, row: Row) -> bool {
        let nodes = self.books.view().nodes;
        let closed = |n: usize| NodeState::of(nodes.state[n]) != NodeState::Open;
        let mut shut = (0..nodes.len()).filter(|&n| closed(n)).map(|n| n as Row);
        !nodes.is_empty() && (0..nodes.len()).all(closed) || shut.any(|node| self.has_room(node, row))
    }

    fn has_room(&self, node: Row, row: Row) -> bool {
        let (view, c, n) = (self.books.view(), row as usize, node as usize);
        let (need, bar) = (view.claims.need[c], view.claims.bar[c]);
        if view.nodes.labels[n] & need != need || view.nodes.labels[n] & bar != 0 {
            return false;
        }
        let mut taken: Vec<(Row, Amount)> = Vec::new();
        let mut here = false;
        let all = view.claims.line_rows(row).map(|line| line as usize).all(|l| {
            let (kind, amount, want) = (view.lines.resource[l], view.lines.amount[l], view.lines.want[l]);
            let fits = |&pool: &Row| {
                let before: Amount =
                    taken.iter().filter(|(of, _)| *of == pool).map(|(_, amount)| amount).sum();
                let labels = view.pools.labels[pool as usize];
                let model = view.lines.models[l] == 0 || labels & view.lines.models[l] != 0;
                (want == NONE || want == pool) && model && view.pools.free(pool) >= before + amount
            };
            let first = Some(view.resources.first_floating[kind as usize]).filter(|&pool| pool != NONE);
            let mut floating = std::iter::successors(first, |&pool| {
                Some(view.pools.next[pool as usize]).filter(|&next| next != NONE)
            });
            let found = view.pools_of(node, kind).find(fits).or_else(|| floating.find(fits));
            if let Some(pool) = found {
                here |= view.pools.node[pool as usize] == node;
                taken.push((pool, amount));
            }
            found.is_some()
        });
        all && here
    }
}
