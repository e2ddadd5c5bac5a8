//! What operators of the world set at one moment, and a second opinion on the nodes that they close.
use crate::{Random, spent};
use bursar_engine::Engine;
use bursar_interface::{
    Batch, Change, ClaimId, Command, Event, NONE, NodeChange, NodeState, Phase, PoolChange, QuotaChange,
    ScopeSpec, Setting, What,
};
use std::collections::BTreeMap;

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

/// Some settings at once, sensible or not.
pub(crate) fn settings(random: &mut Random, nodes: &[&str]) -> Command {
    Command::Apply((0..1 + random.below(3)).map(|_| setting(random, nodes)).collect())
}

fn setting(random: &mut Random, nodes: &[&str]) -> Setting {
    let node = (*random.pick(nodes)).to_owned();
    let scope = (*random.pick(&["a", "b", "b/c", "a/x"])).to_owned();
    match random.below(9) {
        0 => Setting::Pool(PoolChange {
            resource: "cpu".into(),
            node: Some(node),
            name: "cpu".into(),
            capacity: Some(random.below(6000)),
            ..PoolChange::default()
        }),
        1 => Setting::Scope(ScopeSpec { path: scope, weight: random.below(5) as u32 }),
        2 => Setting::Quota(QuotaChange {
            scope,
            resource: (*random.pick(&["cpu", "memory", spent::BUDGET])).into(),
            guaranteed: random.chance(1, 2).then(|| random.below(2000)),
            limit: random.chance(1, 2).then(|| random.chance(1, 2).then(|| random.below(8000))),
            lend_limit: random.chance(1, 2).then(|| random.chance(1, 2).then(|| random.below(2000))),
            ..QuotaChange::default()
        }),
        8 => {
            let resource = (*random.pick(&["cpu", "memory", spent::BUDGET, spent::RATE])).into();
            Setting::RemoveQuota { scope, resource }
        }
        state => Setting::Node(NodeChange {
            name: node,
            state: match state {
                3 => NodeState::Draining,
                4 => NodeState::Cordoned,
                _ => NodeState::Open,
            },
            grace_ns: random.below(20 * SECOND),
        }),
    }
}

/// Nodes that take nobody, as they were told: and when those that are there have to be gone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Closed {
    nodes: BTreeMap<String, Option<u64>>,
    granted: Vec<ClaimId>,
}

impl Closed {
    /// Hears what was done.
    pub(crate) fn hear(&mut self, batch: &Batch, event: &Event) {
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        match (&event.what, input.map(|input| &input.body)) {
            (What::Granted { claim, .. }, _) => self.granted.push(*claim),
            (What::NodeSet, Some(Command::SetNode(spec))) => self.set(&spec.name, spec.state, None),
            (What::Applied(changes), Some(Command::Apply(settings))) => {
                for (setting, change) in settings.iter().zip(changes) {
                    if let (Setting::Node(node), true) = (setting, *change != Change::Unchanged) {
                        self.set(&node.name, node.state, Some(batch.at.0.saturating_add(node.grace_ns)));
                    }
                }
            }
            _ => {}
        }
    }

    fn set(&mut self, name: &str, state: NodeState, end: Option<u64>) {
        let known = self.nodes.remove(name).flatten();
        let end = end.filter(|_| state == NodeState::Draining).map(|end| known.map_or(end, |k| k.min(end)));
        if state != NodeState::Open {
            self.nodes.insert(name.into(), end);
        }
    }

    /// Nobody was granted anything on a closed node, and nobody stays on a drained one.
    pub(crate) fn look(&mut self, engine: &Engine) -> Result<(), String> {
        let (view, books) = (engine.view(), engine.books());
        let place = |claim: ClaimId| {
            books.claim(claim).map(|row| books.node_name(view.claims.node[row as usize]).to_owned())
        };
        // Who draws from a lease alone takes nothing of the node that is not given already.
        let takes = |claim: &ClaimId| {
            let Some(row) = books.claim(*claim) else { return false };
            let mut lines = view.claims.line_rows(row).map(|line| view.lines.pool[line as usize]);
            books.parent(*claim).is_none() || lines.any(|pool| view.pools.node[pool as usize] != NONE)
        };
        for claim in self.granted.drain(..).filter(takes) {
            if let Some(node) = place(claim).filter(|node| self.nodes.contains_key(node)) {
                return Err(format!("claim {claim} was granted on {node}, which takes none"));
            }
        }
        for c in (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0) {
            let leased = matches!(Phase::of(view.claims.phase[c]), Phase::Reserved | Phase::Held);
            let end = self.nodes.get(books.node_name(view.claims.node[c])).copied().flatten();
            if leased && end.is_some_and(|end| end <= books.at().0) {
                return Err(format!("claim {} stays on a node that was drained", view.claims.id[c]));
            }
        }
        Ok(())
    }
}
