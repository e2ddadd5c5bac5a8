//! Rows that were given back, to be used again: singly, and for lines in runs of a length.
use bursar_interface::{Row, bound::LINES_MAX};
use serde::{Deserialize, Serialize};

/// Free single rows of one table; the last one given back is used first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Slots(Vec<Row>);

impl Slots {
    /// A row to use: a free one, or whatever `push` appends.
    pub(crate) fn take(&mut self, push: impl FnOnce() -> Row) -> Row {
        self.0.pop().unwrap_or_else(push)
    }

    /// Gives a row back.
    pub(crate) fn give(&mut self, row: Row) {
        self.0.push(row);
    }
}

/// Free runs of adjacent line rows, by their length.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runs([Vec<Row>; LINES_MAX + 1]);

impl Runs {
    /// The first row of a run of `len` rows; `push` appends single rows.
    pub(crate) fn take(&mut self, len: usize, mut push: impl FnMut() -> Row) -> Row {
        if len == 0 {
            return 0;
        }
        self.0[len].pop().unwrap_or_else(|| {
            let first = push();
            (1..len).for_each(|_| {
                push();
            });
            first
        })
    }

    /// Gives a run back.
    pub(crate) fn give(&mut self, first: Row, len: usize) {
        if len > 0 {
            self.0[len].push(first);
        }
    }
}
