//! A slice is what a claim holds for those within it: each of its lines, from a pool or from its own parent.
//! Together its children take no more of a line than there is; what they spend of it for good is counted
//! where the line was taken from, once.
use crate::{Books, Inner};
use arrayvec::ArrayVec;
use bursar_interface::{
    Amount, ClaimId, NONE, Phase, Row, Shape, Used,
    bound::{LINES_MAX, NEST_MAX},
    canary, choosiest_first,
};

/// One line of a claim, as those within it see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slice {
    pub(crate) resource: Row,
    pub(crate) pool: Row,
    pub(crate) amount: Amount,
    used: Amount,
    drawn: Amount,
}

/// Which of the parent's lines each inner line is drawn from.
type Froms = ArrayVec<u32, LINES_MAX>;

impl Books {
    /// How many lines a claim has, from pools and from its parent.
    pub(crate) fn slices(&self, claim: Row) -> u32 {
        self.tables.claims.lines[claim as usize] + self.inner(claim).len() as u32
    }

    /// One of a claim's lines: first those from pools, then the inner ones.
    pub(crate) fn slice(&self, claim: Row, index: u32) -> Option<Slice> {
        let (claims, c) = (&self.tables.claims, claim as usize);
        if index < claims.lines[c] {
            let l = (claims.first_line[c] + index) as usize;
            let (lines, drawn) = (&self.tables.lines, self.drawn_from(l as Row));
            let (resource, pool, amount, used) =
                (lines.resource[l], lines.pool[l], lines.amount[l], lines.used[l]);
            return Some(Slice { resource, pool, amount, used, drawn });
        }
        let line = self.inner(claim).get((index - claims.lines[c]) as usize)?;
        let (resource, pool, amount, used, drawn) =
            (line.resource, line.pool, line.amount, line.used, line.drawn);
        Some(Slice { resource, pool, amount, used, drawn })
    }

    /// All of a claim's lines, with their numbers.
    pub(crate) fn slices_of(&self, claim: ClaimId) -> impl Iterator<Item = (u32, Slice)> + '_ {
        let row = self.claim(claim);
        row.into_iter().flat_map(move |row| {
            (0..self.slices(row)).filter_map(move |index| Some((index, self.slice(row, index)?)))
        })
    }

    /// What is drawn from a line of a pool by those within its claim, and spent of it.
    pub fn drawn_from(&self, line: Row) -> Amount {
        if self.nest.is_empty() {
            return 0;
        }
        let claim = self.tables.lines.claim[line as usize] as usize;
        let id = ClaimId(self.tables.claims.id[claim]);
        let index = (line - self.tables.claims.first_line[claim]) as usize;
        self.nest.get(&id).and_then(|nested| nested.drawn.get(index).copied()).unwrap_or(0)
    }

    /// Whether a kind is spent, and not held and given back.
    pub(crate) fn spends(&self, resource: Row) -> bool {
        matches!(self.shape(resource), Shape::Rate | Shape::Budget)
    }

    /// What a line counts as where it was taken from. Of a kind that is spent: what was used by its claim
    /// and spent by those within; while the first is unknown, all of the estimate or what is above it.
    fn counted(&self, slice: Slice) -> Amount {
        match (self.spends(slice.resource), slice.used) {
            (false, _) => slice.amount,
            (true, Amount::MAX) => slice.amount.max(slice.drawn),
            (true, used) => used.saturating_add(slice.drawn),
        }
    }

    /// What a line has left for those within; `idle` is as if those who draw now did not. What was settled of a kind
    /// that is spent holds nothing any more, and others may have it by now.
    fn left(&self, claim: ClaimId, index: u32, slice: Slice, idle: bool) -> Amount {
        let settled = self.spends(slice.resource) && slice.used != Amount::MAX;
        if settled && !canary!("a settled lease hands out its slice") {
            return 0;
        }
        let drawn = match idle {
            true => slice.drawn.saturating_sub(self.drawn_by_living(claim, index)),
            false => slice.drawn,
        };
        slice.amount.saturating_sub(drawn)
    }

    /// What the living draw from a line.
    fn drawn_by_living(&self, claim: ClaimId, index: u32) -> Amount {
        let rows = self.descendants(claim).filter_map(|within| self.claim(within));
        rows.map(|within| self.draws(within, claim, index)).sum()
    }

    /// What a claim draws from a line of one around it.
    fn draws(&self, claim: Row, of: ClaimId, index: u32) -> Amount {
        let outer = self.tables.claims.lines[claim as usize];
        let lines = (0..).zip(self.inner(claim)).filter(|(_, line)| line.of == of && line.from == index);
        lines.filter_map(|(i, _)| self.slice(claim, outer + i)).map(|slice| self.counted(slice)).sum()
    }

    /// Which line each inner line of a claim could be drawn from, the first that has room; the position of
    /// the first inner line for which there is none otherwise. They are seated in the order in which they were asked
    /// for, and where that does not do by [`choosiest_first`].
    fn seats(&self, inner: &[Inner], idle: bool) -> Result<Froms, usize> {
        self.seats_in((0..inner.len()).collect(), inner, idle).or_else(|short| {
            let mut order: ArrayVec<usize, LINES_MAX> = (0..inner.len()).collect();
            order.sort_by_key(|&i| {
                let line = &inner[i];
                choosiest_first(line.want != NONE, line.models != 0, line.amount)
            });
            match order.is_sorted() {
                true => Err(short),
                false => self.seats_in(order, inner, idle).map_err(|_| short),
            }
        })
    }

    fn seats_in(
        &self,
        order: ArrayVec<usize, LINES_MAX>,
        inner: &[Inner],
        idle: bool,
    ) -> Result<Froms, usize> {
        let mut froms: Froms = inner.iter().map(|_| NONE).collect();
        for i in order {
            let line = &inner[i];
            let carries =
                |pool: Row| line.models == 0 || self.tables.pools.labels[pool as usize] & line.models != 0;
            let found = self.slices_of(line.of).find(|&(from, slice)| {
                let before =
                    froms.iter().zip(inner).filter(|(known, other)| **known == from && other.of == line.of);
                let taken: Amount = before.map(|(_, other)| other.amount).sum();
                slice.resource == line.resource
                    && (line.want == NONE || line.want == slice.pool)
                    && carries(slice.pool)
                    && self.left(line.of, from, slice, idle) >= line.amount + taken
            });
            froms[i] = found.ok_or(i)?.0;
        }
        Ok(froms)
    }

    /// The most that a line of the kind has for such an inner line, if nobody else draws from it.
    pub fn largest_slice(&self, line: &Inner) -> Amount {
        self.largest_left(line, true)
    }

    fn largest_left(&self, line: &Inner, idle: bool) -> Amount {
        let of_kind = self.slices_of(line.of).filter(|(_, slice)| slice.resource == line.resource);
        of_kind.map(|(from, slice)| self.left(line.of, from, slice, idle)).max().unwrap_or(0)
    }

    /// The first of these lines that there would be no room for, even if nobody else drew from where they
    /// are drawn from.
    pub fn never_within<'a>(&self, inner: &'a [Inner]) -> Option<&'a Inner> {
        inner.get(self.seats(inner, true).err()?)
    }

    /// The first inner line of a waiting claim that there is no room for beside those who draw now, and by
    /// how much.
    pub fn slice_short(&self, claim: Row) -> Option<(&Inner, Amount)> {
        let inner = self.inner(claim);
        if inner.is_empty() {
            return None;
        }
        let line = &inner[self.seats(inner, false).err()?];
        Some((line, line.amount.saturating_sub(self.largest_left(line, false))))
    }

    /// Whether some line has room for an inner line beside what only these leases draw.
    pub fn slice_beside(&self, line: &Inner, leases: &[Row]) -> bool {
        let carries =
            |pool: Row| line.models == 0 || self.tables.pools.labels[pool as usize] & line.models != 0;
        let mut alone = false;
        let beside = self.slices_of(line.of).any(|(from, slice)| {
            let fits = slice.resource == line.resource
                && (line.want == NONE || line.want == slice.pool)
                && carries(slice.pool)
                && slice.amount >= line.amount;
            let drawn = || leases.iter().map(|&lease| self.draws(lease, line.of, from)).sum::<Amount>();
            alone |= fits;
            fits && slice.amount.saturating_sub(drawn()) >= line.amount
        });
        beside || !alone
    }

    /// What a lease draws of the kind of an inner line from where that is drawn from.
    pub fn draws_beside(&self, line: &Inner, lease: Row) -> Amount {
        let of_kind = self.slices_of(line.of).filter(|(_, slice)| slice.resource == line.resource);
        of_kind.map(|(from, _)| self.draws(lease, line.of, from)).sum()
    }

    /// A claim is granted: it takes its inner lines out of its parent's.
    pub(crate) fn draw(&mut self, claim: Row) {
        let Ok(froms) = self.seats(self.inner(claim), false) else { return };
        let id = ClaimId(self.tables.claims.id[claim as usize]);
        for (i, from) in froms.into_iter().enumerate() {
            let Inner { of, amount, .. } = self.inner(claim)[i];
            let Some(owner) = self.claim(of) else { return };
            let pool = self.slice(owner, from).map_or(NONE, |slice| slice.pool);
            if let Some(line) = self.nest.get_mut(&id).and_then(|nested| nested.inner.get_mut(i)) {
                (line.from, line.pool) = (from, pool);
            }
            self.redraw(owner, from, 0, amount);
        }
    }

    /// A claim goes: what it drew and did not spend is there again.
    pub(crate) fn undraw(&mut self, claim: Row) {
        let drawn: ArrayVec<Inner, LINES_MAX> = self.inner(claim).iter().copied().collect();
        for line in drawn.into_iter().filter(|line| line.from != NONE) {
            if let (false, Some(owner)) = (self.spends(line.resource), self.claim(line.of)) {
                self.redraw(owner, line.from, line.amount, 0);
            }
        }
    }

    /// The actual of inner lines, as for those from pools: what one used of a kind stands on the first.
    pub(crate) fn settle_inner(&mut self, claim: Row, kind: Row, used: &Used, mut left: Option<Amount>) {
        let id = ClaimId(self.tables.claims.id[claim as usize]);
        let (outer, spent) = (self.tables.claims.lines[claim as usize], self.spends(kind));
        for i in 0..self.inner(claim).len() {
            let line = self.inner(claim)[i];
            let named = used.pool.as_ref().is_none_or(|name| self.pool_name(line.pool) == name);
            if line.resource != kind || !named || !spent && left.is_none() {
                continue;
            }
            let before = self.slice(claim, outer + i as u32).map_or(0, |slice| self.counted(slice));
            if let Some(nested) = self.nest.get_mut(&id) {
                nested.inner[i].used = left.take().unwrap_or(0);
            }
            let now = self.slice(claim, outer + i as u32).map_or(0, |slice| self.counted(slice));
            if let Some(owner) = self.claim(line.of) {
                self.redraw(owner, line.from, before, now);
            }
        }
    }

    /// What was drawn from a line as `before` is `now`; of what is spent, those around it hear as well.
    fn redraw(&mut self, claim: Row, index: u32, before: Amount, now: Amount) {
        let mut at = Some((claim, index, before, now));
        while let Some((claim, index, before, now)) = at.take() {
            let Some(slice) = self.slice(claim, index) else { return };
            let drawn = slice.drawn.saturating_sub(before).saturating_add(now);
            let (was, is) = (self.counted(slice), self.counted(Slice { drawn, ..slice }));
            let outer = self.tables.claims.lines[claim as usize];
            self.set_drawn(claim, index, drawn);
            if was == is {
                return;
            }
            if index < outer {
                self.recount_slice(claim, index, slice, (was, is));
            } else {
                let Inner { of, from, .. } = self.inner(claim)[(index - outer) as usize];
                at = self.claim(of).map(|owner| (owner, from, was, is));
            }
        }
    }

    fn set_drawn(&mut self, claim: Row, index: u32, drawn: Amount) {
        let outer = self.tables.claims.lines[claim as usize] as usize;
        let id = ClaimId(self.tables.claims.id[claim as usize]);
        let nested = self.nest.entry(id).or_default();
        match (index as usize).checked_sub(outer) {
            Some(inner) => nested.inner[inner].drawn = drawn,
            None => {
                nested.drawn.resize(outer, 0);
                nested.drawn[index as usize] = drawn;
            }
        }
    }

    /// What a line of a pool counts as has changed by what those within its claim spent.
    fn recount_slice(&mut self, claim: Row, index: u32, slice: Slice, (was, is): (Amount, Amount)) {
        let scope = self.tables.claims.scope[claim as usize];
        let line = self.tables.claims.first_line[claim as usize] + index;
        self.spend(line, slice.pool, scope, slice.resource, (was, is));
    }

    /// Whether children are within their parents' lines, and every kept count is what it counts.
    pub(crate) fn slices_add_up(&self) -> bool {
        self.nest.iter().all(|(&id, nested)| {
            let Some(row) = self.claim(id) else { return false };
            let children = || nested.children.iter();
            let below = children().map(|child| 1 + self.below(*child)).sum::<u32>();
            let granted = self.phase(row) > Phase::Pending;
            nested.depth <= NEST_MAX
                && nested.below == below
                && (granted || nested.children.is_empty())
                && children().all(|&child| self.parent(child) == Some(id))
                && nested.inner.iter().all(|line| granted == (line.from != NONE))
                && nested.parent.is_none_or(|parent| self.nests_in(row, id, parent))
                && self.slices_of(id).all(|(i, slice)| match self.spends(slice.resource) {
                    true => slice.drawn >= self.drawn_by_living(id, i),
                    false => slice.drawn == self.drawn_by_living(id, i) && slice.drawn <= slice.amount,
                })
        })
    }

    /// Whether a claim is where its parent is, and draws from lines of its own kinds.
    fn nests_in(&self, row: Row, id: ClaimId, parent: ClaimId) -> bool {
        let Some(above) = self.claim(parent) else { return false };
        let nodes = &self.tables.claims.node;
        let together = [NONE, nodes[above as usize]].contains(&nodes[row as usize]);
        let bound = nodes[above as usize] != NONE;
        let drawn = self.inner(row).iter().filter(|line| line.from != NONE).all(|line| {
            let slice = self.claim(line.of).and_then(|owner| self.slice(owner, line.from));
            self.around(parent).any(|around| around == line.of)
                && slice.is_some_and(|slice| slice.resource == line.resource && slice.pool == line.pool)
        });
        self.children(parent).any(|child| child == id) && (together || !bound) && drawn
    }
}
