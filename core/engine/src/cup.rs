//! A tournament: who of many is first, kept so that entering, leaving and a changed standing each cost one
//! comparison a level, and none above the level that they do not change (winner trees: Knuth, TAOCP 3, 5.4.1).
use bursar_interface::NONE;

/// A tournament over contenders that have a number each; who beats whom is said with each call.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cup {
    /// A full binary tree, its root at 1: contenders at the leaves, winners above them.
    tree: Vec<u32>,
    /// Leaves that were left, to be entered again.
    spare: Vec<u32>,
    /// Leaves that were ever entered.
    used: u32,
    /// Contenders there are.
    len: u32,
}

impl Cup {
    /// How many contend.
    pub(crate) fn len(&self) -> u32 {
        self.len
    }

    /// Who is first.
    pub(crate) fn first(&self) -> Option<u32> {
        self.tree.get(1).copied().filter(|&who| who != NONE)
    }

    /// Somebody enters; returns the leaf.
    pub(crate) fn enter(&mut self, who: u32, beats: impl Fn(u32, u32) -> bool) -> u32 {
        let leaf = self.spare.pop().unwrap_or(self.used);
        if leaf == self.used {
            self.used += 1;
            if self.used as usize > self.leaves() {
                self.grow();
            }
        }
        self.len += 1;
        self.set(leaf, who, beats);
        leaf
    }

    /// Whoever is at a leaf leaves.
    pub(crate) fn leave(&mut self, leaf: u32, beats: impl Fn(u32, u32) -> bool) {
        self.len -= 1;
        self.set(leaf, NONE, beats);
        self.spare.push(leaf);
        if self.len == 0 {
            (self.used, self.tree, self.spare) = (0, Vec::new(), Vec::new());
        }
    }

    /// Whoever is at a leaf stands elsewhere than before.
    pub(crate) fn replay(&mut self, leaf: u32, beats: impl Fn(u32, u32) -> bool) {
        let who = self.tree[self.leaves() + leaf as usize];
        self.set(leaf, who, beats);
    }

    fn set(&mut self, leaf: u32, who: u32, beats: impl Fn(u32, u32) -> bool) {
        let mut at = self.leaves() + leaf as usize;
        let before = std::mem::replace(&mut self.tree[at], who);
        while at > 1 {
            at /= 2;
            let won = match (self.tree[2 * at], self.tree[2 * at + 1]) {
                (NONE, other) | (other, NONE) => other,
                (a, b) => {
                    if beats(b, a) {
                        b
                    } else {
                        a
                    }
                }
            };
            let known = std::mem::replace(&mut self.tree[at], won);
            // Somebody else won here, and goes on to win as before.
            if known == won && won != who && won != before {
                break;
            }
        }
    }

    fn leaves(&self) -> usize {
        self.tree.len() / 2
    }

    /// Twice the leaves: the tree so far is the left half of the new one.
    fn grow(&mut self) {
        let leaves = self.leaves();
        let mut tree = vec![NONE; (4 * leaves).max(2)];
        for level in (0..=leaves.max(1).ilog2()).map(|level| 1 << level).take_while(|&at| at <= leaves) {
            tree[2 * level..3 * level].copy_from_slice(&self.tree[level..2 * level]);
        }
        if leaves > 0 {
            tree[1] = self.tree[1];
        }
        self.tree = tree;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[test]
    fn the_first_is_always_first_and_a_change_costs_a_comparison_a_level() {
        for many in [1u32, 2, 3, 100, 1000, 4096] {
            let mut places: Vec<u64> = (0..u64::from(many)).map(|n| n * 7919 % 10_007).collect();
            let compared = Cell::new(0);
            let mut cup = Cup::default();
            let mut leaves: Vec<Option<u32>> = Vec::new();
            for who in 0..many {
                let leaf = cup.enter(who, |a, b| places[a as usize] < places[b as usize]);
                leaves.push(Some(leaf));
            }
            for turn in 0..4 * u64::from(many) {
                let who = (turn * 31 % u64::from(many)) as usize;
                compared.set(0);
                let old = places.clone();
                places[who] = turn * 104_729 % 10_007 + 20_000 * (turn % 3);
                let beats = |a: u32, b: u32| {
                    compared.set(compared.get() + 1);
                    (places[a as usize], a) < (places[b as usize], b)
                };
                match (leaves[who], turn % 5) {
                    (Some(leaf), 0) => {
                        cup.leave(leaf, beats);
                        leaves[who] = None;
                    }
                    (Some(leaf), _) => cup.replay(leaf, beats),
                    (None, _) => leaves[who] = Some(cup.enter(who as u32, beats)),
                }
                assert!(compared.get() <= u64::from(many.ilog2() + 1), "{} of {many}", compared.get());
                let live = (0..many).filter(|&who| leaves[who as usize].is_some());
                let first = live.clone().min_by_key(|&who| (places[who as usize], who));
                assert_eq!(cup.first(), first, "of {many} after {turn}: {old:?}");
                assert_eq!(cup.len() as usize, live.count());
            }
        }
    }
}
