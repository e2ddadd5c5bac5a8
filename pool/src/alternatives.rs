//! Claims that would be content with one of several sets of lines.
//!
//! The lines of all sets are one adjacent run of rows, and the claim's `first_line` and `lines` point at one
//! set of it at a time: strategies see a claim like any other. A waiting claim points at its first set but
//! while another one is tried; with the choice the rows of all others are free.
use crate::Books;
use arrayvec::ArrayVec;
use bursar_interface::{NONE, Row, bound::SETS_MAX};
use serde::{Deserialize, Serialize};
use std::ops::Range;

/// How many lines each set of a claim has, in order of preference.
pub type SetLens = ArrayVec<u32, SETS_MAX>;

/// The sets of one claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Alternatives {
    /// The first row of all of them.
    first: Row,
    lens: SetLens,
    /// Which one was taken; the others are gone then.
    chosen: Option<u32>,
}

impl Alternatives {
    fn rows(&self, set: usize) -> Range<Row> {
        let before: u32 = self.lens[..set].iter().sum();
        let first = self.first + before;
        first..first + self.lens[set]
    }
}

impl Books {
    /// Parts the lines of a claim that was just opened into sets.
    pub fn part(&mut self, claim: Row, lens: &SetLens) {
        let first = self.tables.claims.first_line[claim as usize];
        self.alternatives.insert(claim, Alternatives { first, lens: lens.clone(), chosen: None });
        self.select(claim, 0);
    }

    /// How many sets of lines a claim can be granted by: 1 for most.
    pub fn sets(&self, claim: Row) -> usize {
        self.open_sets(claim).map_or(1, |sets| sets.lens.len())
    }

    /// The rows of one set of a claim's lines.
    pub fn set_rows(&self, claim: Row, set: usize) -> Range<Row> {
        match self.open_sets(claim) {
            Some(sets) => sets.rows(set),
            None => self.tables.claims.line_rows(claim),
        }
    }

    /// The rows of all lines of a claim, whichever set they are of.
    pub fn all_rows(&self, claim: Row) -> Range<Row> {
        match self.open_sets(claim) {
            Some(sets) => sets.first..sets.first + sets.lens.iter().sum::<u32>(),
            None => self.tables.claims.line_rows(claim),
        }
    }

    /// Points a waiting claim at one of its sets.
    pub fn select(&mut self, claim: Row, set: usize) {
        let (rows, claims, c) = (self.set_rows(claim, set), &mut self.tables.claims, claim as usize);
        (claims.first_line[c], claims.lines[c]) = (rows.start, rows.len() as u32);
        claims.touch(claim, self.epoch);
    }

    /// The set that a waiting claim points at; `None` for one that has no choice.
    pub fn selected(&self, claim: Row) -> Option<u32> {
        let first = self.tables.claims.first_line[claim as usize];
        let sets = self.open_sets(claim)?;
        (0..sets.lens.len()).find(|&set| sets.rows(set).start == first).map(|set| set as u32)
    }

    /// Which set a claim with alternatives was granted by.
    pub fn chosen(&self, claim: Row) -> Option<u32> {
        self.alternatives.get(&claim).and_then(|sets| sets.chosen)
    }

    /// Keeps one set of a claim's lines and gives the others back.
    pub fn choose(&mut self, claim: Row, chosen: u32) {
        let Some(sets) = self.open_sets(claim).cloned() else { return };
        if chosen as usize >= sets.lens.len() {
            return;
        }
        self.select(claim, chosen as usize);
        for set in (0..sets.lens.len()).filter(|&set| set != chosen as usize) {
            let rows = sets.rows(set);
            rows.clone().for_each(|line| self.free_line(line));
            self.free_lines.give(rows.start, rows.len());
        }
        self.alternatives.insert(claim, Alternatives { chosen: Some(chosen), ..sets });
    }

    /// Whether a pool is there only because other sets of the claim than the selected one name it: it goes
    /// with the choice, so nothing can be placed there.
    pub fn goes_with_choice(&self, claim: Row, pool: Row) -> bool {
        let names =
            |rows: Range<Row>| rows.filter(|&line| self.tables.lines.want[line as usize] == pool).count();
        let selected = self.tables.claims.line_rows(claim);
        self.wanted
            .get(&pool)
            .is_some_and(|&wanted| names(selected) == 0 && names(self.all_rows(claim)) == wanted as usize)
    }

    fn open_sets(&self, claim: Row) -> Option<&Alternatives> {
        if self.alternatives.is_empty() {
            return None;
        }
        self.alternatives.get(&claim).filter(|sets| sets.chosen.is_none())
    }

    /// A line's row is free again; whoever opens it writes all of it.
    pub(crate) fn free_line(&mut self, line: Row) {
        let want = self.tables.lines.want[line as usize];
        self.tables.lines.claim[line as usize] = NONE;
        self.tables.lines.touch(line, self.epoch);
        if want != NONE {
            self.want_no_more(want);
        }
    }
}
