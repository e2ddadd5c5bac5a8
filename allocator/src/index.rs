//! The index: for each recently seen shape of claim, every node's score in a tournament. A node is
//! scored again only when it changed, so the cost of a placement follows what changed.
//!
//! It is a cache of the view and never a secret: a fresh index gives the same answers.
use crate::{shape::Shape, tree::Tree};
use bursar_interface::{NONE, Plan, Row, View, canary, changed};

/// Shapes remembered at once; the one unused longest makes room.
const SHAPES_MAX: usize = 256;
/// Nodes taken from that are remembered; past that every tournament starts anew.
const TAKEN_MAX: usize = 1 << 16;

/// One shape's tournament, and how far it has read what happened.
#[derive(Clone, Debug, Default)]
struct Known {
    shape: Shape,
    tree: Tree,
    /// Epoch of the view it is up to date with.
    seen: u64,
    /// Takes it has read.
    read: usize,
    used: u64,
}

/// Tournaments by shape.
#[derive(Clone, Debug, Default)]
pub(crate) struct Index {
    known: Vec<Known>,
    /// Nodes that plans took from, in order; those of the last round stand twice.
    taken: Vec<Row>,
    round: usize,
    clock: u64,
    scratch: Shape,
    scored: u64,
    /// When each node was scored last, by `clock`: once is enough for one claim, however often it changed.
    fresh: Vec<u64>,
}

impl Index {
    /// A round begins: what the last plan took is taken no more, whatever became of it.
    pub(crate) fn begin(&mut self) {
        if self.taken.len() > TAKEN_MAX {
            self.known.clear();
            self.taken.clear();
        } else {
            self.taken.extend_from_within(self.round..);
        }
        self.round = self.taken.len();
    }

    /// Nodes scored since the index was made: what the work is counted in.
    pub(crate) fn scored(&self) -> u64 {
        self.scored
    }

    /// The best node for a claim, by a `score` above 0 for nodes that take it; `None` if none does.
    /// `skip` is left out.
    pub(crate) fn best(
        &mut self,
        view: &View<'_>,
        plan: &mut Plan<'_>,
        claim: Row,
        skip: &[Row],
        mut score: impl FnMut(&mut Plan<'_>, Row) -> u32,
    ) -> Option<Row> {
        let at = self.find(view, claim);
        let Index { known, taken, scored, fresh, clock, .. } = self;
        let Known { tree, seen, read, .. } = &mut known[at];
        fresh.resize(fresh.len().max(view.nodes.len()), 0);
        let mut rescore = |tree: &mut Tree, node: Row| {
            if std::mem::replace(&mut fresh[node as usize], *clock) != *clock {
                *scored += 1;
                tree.set(node, score(plan, node));
            }
        };
        for rows in changed(view.nodes.touched, view.nodes.len(), *seen) {
            rows.for_each(|node| rescore(tree, node as Row));
        }
        for pool in changed(view.pools.touched, view.pools.len(), *seen).flatten() {
            let node = view.pools.node[pool];
            if node != NONE && view.pools.id[pool] != 0 && !canary!("the index is never renewed") {
                rescore(tree, node);
            }
        }
        taken[*read..].iter().for_each(|&node| rescore(tree, node));
        (*seen, *read) = (view.epoch, taken.len());
        let masked: Vec<(Row, u32)> = skip.iter().map(|&node| (node, tree.get(node))).collect();
        masked.iter().for_each(|&(node, _)| tree.set(node, 0));
        let best = tree.best();
        masked.iter().for_each(|&(node, score)| tree.set(node, score));
        best
    }

    /// A plan took from this node.
    pub(crate) fn took(&mut self, node: Row) {
        self.taken.push(node);
    }

    /// The place of a claim's shape, made if it is new.
    fn find(&mut self, view: &View<'_>, claim: Row) -> usize {
        self.scratch.read(view, claim);
        self.clock += 1;
        let nodes = view.nodes.len();
        let found = self.known.iter().position(|known| known.shape == self.scratch);
        let at = found.unwrap_or_else(|| self.new_place());
        let known = &mut self.known[at];
        if found.is_none() || known.tree.room() < nodes {
            *known = Known { shape: self.scratch.clone(), tree: Tree::with_rows(nodes), ..Known::default() };
        }
        known.used = self.clock;
        at
    }

    fn new_place(&mut self) -> usize {
        if self.known.len() < SHAPES_MAX {
            self.known.push(Known::default());
            return self.known.len() - 1;
        }
        let oldest = self.known.iter().enumerate().min_by_key(|(_, known)| known.used);
        oldest.map_or(0, |(at, _)| at)
    }
}
