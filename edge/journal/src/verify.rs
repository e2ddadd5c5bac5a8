//! A look at a whole journal that changes nothing, for `doctor`.
use crate::{
    Error, PROBLEMS_MAX, checkpoint,
    place::{self, Place},
    recover::{GONE, HINT, UNREADABLE},
    row::{self, Chain, GENESIS},
    schema,
    sidecar::{self, Found},
};
use rusqlite::Connection;
use std::{ops::ControlFlow, path::Path};

/// What was found in a state directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Schema version of the database.
    pub schema: i64,
    /// Bytes of the database and its log.
    pub bytes: u64,
    /// Rows.
    pub batches: u64,
    /// First sequence that is still there; `None` if there is no row.
    pub first_seq: Option<u64>,
    /// First sequence that is not there.
    pub next_seq: u64,
    /// Where the rows end; before `next_seq` if they do not go up to the newest checkpoint.
    pub rows_end: u64,
    /// First sequence that was not answered yet; `None` if the sidecar does not say.
    pub answered: Option<u64>,
    /// Starts so far; `None` if the sidecar does not say.
    pub epoch: Option<u64>,
    /// Sequences up to which there are whole checkpoints, newest first.
    pub checkpoints: Vec<u64>,
    /// What is wrong, at most [`PROBLEMS_MAX`]; empty for a sound journal.
    pub problems: Vec<String>,
}

/// Reads everything in the state directory `dir` and compares it, beside a running daemon or without.
///
/// # Errors
/// Only if there is nothing to look at ([`Error::Io`], [`Error::Foreign`], [`Error::Newer`]); what is
/// wrong with a journal is in the report.
pub fn verify(dir: &Path) -> Result<Report, Error> {
    let place = Place::of(dir);
    // Before the rows, so that a daemon that goes on meanwhile does not look as if it lost some.
    let found = sidecar::read(&place.answered)?;
    let (conn, schema) = schema::open_reader(&place)?;
    let mut report = Report { schema, ..Report::default() };
    report.problems.extend(place.clone().own().err().map(|problem| problem.to_string()));
    report.bytes = place::length(&place.database) + place::length(&place.wal);
    let base = report.checkpoints(&place)?;
    report.rows(&conn, &place);
    report.recovery(&conn, &place, base);
    report.sidecar(found, &place);
    report.pages(&conn, &place);
    report.problems.truncate(PROBLEMS_MAX);
    Ok(report)
}

impl Report {
    /// Whether nothing is wrong.
    pub fn sound(&self) -> bool {
        self.problems.is_empty()
    }

    /// Reads every checkpoint; returns where the newest whole one ends.
    fn checkpoints(&mut self, place: &Place) -> Result<Chain, Error> {
        let mut base = None;
        for (next, path) in checkpoint::list(place)? {
            match checkpoint::load(next, &path) {
                Ok(sealed) => {
                    base = base.or(Some(Chain { next, link: Some(sealed.link) }));
                    self.checkpoints.push(next);
                }
                // The daemon beside us took it away.
                Err(Error::Io { said, .. }) if said.kind() == std::io::ErrorKind::NotFound => {}
                Err(problem) => self.problems.push(problem.to_string()),
            }
        }
        Ok(base.unwrap_or(Chain { next: 0, link: Some(GENESIS) }))
    }

    /// Reads every row, those included that recovery does not need.
    fn rows(&mut self, conn: &Connection, place: &Place) {
        let path = &place.database;
        let mut chain = row::beginning(conn, path, self.schema).unwrap_or_else(|problem| {
            self.problems.push(problem.to_string());
            Chain::default()
        });
        self.rows_end = chain.next;
        let walked = row::walk(conn, path, 0, &mut |row| {
            self.batches += 1;
            self.rows_end = row.next;
            self.first_seq = self.first_seq.or(Some(row.seq));
            let wrong = chain.follow(path, row).and_then(|()| row.batch(path).map(drop)).err();
            self.problems.extend(wrong.map(|problem| problem.to_string()));
            Ok(match self.problems.len() < PROBLEMS_MAX {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            })
        });
        self.problems.extend(walked.err().map(|problem| problem.to_string()));
    }

    /// Goes the way that the daemon would go.
    fn recovery(&mut self, conn: &Connection, place: &Place, base: Chain) {
        self.next_seq = base.next;
        match row::verify(conn, &place.database, base) {
            Ok((end, _)) => self.next_seq = end.next,
            Err(problem) => self.problems.push(format!("a start stops at this: {problem}")),
        }
    }

    fn sidecar(&mut self, found: Found, place: &Place) {
        match found {
            Found::Whole(mark, spoilt) => {
                (self.answered, self.epoch) = (Some(mark.answered), Some(mark.epoch));
                if spoilt {
                    let path = place.answered.display();
                    self.problems
                        .push(format!("{path}: one of its two slots is torn; the next start mends it"));
                }
                let reached = self.checkpoints.first().copied().unwrap_or(0);
                if mark.answered.max(reached) > self.rows_end {
                    let (recovered, answered) = (self.rows_end, mark.answered.max(reached));
                    let path = place.database.clone();
                    self.problems
                        .push(Error::Truncated { path, recovered, answered, hint: HINT }.to_string());
                }
            }
            Found::Absent => self.unproved(place, GONE),
            Found::Unreadable => self.unproved(place, UNREADABLE),
        }
    }

    fn unproved(&mut self, place: &Place, why: &'static str) {
        let (path, recovered) = (place.answered.clone(), self.next_seq);
        self.problems.push(Error::Unproved { path, recovered, why, hint: HINT }.to_string());
    }

    /// Lets SQLite look at its own pages.
    fn pages(&mut self, conn: &Connection, place: &Place) {
        match schema::pages(conn) {
            Ok(wrong) => self.problems.extend(wrong.iter().map(|line| format!("SQLite: {line}"))),
            Err(problem) => self.problems.push(format!("SQLite: {problem}")),
        }
        self.problems.extend(schema::writable(place).err().map(|why| format!("SQLite: {why}")));
    }
}
