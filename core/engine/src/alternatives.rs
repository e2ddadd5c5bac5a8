//! Several sets of lines in one ask, of which the first that fits is granted. A waiting claim is tried by
//! itself, set by set, in order of preference; the allocator sees one set at a time, as a claim like any
//! other. What can help any of the sets wakes the claim.
use crate::{
    Engine, Plugins,
    admit::bad,
    engine::Tape,
    lack::Lack,
    round::{Offer, Workbench},
    shape::Shape,
    sticky::Reservation,
};
use bursar_interface::{Ask, ClaimId, Refusal, Row, Time, What, bound::SETS_MAX};
use bursar_pool::{SetLens, Wanted};

impl Engine {
    /// Checks every set of an ask, and looks its names up. What is wrong in itself is refused wherever it
    /// stands; what could never be granted only when that is true of all sets.
    pub(crate) fn check_sets(
        &mut self,
        ask: &Ask,
        nearest: Option<Row>,
        lines: &mut Vec<Wanted>,
        sets: &mut SetLens,
    ) -> Result<(), Refusal> {
        if !ask.alternatives.is_empty() && ask.gang.is_some() {
            return bad("a member of a gang can have no alternatives", "ask for one set of lines");
        }
        if ask.alternatives.len() >= SETS_MAX {
            return bad(
                &format!("the claim has {} alternatives", ask.alternatives.len()),
                &format!("at most {} beside the first lines", SETS_MAX - 1),
            );
        }
        let mut outcome: Option<Result<(), Refusal>> = None;
        for (number, set) in std::iter::once(&ask.lines).chain(&ask.alternatives).enumerate() {
            let named = |refusal: Refusal| match number {
                0 => refusal,
                _ => Refusal { message: format!("alternative {number}: {}", refusal.message), ..refusal },
            };
            if set.is_empty() {
                return bad(
                    &format!("alternative {number} has no lines"),
                    "ask for at least one resource, as cpu=1",
                );
            }
            let before = lines.len();
            self.check_lines(set, lines).map_err(named)?;
            sets.push((lines.len() - before) as u32);
            let fits = self.check_fit(ask, &lines[before..]);
            let fits = fits.and_then(|()| self.check_limits(nearest, &lines[before..]));
            // The first set's refusal is the one to tell, unless one of them fits.
            if fits.is_ok() || outcome.is_none() {
                outcome = Some(fits);
            }
        }
        if ask.alternatives.is_empty() {
            sets.clear();
        }
        outcome.unwrap_or(Ok(()))
    }

    /// The shape of a waiting claim with all of its sets.
    pub(crate) fn shape_of(&self, row: Row) -> Shape {
        let shape = Shape::of(self.books.tables(), row);
        let sets = self.books.sets(row);
        if sets == 1 {
            return shape;
        }
        (1..sets).fold(shape.with(sets as u64), |shape, set| {
            let rows = self.books.set_rows(row, set);
            Shape::lines(self.books.tables(), rows.clone(), shape.with(rows.len() as u64))
        })
    }

    /// As [`Engine::lack`] for one set, over all of them: nothing when one of them lacks nothing. A claim
    /// that lacks something of each is woken by whatever comes back of any of their kinds.
    pub(crate) fn lack_of_all(&self, row: Row) -> (Lack, Option<Time>) {
        let (mut lack, mut soonest) = (Lack::Together, None);
        for set in 0..self.books.sets(row) {
            let (of_set, due) = self.lack_in(row, self.books.set_rows(row, set));
            soonest = soonest.into_iter().chain(due).min();
            lack = if of_set == Lack::Nothing { of_set } else { lack };
        }
        (lack, soonest)
    }

    /// Has an offer placed by the first of its sets that can be.
    pub(crate) fn place_sets(
        &mut self,
        tape: &mut Tape<'_>,
        plugins: &mut Plugins,
        offer: Offer,
        bench: &mut Workbench,
    ) {
        for set in 0..self.books.sets(offer.row) {
            if self.lack_in(offer.row, self.books.set_rows(offer.row, set)).0 != Lack::Nothing {
                continue;
            }
            self.books.begin_change();
            self.books.select(offer.row, set);
            self.place(tape, plugins, &[offer], bench);
            if !self.still_waits(&offer) {
                return;
            }
        }
        self.books.begin_change();
        self.books.select(offer.row, 0);
    }

    /// Tells which set of a claim is granted next; says whether it can be: pools that only the other sets
    /// name are gone with the choice.
    pub(crate) fn choose(&mut self, tape: &mut Tape<'_>, row: Row, pools: &[Row]) -> bool {
        let Some(alternative) = self.books.selected(row) else { return true };
        if pools.iter().any(|&pool| self.books.goes_with_choice(row, pool)) {
            return false;
        }
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        self.emit(tape, None, What::Chosen { claim, alternative });
        true
    }

    /// What is kept for a head: by the set with which it could start first, of those that its bounds let go.
    pub(crate) fn reserve_any(&self, claim: ClaimId, row: Row) -> Option<Reservation> {
        let kept = |set: usize| {
            let lines = self.books.set_rows(row, set);
            let goes = self.books.quota_short_in(row, lines.clone()).is_none();
            let kept = if goes { self.reserve(claim, row, lines) } else { None };
            kept.map(|kept| Reservation { set, ..kept })
        };
        (0..self.books.sets(row)).filter_map(kept).min_by_key(|kept| kept.start)
    }

    /// Whether the bounds of a claim's scopes would let one of its sets go.
    pub(crate) fn in_bounds(&self, row: Row) -> bool {
        let mut sets = (0..self.books.sets(row)).map(|set| self.books.set_rows(row, set));
        sets.any(|lines| self.books.quota_short_in(row, lines).is_none())
    }
}
