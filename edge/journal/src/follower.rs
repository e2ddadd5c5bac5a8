//! A reader beside the writer: what happened since, for whoever asks.
use crate::{Error, SINCE_BATCHES_MAX, SINCE_BYTES_MAX, place::Place, row, schema};
use bursar_interface::Batch;
use rusqlite::Connection;
use std::{ops::ControlFlow, path::Path};

/// A batch as it was journaled.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What came in and what was done.
    pub batch: Batch,
    /// Milliseconds since 1970, as the clock on the wall said; for display only.
    pub wall_ms: i64,
    /// The machine's boot id.
    pub boot: String,
}

/// Reads a journal, in this process or another, while it is being written.
#[derive(Debug)]
pub struct Follower {
    place: Place,
    conn: Connection,
}

impl Follower {
    /// Opens the journal in `dir` for reading. It is not verified as a whole, so that one that was
    /// refused for writing can still be read.
    ///
    /// # Errors
    /// [`Error::Io`] if there is none; [`Error::Foreign`] and [`Error::Newer`].
    pub fn open(dir: &Path) -> Result<Follower, Error> {
        let place = Place::of(dir);
        let (conn, _) = schema::open_reader(&place)?;
        Ok(Follower { place, conn })
    }

    /// The batches that hold sequence `from` or later ones, in order: at most `max`, and not many
    /// more than [`SINCE_BYTES_MAX`]. Go on from the last one's `next_seq`. If the first one begins
    /// after `from`, what was before it is no longer kept.
    ///
    /// # Errors
    /// [`Error::Damaged`] at a row that is not what was written.
    pub fn since(&self, from: u64, max: usize) -> Result<Vec<Entry>, Error> {
        let most = max.min(SINCE_BATCHES_MAX);
        let (mut entries, mut bytes) = (Vec::new(), 0);
        if most == 0 {
            return Ok(entries);
        }
        row::replay(&self.conn, &self.place.database, from, &mut |row, batch| {
            bytes += row.blob.len();
            entries.push(Entry { batch, wall_ms: row.wall, boot: row.boot.into() });
            match entries.len() < most && bytes < SINCE_BYTES_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            }
        })?;
        Ok(entries)
    }
}
