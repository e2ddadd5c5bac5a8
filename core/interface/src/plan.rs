//! What an allocator writes: takes over a frozen view, with an overlay that remembers what the same
//! round has already promised, so that one round may place many claims.
use crate::{Amount, NONE, Row, View, bound::LINES_MAX};
use std::{cmp::Reverse, ops::Range};

/// One line of a claim taken from one pool.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Take {
    /// Row of the claim.
    pub claim: Row,
    /// Row of the line.
    pub line: Row,
    /// Row of the pool.
    pub pool: Row,
    /// Row of the node that the claim goes to, or [`NONE`] if all of it floats.
    pub node: Row,
    /// How much.
    pub amount: Amount,
}

/// What a round has promised so far, by pool and by (scope kept apart, node). Kept between rounds
/// so that nothing is allocated: a stamp tells this round's cells from older ones.
#[derive(Clone, Debug, Default)]
pub struct Overlay {
    stamp: u64,
    pools: Vec<(u64, Amount)>,
    apart: Vec<(Row, Row)>,
}

impl Overlay {
    fn begin(&mut self, pools: usize) {
        self.stamp += 1;
        self.apart.clear();
        if self.pools.len() < pools {
            self.pools.resize(pools, (0, 0));
        }
    }

    fn promised(&self, pool: Row) -> Amount {
        let (stamp, amount) = self.pools[pool as usize];
        if stamp == self.stamp { amount } else { 0 }
    }

    fn promise(&mut self, pool: Row, amount: Amount) {
        let before = self.promised(pool);
        self.pools[pool as usize] = (self.stamp, before + amount);
    }

    fn withdraw(&mut self, pool: Row, amount: Amount) {
        self.pools[pool as usize].1 -= amount;
    }
}

/// In which order lines of one kind are to be placed, so that none takes what only another can do with: those that
/// name their pool, then those that name models, and the largest amount first.
pub fn choosiest_first(pool_named: bool, models_named: bool, amount: Amount) -> impl Ord {
    (!pool_named, !models_named, Reverse(amount))
}

impl View<'_> {
    /// Where a line stands by [`choosiest_first`].
    pub fn choosy(&self, line: Row) -> impl Ord + use<> {
        let (lines, l) = (&self.lines, line as usize);
        choosiest_first(lines.want[l] != NONE, lines.models[l] != 0, lines.amount[l])
    }
}

/// A proposal under construction. The books check all of it again before any of it is done.
#[derive(Debug)]
pub struct Plan<'a> {
    view: View<'a>,
    overlay: &'a mut Overlay,
    takes: &'a mut [Take],
    len: usize,
}

impl<'a> Plan<'a> {
    /// An empty plan over `view` that writes into `takes`; room for the lines of all queued claims
    /// is always enough.
    pub fn new(view: View<'a>, overlay: &'a mut Overlay, takes: &'a mut [Take]) -> Self {
        overlay.begin(view.pools.len());
        Plan { view, overlay, takes, len: 0 }
    }

    /// How many takes were written.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The takes written so far.
    pub fn takes(&self) -> &[Take] {
        &self.takes[..self.len]
    }

    /// What can still be taken from a pool in this round.
    #[inline]
    pub fn free(&self, pool: Row) -> Amount {
        self.view.pools.free(pool).saturating_sub(self.overlay.promised(pool))
    }

    /// Takes `amount` for one line from one pool, or says that it is not there. Whoever uses this
    /// instead of [`Plan::place`] takes all lines of a claim or none.
    pub fn take(&mut self, claim: Row, line: Row, pool: Row, node: Row, amount: Amount) -> bool {
        let there = |plan: &Self| plan.free(pool) >= amount && plan.lawful(claim, pool, amount);
        self.len < self.takes.len() && there(self) && {
            self.write(Take { claim, line, pool, node, amount });
            true
        }
    }

    /// The class of a claim; of whom there is no such row, the books judge.
    fn class(&self, claim: Row) -> u32 {
        self.view.claims.class.get(claim as usize).copied().unwrap_or(1)
    }

    /// Whether the rules of sharing let a claim take so much beside what the round has promised.
    #[inline]
    fn lawful(&self, claim: Row, pool: Row, amount: Amount) -> bool {
        let pools = &self.view.pools;
        let ruled = pools.firm[pool as usize] != Amount::MAX || pools.places[pool as usize] != NONE;
        // Pools with such rules are few, and so are the takes of a round.
        !ruled || self.certain(pool, amount, self.class(claim)) && self.has_place(pool, claim)
    }

    /// Whether a claim may be one more that holds some of a pool. Lines of a claim stand together.
    fn has_place(&self, pool: Row, claim: Row) -> bool {
        let places = self.view.pools.places[pool as usize];
        let (mut others, mut last) = (0, claim);
        for take in self.takes().iter().filter(|take| take.pool == pool && take.claim != claim) {
            others += u32::from(take.claim != last);
            last = take.claim;
        }
        places == NONE || others < places
    }

    /// Whether that much can be certain to a claim of a class.
    fn certain(&self, pool: Row, amount: Amount, class: u32) -> bool {
        let sure = |take: &&Take| take.pool == pool && class == 0 && self.class(take.claim) == 0;
        let promised: Amount = self.takes().iter().filter(sure).map(|take| take.amount).sum();
        self.view.pools.certain(pool, amount.saturating_add(promised), class)
    }

    /// Writes a take that is known to fit.
    #[inline]
    fn write(&mut self, take: Take) {
        self.overlay.promise(take.pool, take.amount);
        self.takes[self.len] = take;
        self.len += 1;
    }

    /// Takes the whole claim on `node`, each line from the first pool with room (floating pools
    /// where the node has none of the kind), or nothing.
    pub fn place(&mut self, claim: Row, node: Row) -> bool {
        self.place_by(claim, node, |_, _| 0)
    }

    /// As [`Plan::place`], each line from the pool with room whose `score(free, amount)` is highest;
    /// the first one of equals. Lines stand in the order in which they were asked for; where one finds no room
    /// because of another that could do with more pools than it, all are placed by [`choosiest_first`] instead.
    pub fn place_by(&mut self, claim: Row, node: Row, score: impl Fn(Amount, Amount) -> u64) -> bool {
        if !self.welcomes(claim, node) {
            return false;
        }
        let lines = self.view.claims.line_rows(claim);
        let placed = match self.place_lines(claim, node, lines.clone(), &score) {
            Ok(()) => true,
            Err(line) => self.stands_badly(&lines, line) && self.place_anew(claim, node, lines, &score),
        };
        let apart = self.view.claims.apart[claim as usize];
        if placed && apart != NONE {
            self.overlay.apart.push((apart, node));
        }
        placed
    }

    /// Takes each of these lines in turn; the first one without room, and nothing taken, otherwise.
    fn place_lines(
        &mut self,
        claim: Row,
        node: Row,
        lines: impl IntoIterator<Item = Row>,
        score: &impl Fn(Amount, Amount) -> u64,
    ) -> Result<(), Row> {
        let before = self.len;
        for line in lines {
            let pool = self.best_pool(line, node, score);
            if pool == NONE || self.len == self.takes.len() {
                self.undo(before);
                return Err(line);
            }
            let amount = self.view.lines.amount[line as usize];
            self.write(Take { claim, line, pool, node, amount });
        }
        Ok(())
    }

    /// Whether a line stands behind one of the same kind that is less choosy.
    fn stands_badly(&self, lines: &Range<Row>, line: Row) -> bool {
        let kind = |line: Row| self.view.lines.resource[line as usize];
        (lines.start..line)
            .any(|other| kind(other) == kind(line) && self.view.choosy(line) < self.view.choosy(other))
    }

    #[cold]
    fn place_anew(
        &mut self,
        claim: Row,
        node: Row,
        lines: Range<Row>,
        score: &impl Fn(Amount, Amount) -> u64,
    ) -> bool {
        let mut rows = [NONE; LINES_MAX];
        let count = lines.len().min(LINES_MAX);
        rows.iter_mut().zip(lines).for_each(|(row, line)| *row = line);
        rows[..count].sort_by_key(|&line| self.view.choosy(line));
        self.place_lines(claim, node, rows[..count].iter().copied(), score).is_ok()
    }

    /// Whether the whole claim would go on `node`; takes nothing.
    pub fn fits(&mut self, claim: Row, node: Row) -> bool {
        self.trial(claim, node, |_, _| 0, |_| ()).is_some()
    }

    /// Places the claim as [`Plan::place_by`] would, looks at what is left then, and takes it all
    /// back; `None` when it does not fit.
    pub fn trial<R>(
        &mut self,
        claim: Row,
        node: Row,
        score: impl Fn(Amount, Amount) -> u64,
        look: impl FnOnce(&Self) -> R,
    ) -> Option<R> {
        let (before, apart) = (self.len, self.overlay.apart.len());
        let seen = self.place_by(claim, node, score).then(|| look(self));
        self.undo(before);
        self.overlay.apart.truncate(apart);
        seen
    }

    /// Whether the node accepts claims and has the labels that this one asks for. A claim without wishes
    /// may do without a node ([`NONE`]), if floating pools have all of it.
    pub fn welcomes(&self, claim: Row, node: Row) -> bool {
        let (c, n) = (claim as usize, node as usize);
        let need = self.view.claims.need[c];
        if node == NONE {
            return need == 0 && self.view.claims.apart[c] == NONE;
        }
        let labels = self.view.nodes.labels[n];
        self.view.nodes.id[n] != 0
            && self.view.nodes.state[n] == 0
            && labels & need == need
            && labels & self.view.claims.bar[c] == 0
            && !self.occupied(self.view.claims.apart[c], node)
    }

    fn occupied(&self, apart: Row, node: Row) -> bool {
        if apart == NONE {
            return false;
        }
        let here = self.view.occupants;
        self.overlay.apart.contains(&(apart, node))
            || (0..here.len())
                .any(|row| here.scope[row] == apart && here.node[row] == node && here.claims[row] > 0)
    }

    /// The pool that a line is taken from, with room for all of it; [`NONE`] where there is none.
    #[inline]
    fn best_pool(&self, line: Row, node: Row, score: &impl Fn(Amount, Amount) -> u64) -> Row {
        let (lines, pools) = (&self.view.lines, &self.view.pools);
        let l = line as usize;
        let (want, resource, amount, models) =
            (lines.want[l], lines.resource[l], lines.amount[l], lines.models[l]);
        let claim = lines.claim[l];
        let carries = |pool: Row| {
            (models == 0 || pools.labels[pool as usize] & models != 0) && self.lawful(claim, pool, amount)
        };
        if want != NONE {
            let here = [NONE, node].contains(&pools.node[want as usize]);
            return if here && carries(want) && self.free(want) >= amount { want } else { NONE };
        }
        let mut pool = if node != NONE { self.view.first_of_kind(node, resource) } else { NONE };
        if pool == NONE {
            pool = self.view.resources.first_floating[resource as usize];
        }
        let (mut best, mut best_score) = (NONE, 0);
        while pool != NONE {
            let free = self.free(pool);
            if free >= amount && carries(pool) {
                let score = score(free, amount);
                if best == NONE || score > best_score {
                    (best, best_score) = (pool, score);
                }
            }
            pool = pools.next[pool as usize];
        }
        best
    }

    fn undo(&mut self, len: usize) {
        for take in &self.takes[len..self.len] {
            self.overlay.withdraw(take.pool, take.amount);
        }
        self.len = len;
    }
}
