//! Claims within claims: who draws from whom. A claim within another takes what that one holds out of its
//! lines, never out of the pools again, so nothing is counted twice; what it takes so is kept here, beside
//! the tables, and no strategy is asked about it.
use crate::{Books, Digest, Wanted};
use bursar_interface::{Amount, ClaimId, NONE, Row};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// A line that is drawn from a line of a claim around.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inner {
    /// Row of the kind.
    pub resource: Row,
    /// Row of the pool that the asker named, or [`NONE`].
    pub want: Row,
    /// Row of the pool that the parent's line is of; [`NONE`] while it waits.
    pub pool: Row,
    /// Label terms of which that pool must have one; 0 for any.
    pub models: u64,
    /// How much.
    pub amount: Amount,
    /// What was really used, as settled; `u64::MAX` for unknown.
    pub used: Amount,
    /// The claim that it is drawn from: the nearest around this one that has some of it.
    pub of: ClaimId,
    /// Which of that claim's lines, counted through those from pools and then the inner ones; [`NONE`]
    /// while it waits.
    pub from: u32,
    /// What claims within this one draw from it, and spent of it.
    pub drawn: Amount,
}

/// What a claim has to do with those around it and those within.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nested {
    /// Which claim it draws from.
    pub(crate) parent: Option<ClaimId>,
    /// Claims around it.
    pub(crate) depth: u32,
    /// Live claims that draw from it, waiting ones included.
    pub(crate) children: BTreeSet<ClaimId>,
    /// Live claims below it, on all levels.
    pub(crate) below: u32,
    /// What it takes of its parent's lines.
    pub(crate) inner: Vec<Inner>,
    /// What its children draw from its lines of pools, and spent of them; as far as they ever did.
    pub(crate) drawn: Vec<Amount>,
    /// Proved back; only its children keep it from closing.
    pub(crate) returned: bool,
}

impl Nested {
    pub(crate) fn digest(&self, claim: ClaimId, digest: &mut Digest) {
        let words = [claim.0, self.parent.map_or(0, |parent| parent.0), u64::from(self.returned)];
        words.into_iter().chain(self.drawn.iter().copied()).for_each(|word| digest.word(word));
        for line in &self.inner {
            let rows = [line.resource, line.want, line.pool, line.from].map(u64::from);
            digest.word(line.of.0);
            rows.into_iter().for_each(|word| digest.word(word));
            [line.models, line.amount, line.used, line.drawn].into_iter().for_each(|word| digest.word(word));
        }
    }
}

impl Books {
    fn nested(&self, claim: ClaimId) -> Option<&Nested> {
        if self.nest.is_empty() { None } else { self.nest.get(&claim) }
    }

    fn nested_row(&self, claim: Row) -> Option<&Nested> {
        self.nested(ClaimId(self.tables.claims.id[claim as usize]))
    }

    /// The claim that another draws from, if any.
    pub fn parent(&self, claim: ClaimId) -> Option<ClaimId> {
        self.nested(claim)?.parent
    }

    /// The row of the claim that another draws from, if any.
    pub fn parent_row(&self, claim: Row) -> Option<Row> {
        self.claim(self.nested_row(claim)?.parent?)
    }

    /// Live claims that draw from one, waiting ones included, oldest first.
    pub fn children(&self, claim: ClaimId) -> impl DoubleEndedIterator<Item = ClaimId> + '_ {
        self.nested(claim).into_iter().flat_map(|nested| nested.children.iter().copied())
    }

    /// Live claims below one, on all levels.
    pub fn descendants(&self, claim: ClaimId) -> impl Iterator<Item = ClaimId> + '_ {
        let mut ahead: Vec<ClaimId> = self.children(claim).rev().collect();
        std::iter::from_fn(move || {
            let next = ahead.pop()?;
            ahead.extend(self.children(next).rev());
            Some(next)
        })
    }

    /// How many live claims draw from one.
    pub fn child_count(&self, claim: ClaimId) -> usize {
        self.nested(claim).map_or(0, |nested| nested.children.len())
    }

    /// How many claims are around one.
    pub fn depth(&self, claim: ClaimId) -> u32 {
        self.nested(claim).map_or(0, |nested| nested.depth)
    }

    /// How many live claims are below one, on all levels.
    pub fn below(&self, claim: ClaimId) -> u32 {
        self.nested(claim).map_or(0, |nested| nested.below)
    }

    /// A claim and those around it, innermost first.
    pub fn around(&self, claim: ClaimId) -> impl Iterator<Item = ClaimId> + '_ {
        std::iter::successors(Some(claim), |&claim| self.parent(claim))
    }

    /// What a claim takes of its parent's lines.
    pub fn inner(&self, claim: Row) -> &[Inner] {
        self.nested_row(claim).map_or(&[], |nested| &nested.inner)
    }

    /// What a claim asks of a kind, from pools and from its parent.
    pub fn asked_in_all(&self, claim: Row, resource: Row) -> Amount {
        let inner = self.inner(claim).iter().filter(|line| line.resource == resource);
        self.asked(claim, resource) + inner.map(|line| line.amount).sum::<Amount>()
    }

    /// The node that a claim must be on because its parent is; `None` where it may be on any.
    pub fn node_bound(&self, claim: Row) -> Option<Row> {
        let node = self.tables.claims.node[self.parent_row(claim)? as usize];
        Some(node).filter(|&node| node != NONE)
    }

    /// Takes the lines of which `parent`, or a claim around it, has some out of `lines`: whoever does not ask
    /// for a kind shares what is around it, so those within draw from there. A kind that springs from names, or
    /// of which a driver holds each for one user, is the parent's only by the name of what the parent holds; a device
    /// that comes in parts is not.
    pub fn split_inner(&self, parent: Row, lines: &mut Vec<Wanted>) -> Vec<Inner> {
        let mut inner = Vec::new();
        let parent = ClaimId(self.tables.claims.id[parent as usize]);
        lines.retain(|line| {
            let spec = self.spec(line.resource);
            let one = spec.driven && spec.piece <= 1;
            let any = line.want == NONE && !line.springs && !one && spec.springs == 0;
            let has = |claim: &ClaimId| {
                self.slices_of(*claim)
                    .any(|(_, slice)| slice.resource == line.resource && (any || slice.pool == line.want))
            };
            let Some(of) = self.around(parent).find(has) else { return true };
            let Wanted { resource, amount, want, models, .. } = *line;
            let (pool, from, used, drawn) = (NONE, NONE, Amount::MAX, 0);
            inner.push(Inner { resource, want, pool, models, amount, used, of, from, drawn });
            false
        });
        inner
    }

    /// A claim that was just opened draws from another.
    pub fn enter_nest(&mut self, claim: ClaimId, parent: ClaimId, inner: Vec<Inner>) {
        let depth = self.depth(parent) + 1;
        let nested = Nested { parent: Some(parent), depth, inner, ..Nested::default() };
        self.nest.insert(claim, nested);
        self.nest.entry(parent).or_default().children.insert(claim);
        self.count_below(parent, |below| below + 1);
    }

    /// What a claim held is proved back, and it waits for its children.
    pub fn give_returned(&mut self, claim: ClaimId) {
        if let Some(nested) = self.nest.get_mut(&claim) {
            nested.returned = true;
        }
    }

    /// Whether what a claim held is proved back while its children are not.
    pub fn returned(&self, claim: ClaimId) -> bool {
        self.nested(claim).is_some_and(|nested| nested.returned)
    }

    /// A claim goes: what it drew flows back to its parent, but for what it spent.
    pub(crate) fn unnest(&mut self, claim: Row) {
        if self.nest.is_empty() {
            return;
        }
        let id = ClaimId(self.tables.claims.id[claim as usize]);
        let Some(parent) = self.nest.get(&id).map(|nested| nested.parent) else { return };
        if let Some(parent) = parent {
            self.undraw(claim);
            if let Some(nested) = self.nest.get_mut(&parent) {
                nested.children.remove(&id);
            }
            self.count_below(parent, |below| below - 1);
        }
        self.nest.remove(&id);
    }

    fn count_below(&mut self, claim: ClaimId, count: impl Fn(u32) -> u32) {
        let mut at = Some(claim);
        while let Some(nested) = at.and_then(|claim| self.nest.get_mut(&claim)) {
            nested.below = count(nested.below);
            at = nested.parent;
        }
    }
}
