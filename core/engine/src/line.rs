//! Lines of waiting groups in the order in which they are served: one comparator, in one place.
//!
//! A claim stands by (class and what else its tier says, starvation, share, rank, who came first); among those who
//! starve by who came first alone, or new ones of smaller shares would keep an old one waiting for ever. The
//! share is that of its scope: at each level of the scope tree the subtree with the smaller one goes
//! first (weighted dominant shares over a tree: Ghodsi et al., NSDI'11; Bhattacharya et al., SoCC'13;
//! Kueue, KEP-1714). There is a line for each thing that groups may lack, and a branch in it for each scope
//! that has groups there; its children contend in a [`Cup`]. Entering, leaving and a changed share cost
//! O(depth · log n) in each line in which the scope has somebody to contend with, and nothing in others.
use crate::cup::Cup;
use bursar_interface::{ClaimId, NONE, Rank, Row};
use bursar_pool::Spread;
use std::{
    collections::{BTreeSet, HashMap},
    hash::BuildHasherDefault,
};

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

    /// The place of the same claim once it has waited too long.
    pub(crate) fn starving(self) -> Place {
        Place { patience: 0, share: 0, ..self }
    }

    /// What a share of its scope counts for it.
    fn counts(&self, share: u64) -> u64 {
        if self.patience == 0 { 0 } else { share }
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
    /// Class, and what else the strategy puts above fairness.
    pub(crate) fn tier(&self) -> u64 {
        self.tier
    }

    fn new(share: u64, place: Place) -> Key {
        Key { tier: place.tier, patience: place.patience, share: place.counts(share), place }
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

/// A group's number.
pub(crate) type Group = u32;

/// The first claims of a scope's own groups in one line, in order: nearly always of one group.
#[derive(Clone, Debug, Default)]
struct Own {
    first: Option<(Place, Group)>,
    rest: BTreeSet<(Place, Group)>,
}

impl Own {
    fn insert(&mut self, entry: (Place, Group)) {
        match self.first {
            None => self.first = Some(entry),
            Some(first) => {
                self.first = Some(first.min(entry));
                self.rest.insert(first.max(entry));
            }
        }
    }

    fn remove(&mut self, entry: (Place, Group)) {
        if self.first == Some(entry) {
            self.first = self.rest.pop_first();
        } else {
            self.rest.remove(&entry);
        }
    }
}

/// What of one scope stands in one line.
#[derive(Clone, Debug, Default)]
struct Branch {
    line: u32,
    scope: Row,
    /// The branch of the scope above, or [`NONE`].
    parent: u32,
    /// Its leaf among its siblings.
    leaf: u32,
    /// Who of it is served first, as its siblings know it.
    best: Option<Place>,
    own: Own,
    /// Whether there is somebody to contend with: beside it, or children against own groups below it.
    beside: bool,
    below: bool,
    /// The branches of the same scope in other lines of which one of both is so.
    listed: bool,
    before: u32,
    after: u32,
}

/// A scope that has somebody waiting.
#[derive(Clone, Copy, Debug)]
struct Seat {
    stand: Stand,
    /// First of its branches that contend with somebody, or [`NONE`].
    contends: u32,
}

const VACANT: Seat = Seat { stand: Stand { parent: NONE, share: 0, own: 0 }, contends: NONE };

/// How a branch stands against its siblings: its [`Key`], in a row of numbers that lie together.
type Mark = [u64; 5];

/// All lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    seats: Vec<Seat>,
    branches: Vec<Branch>,
    /// How each branch that has a sibling stands.
    marks: Vec<Mark>,
    /// The children of each branch.
    cups: Vec<Cup>,
    free: Vec<u32>,
    rows: HashMap<(u32, Row), u32, BuildHasherDefault<Spread>>,
    /// The topmost branch of each line, or [`NONE`].
    tops: Vec<u32>,
}

/// Who of two branches is served first.
fn beats(marks: &[Mark]) -> impl Fn(u32, u32) -> bool + '_ {
    move |a, b| {
        #[cfg(test)]
        tests::count();
        marks[a as usize] < marks[b as usize]
    }
}

impl Lines {
    /// Whether nobody stands in a line.
    pub(crate) fn is_empty(&self, line: u32) -> bool {
        self.tops.get(line as usize).is_none_or(|&top| top == NONE)
    }

    /// A group enters a line with its first claim; returns where it stands.
    pub(crate) fn enter(&mut self, line: u32, scope: Row, place: Place, group: Group) -> u32 {
        let at = self.branch(line, scope);
        self.branches[at as usize].own.insert((place, group));
        self.contest(at, NONE);
        self.rise(at);
        at
    }

    /// A group leaves, which stood there with this claim.
    pub(crate) fn leave(&mut self, at: u32, place: Place, group: Group) {
        self.branches[at as usize].own.remove((place, group));
        self.contest(at, NONE);
        self.rise(at);
    }

    /// A group stands with another claim than before.
    pub(crate) fn replace(&mut self, at: u32, before: Place, now: Place, group: Group) {
        let own = &mut self.branches[at as usize].own;
        own.remove((before, group));
        own.insert((now, group));
        self.rise(at);
    }

    /// The group that is served first in a line, and how it stands at the root.
    pub(crate) fn first(&self, line: u32) -> Option<(Key, Group)> {
        let mut at = *self.tops.get(line as usize).filter(|&&top| top != NONE)?;
        let (key, _) = self.best(at)?;
        loop {
            match self.best(at)?.1 {
                Ok(group) => return Some((key, group)),
                Err(child) => at = child,
            }
        }
    }

    /// Whether a claim of one scope is served before a claim of another: below the scope that is above both, the
    /// share of the subtree of each counts.
    pub(crate) fn before(&self, one: (Row, Place), other: (Row, Place)) -> bool {
        let (mut at, mut below) = ([one.0, other.0], [NONE, NONE]);
        let mut depths = at.map(|scope| self.depth(scope));
        while at[0] != at[1] {
            let lower = usize::from(depths[1] > depths[0]);
            (below[lower], at[lower]) = (at[lower], self.parent(at[lower]));
            depths[lower] -= 1;
        }
        let key = |below: Row, place: Place| match below {
            NONE => Key::new(self.seats[at[0] as usize].stand.own, place),
            below => Key::new(self.seats[below as usize].stand.share, place),
        };
        key(below[0], one.1) < key(below[1], other.1)
    }

    /// How many scopes are above one, itself counted.
    fn depth(&self, scope: Row) -> usize {
        let up = |at: &Row| Some(self.parent(*at)).filter(|&up| up != NONE);
        std::iter::successors(Some(scope), up).count()
    }

    /// Where a scope stands from now on.
    pub(crate) fn set_stand(&mut self, scope: Row, stand: Stand) {
        let scope = scope as usize;
        if self.seats.len() <= scope {
            self.seats.resize(scope + 1, VACANT);
        }
        #[cfg(test)]
        tests::count();
        let before = std::mem::replace(&mut self.seats[scope].stand, stand);
        if before == stand {
            return;
        }
        let mut at = self.seats[scope].contends;
        while at != NONE {
            #[cfg(test)]
            tests::count();
            let Branch { parent, leaf, beside, below, after, .. } = self.branches[at as usize];
            if below && before.own != stand.own {
                self.rise(at);
            }
            if beside && before.share != stand.share {
                self.mark(at);
                self.cups[parent as usize].replay(leaf, beats(&self.marks));
                self.rise(parent);
            }
            at = after;
        }
    }

    /// The row above a scope that has somebody waiting.
    pub(crate) fn parent(&self, scope: Row) -> Row {
        self.seats.get(scope as usize).map_or(NONE, |seat| seat.stand.parent)
    }

    /// The branch of a scope in a line, with those above it, made on first use.
    fn branch(&mut self, line: u32, scope: Row) -> u32 {
        if let Some(&at) = self.rows.get(&(line, scope)) {
            return at;
        }
        let above = self.parent(scope);
        let parent = if above == NONE { NONE } else { self.branch(line, above) };
        let at = self.free.pop().unwrap_or_else(|| {
            self.branches.push(Branch::default());
            self.marks.push(Mark::default());
            self.cups.push(Cup::default());
            self.branches.len() as u32 - 1
        });
        let branch = &mut self.branches[at as usize];
        (branch.line, branch.scope, branch.parent) = (line, scope, parent);
        self.rows.insert((line, scope), at);
        if parent == NONE {
            let line = line as usize;
            self.tops.resize(self.tops.len().max(line + 1), NONE);
            self.tops[line] = at;
        }
        at
    }

    /// Those above a branch hear who is its first now; a branch without anybody goes.
    fn rise(&mut self, mut at: u32) {
        while at != NONE {
            let now = self.best(at).map(|(key, _)| key.place);
            let branch = &mut self.branches[at as usize];
            let (parent, leaf) = (branch.parent, branch.leaf);
            let before = std::mem::replace(&mut branch.best, now);
            if before == now {
                return;
            }
            if parent != NONE {
                let sole = self.cups[parent as usize].first();
                // Whoever was alone was not kept up to date.
                sole.into_iter().chain([at]).for_each(|branch| self.mark(branch));
                let beats = beats(&self.marks);
                let cup = &mut self.cups[parent as usize];
                match (before, now) {
                    (None, _) => {
                        let leaf = cup.enter(at, beats);
                        self.branches[at as usize].leaf = leaf;
                        self.contest(parent, at);
                        sole.into_iter().for_each(|sole| self.contest(parent, sole));
                    }
                    (_, None) => {
                        cup.leave(leaf, beats);
                        self.contest(parent, NONE);
                    }
                    _ => cup.replay(leaf, beats),
                }
            }
            if now.is_none() {
                self.forget(at);
            }
            at = parent;
        }
    }

    /// Writes down how a branch stands.
    fn mark(&mut self, at: u32) {
        let branch = &self.branches[at as usize];
        if let Some(place @ Place { tier, patience, share, claim }) = branch.best {
            let of_scope = place.counts(self.seats[branch.scope as usize].stand.share);
            self.marks[at as usize] = [tier, u64::from(patience), of_scope, share, claim.0];
        }
    }

    fn forget(&mut self, at: u32) {
        self.list(at, false);
        let Branch { line, scope, parent, .. } = std::mem::take(&mut self.branches[at as usize]);
        self.rows.remove(&(line, scope));
        self.free.push(at);
        if parent == NONE {
            self.tops[line as usize] = NONE;
        }
    }

    /// Others entered or left beside `child` and the own groups of a branch: who contends with whom.
    fn contest(&mut self, at: u32, child: u32) {
        let (own, children) = (self.branches[at as usize].own.first.is_some(), self.cups[at as usize].len());
        let below = own && children > 0;
        if std::mem::replace(&mut self.branches[at as usize].below, below) != below {
            self.list(at, below || self.branches[at as usize].beside);
        }
        let sole = self.cups[at as usize].first().filter(|_| children == 1);
        let beside = children + u32::from(own) > 1;
        for child in [sole.unwrap_or(NONE), child].into_iter().filter(|&child| child != NONE) {
            let branch = &mut self.branches[child as usize];
            if std::mem::replace(&mut branch.beside, beside) != beside {
                let listed = beside || branch.below;
                self.list(child, listed);
            }
        }
    }

    /// Puts a branch on the list of its scope, or takes it off.
    fn list(&mut self, at: u32, listed: bool) {
        let Branch { scope, before, after, .. } = self.branches[at as usize];
        if std::mem::replace(&mut self.branches[at as usize].listed, listed) == listed {
            return;
        }
        let head = &mut self.seats[scope as usize].contends;
        if listed {
            let first = std::mem::replace(head, at);
            (self.branches[at as usize].before, self.branches[at as usize].after) = (NONE, first);
            if first != NONE {
                self.branches[first as usize].before = at;
            }
            return;
        }
        match before {
            NONE => *head = after,
            _ => self.branches[before as usize].after = after,
        }
        if after != NONE {
            self.branches[after as usize].before = before;
        }
    }

    /// What is served first of a branch: one of its own groups, or a child.
    fn best(&self, at: u32) -> Option<(Key, Result<Group, u32>)> {
        let branch = &self.branches[at as usize];
        let own = branch
            .own
            .first
            .map(|(place, group)| (Key::new(self.seats[branch.scope as usize].stand.own, place), Ok(group)));
        let child = self.cups[at as usize].first().and_then(|child| {
            let below = &self.branches[child as usize];
            let share = self.seats[below.scope as usize].stand.share;
            below.best.map(|place| (Key::new(share, place), Err(child)))
        });
        match (own, child) {
            (Some(own), Some(child)) => Some(if own.0 <= child.0 { own } else { child }),
            (own, child) => own.or(child),
        }
    }
}

/// Comparisons made, and scopes looked at again, by this thread so far.
#[cfg(test)]
pub(crate) fn counted() -> u64 {
    tests::COUNTED.with(std::cell::Cell::get)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        /// Comparisons made, and scopes looked at again, so far.
        pub(super) static COUNTED: Cell<u64> = const { Cell::new(0) };
    }

    pub(super) fn count() {
        COUNTED.with(|counted| counted.set(counted.get() + 1));
    }

    fn place(tier: u64, claim: u64) -> Place {
        Place::new(Rank { tier, share: 0 }, ClaimId(claim))
    }

    #[test]
    fn tiers_go_before_shares_and_shares_before_who_came_first() {
        // 0 ⊃ 1 ⊃ 3, 0 ⊃ 2
        let mut lines = Lines::default();
        for (scope, parent, share) in [(0, NONE, 0), (1, 0, 50), (2, 0, 10), (3, 1, 0)] {
            lines.set_stand(scope, Stand { parent, share, own: 0 });
        }
        let first = |lines: &Lines| lines.first(0).map(|(_, group)| group);
        let one = lines.enter(0, 3, place(1, 1), 1);
        let two = lines.enter(0, 2, place(1, 2), 2);
        assert_eq!(first(&lines), Some(2), "the smaller share");
        let three = lines.enter(0, 3, place(0, 3), 3);
        assert_eq!(first(&lines), Some(3), "the better tier");
        lines.leave(three, place(0, 3), 3);
        lines.set_stand(1, Stand { parent: 0, share: 5, own: 0 });
        assert_eq!(first(&lines), Some(1), "the share fell");
        let nine = lines.enter(0, 0, place(1, 9), 9);
        assert_eq!(first(&lines), Some(9), "the root's own hold nothing");
        for (at, claim, group) in [(nine, 9, 9), (one, 1, 1), (two, 2, 2)] {
            lines.leave(at, place(1, claim), group);
        }
        assert!(lines.is_empty(0) && lines.rows.is_empty());
        assert!(lines.seats.iter().all(|seat| seat.contends == NONE));
    }
}
