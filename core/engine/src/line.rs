//! A line of waiting groups in the order in which they are served: one comparator, in one place.
//!
//! A claim stands by (class and what else its tier says, starvation, share, rank, who came first). The
//! share is that of its scope: at each level of the scope tree the subtree with the smaller one goes
//! first (weighted dominant shares over a tree: Ghodsi et al., NSDI'11; Bhattacharya et al., SoCC'13;
//! Kueue, KEP-1714). Entering, leaving and a changed share cost O(depth · log n).
use crate::shape::Shape;
use bursar_interface::{ClaimId, NONE, Rank, Row};
use std::collections::{BTreeMap, BTreeSet};

/// A place among those of one scope: those who starve, then by rank, then who came first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Class, and what else the strategy puts above fairness.
    pub(crate) tier: u64,
    /// 0 once the claim has waited too long, else 1.
    pub(crate) patience: u8,
    /// Order within the tier of one scope.
    pub(crate) share: u64,
    /// Who came first.
    pub(crate) claim: ClaimId,
}

impl Place {
    /// The place of a claim that has just come.
    pub(crate) fn new(rank: Rank, claim: ClaimId) -> Place {
        Place { tier: rank.tier, patience: 1, share: rank.share, claim }
    }
}

/// A place among siblings of the scope tree: the share counts before what is only of one scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    tier: u64,
    patience: u8,
    share: u64,
    place: Place,
}

impl Key {
    fn new(share: u64, place: Place) -> Key {
        Key { tier: place.tier, patience: place.patience, share, place }
    }
}

/// Where scopes with waiting claims stand, as the books say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Stand {
    /// Row of the scope above, or [`NONE`].
    pub(crate) parent: Row,
    /// Share of the whole subtree against its siblings.
    pub(crate) share: u64,
    /// Share of the scope's own claims against its children.
    pub(crate) own: u64,
}

/// Stands by scope row.
pub(crate) type Stands = BTreeMap<Row, Stand>;

/// What of one scope stands in a line.
#[derive(Clone, Debug, Default)]
struct Branch {
    /// The first of each of its own groups.
    own: BTreeSet<(Place, Shape)>,
    children: BTreeSet<(Key, Row)>,
    /// How it stands in its parent's `children`.
    key: Option<Key>,
}

/// Groups in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line(BTreeMap<Row, Branch>);

impl Line {
    /// Whether nobody stands here.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A group enters with its first claim.
    pub(crate) fn enter(&mut self, stands: &Stands, scope: Row, place: Place, shape: Shape) {
        self.0.entry(scope).or_default().own.insert((place, shape));
        self.refresh(stands, scope);
    }

    /// A group leaves, which stood with this claim.
    pub(crate) fn leave(&mut self, stands: &Stands, scope: Row, place: Place, shape: Shape) {
        if let Some(branch) = self.0.get_mut(&scope) {
            branch.own.remove(&(place, shape));
            self.refresh(stands, scope);
        }
    }

    /// The group that is served first, and how it stands at the root.
    pub(crate) fn first(&self, stands: &Stands) -> Option<(Key, Shape)> {
        let mut at = 0;
        let (key, _) = self.best(stands, at)?;
        loop {
            match self.best(stands, at)?.1 {
                Ok(shape) => return Some((key, shape)),
                Err(child) => at = child,
            }
        }
    }

    /// Sets a scope's branch where its share, or what stands below it, says now; and those above it.
    pub(crate) fn refresh(&mut self, stands: &Stands, scope: Row) {
        let mut at = scope;
        while at != NONE && self.0.contains_key(&at) {
            let stand = stands.get(&at).copied().unwrap_or_default();
            let now = self.best(stands, at).map(|(best, _)| Key::new(stand.share, best.place));
            let Some(branch) = self.0.get_mut(&at) else { return };
            let before = std::mem::replace(&mut branch.key, now);
            if now.is_none() {
                self.0.remove(&at);
            }
            if before == now || stand.parent == NONE {
                return;
            }
            let parent = self.0.entry(stand.parent).or_default();
            before.map(|key| parent.children.remove(&(key, at)));
            now.map(|key| parent.children.insert((key, at)));
            at = stand.parent;
        }
    }

    /// What is served first of a scope: one of its own groups, or a child.
    fn best(&self, stands: &Stands, scope: Row) -> Option<(Key, Result<Shape, Row>)> {
        let branch = self.0.get(&scope)?;
        let own_share = stands.get(&scope).map_or(0, |stand| stand.own);
        let own = branch.own.first().map(|&(place, shape)| (Key::new(own_share, place), Ok(shape)));
        let child = branch.children.first().map(|&(key, child)| (key, Err(child)));
        match (own, child) {
            (Some(own), Some(child)) => Some(if own.0 <= child.0 { own } else { child }),
            (own, child) => own.or(child),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(tier: u64, claim: u64) -> Place {
        Place::new(Rank { tier, share: 0 }, ClaimId(claim))
    }

    fn shape(number: u64) -> Shape {
        Shape::new().with(number)
    }

    #[test]
    fn tiers_go_before_shares_and_shares_before_who_came_first() {
        // 0 ⊃ 1 ⊃ 3, 0 ⊃ 2
        let mut stands: Stands = [(0, NONE, 0), (1, 0, 50), (2, 0, 10), (3, 1, 0)]
            .into_iter()
            .map(|(scope, parent, share)| (scope, Stand { parent, share, own: 0 }))
            .collect();
        let mut line = Line::default();
        line.enter(&stands, 3, place(1, 1), shape(1));
        line.enter(&stands, 2, place(1, 2), shape(2));
        assert_eq!(line.first(&stands).map(|(_, shape)| shape), Some(shape(2)), "the smaller share");
        line.enter(&stands, 3, place(0, 3), shape(3));
        assert_eq!(line.first(&stands).map(|(_, shape)| shape), Some(shape(3)), "the better tier");
        line.leave(&stands, 3, place(0, 3), shape(3));
        stands.get_mut(&1).expect("there").share = 5;
        line.refresh(&stands, 1);
        assert_eq!(line.first(&stands).map(|(_, shape)| shape), Some(shape(1)), "the share fell");
        line.enter(&stands, 0, place(1, 9), shape(9));
        assert_eq!(
            line.first(&stands).map(|(_, shape)| shape),
            Some(shape(9)),
            "the root's own hold nothing"
        );
        for (scope, claim, group) in [(0, 9, 9), (3, 1, 1), (2, 2, 2)] {
            line.leave(&stands, scope, place(1, claim), shape(group));
        }
        assert!(line.is_empty());
    }
}
