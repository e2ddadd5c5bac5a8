//! One row of the database: a batch, sealed by a checksum that also seals the row before it.
//!
//! The checksums form a chain, so a row that is gone or was swapped for an old one is noticed even
//! though the pages of the database have no checksums of their own.
use crate::{Error, form, schema};
use bursar_interface::{Batch, Time};
use rusqlite::{Connection, params};
use std::{ops::ControlFlow, path::Path};

/// The link before the first row ever.
pub(crate) const GENESIS: u32 = 0;

const COLUMNS: &str = "SELECT seq, next, at, wall, kind, prev, crc, boot, blob FROM batch";

/// A row as it stands in the database.
#[derive(Debug)]
pub(crate) struct Row<'a> {
    pub(crate) seq: u64,
    pub(crate) next: u64,
    at: u64,
    pub(crate) wall: i64,
    kind: u32,
    prev: u32,
    pub(crate) crc: u32,
    pub(crate) boot: &'a str,
    pub(crate) blob: &'a [u8],
}

impl<'a> Row<'a> {
    /// The row of a batch whose encoding is `blob`, to stand after the row that `prev` seals.
    pub(crate) fn seal(batch: &Batch, blob: &'a [u8], wall: i64, boot: &'a str, prev: u32) -> Row<'a> {
        let (seq, next, at) = (batch.first_seq, batch.next_seq(), batch.at.0);
        let mut row = Row { seq, next, at, wall, kind: form::WRITTEN, prev, crc: 0, boot, blob };
        row.crc = row.sum();
        row
    }

    /// Writes the row.
    pub(crate) fn insert(&self, conn: &Connection) -> rusqlite::Result<usize> {
        conn.prepare_cached("INSERT INTO batch VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?.execute(
            params![
                self.seq as i64,
                self.next as i64,
                self.at as i64,
                self.wall,
                self.kind,
                self.prev,
                self.crc,
                self.boot,
                self.blob
            ],
        )
    }

    fn read(row: &'a rusqlite::Row<'_>) -> rusqlite::Result<Row<'a>> {
        Ok(Row {
            seq: row.get::<_, i64>(0)? as u64,
            next: row.get::<_, i64>(1)? as u64,
            at: row.get::<_, i64>(2)? as u64,
            wall: row.get(3)?,
            kind: row.get(4)?,
            prev: row.get(5)?,
            crc: row.get(6)?,
            boot: row.get_ref(7)?.as_str()?,
            blob: row.get_ref(8)?.as_blob()?,
        })
    }

    /// The batch in the row.
    ///
    /// # Errors
    /// [`Error::Form`] for one that is not read here, [`Error::Damaged`] for one that is not what the row is for.
    pub(crate) fn batch(&self, path: &Path) -> Result<Batch, Error> {
        form::known_batch(path, self.seq, self.kind)?;
        let batch = form::decode(self.blob).map_err(|why| damaged(path, self.seq, why))?;
        match (batch.first_seq, batch.next_seq(), batch.at) == (self.seq, self.next, Time(self.at)) {
            true => Ok(batch),
            false => Err(damaged(path, self.seq, "the batch is not the one that the row is for")),
        }
    }

    /// CRC-32C of all but itself; never [`GENESIS`].
    fn sum(&self) -> u32 {
        let words = [self.seq, self.next, self.at, self.wall as u64, self.kind.into(), self.prev.into()];
        let words = words.into_iter().chain([self.boot.len() as u64]);
        let crc = words.fold(0, |crc, word| crc32c::crc32c_append(crc, &word.to_le_bytes()));
        let crc = crc32c::crc32c_append(crc, self.boot.as_bytes());
        crc32c::crc32c_append(crc, self.blob).max(GENESIS + 1)
    }
}

/// Where a walk along the rows stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Chain {
    /// First sequence after the last row.
    pub(crate) next: u64,
    /// Checksum of the last row, where it is known.
    pub(crate) link: Option<u32>,
}

impl Chain {
    /// Goes on to `row`.
    ///
    /// # Errors
    /// [`Error::Damaged`] if it cannot be the next one.
    pub(crate) fn follow(&mut self, path: &Path, row: &Row<'_>) -> Result<(), Error> {
        let why = match () {
            _ if row.sum() != row.crc => Some("the checksum is wrong"),
            _ if self.link.is_some_and(|link| link != row.prev) => Some("the row before it is missing"),
            _ if row.seq < self.next || row.next <= row.seq => Some("the sequences overlap"),
            _ => None,
        };
        *self = Chain { next: row.next.max(self.next), link: Some(row.crc) };
        why.map_or(Ok(()), |why| Err(damaged(path, row.seq, why)))
    }
}

/// Where the rows begin that were not taken away: the first one follows this. Before the table for it was
/// there (schema 1) a row that got lost looked like one that was taken away.
pub(crate) fn beginning(conn: &Connection, path: &Path, schema: i64) -> Result<Chain, Error> {
    if schema < schema::WITH_KEPT {
        return Ok(Chain::default());
    }
    let read = conn.query_row("SELECT first, link FROM kept", [], |row| {
        Ok(Chain { next: row.get::<_, i64>(0)? as u64, link: Some(row.get(1)?) })
    });
    read.map_err(|e| Error::sqlite(path, e))
}

/// Shows `visit` the rows from sequence `from` on, in order, unverified.
pub(crate) fn walk(
    conn: &Connection,
    path: &Path,
    from: u64,
    visit: &mut dyn FnMut(&Row<'_>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let sqlite = |e| Error::sqlite(path, e);
    let mut select =
        conn.prepare_cached(&format!("{COLUMNS} WHERE seq >= ?1 ORDER BY seq")).map_err(sqlite)?;
    let mut rows = select.query([from as i64]).map_err(sqlite)?;
    while let Some(row) = rows.next().map_err(sqlite)? {
        if visit(&Row::read(row).map_err(sqlite)?)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Verifies the rows after `chain` to the end and returns where that is, with how many there are.
pub(crate) fn verify(conn: &Connection, path: &Path, mut chain: Chain) -> Result<(Chain, u64), Error> {
    let mut rows = 0;
    walk(conn, path, chain.next, &mut |row| {
        chain.follow(path, row)?;
        form::known_batch(path, row.seq, row.kind)?;
        rows += 1;
        Ok(ControlFlow::Continue(()))
    })?;
    Ok((chain, rows))
}

/// Reads, verifies and decodes the batches that hold sequence `from` or later ones.
pub(crate) fn replay(
    conn: &Connection,
    path: &Path,
    from: u64,
    visit: &mut dyn FnMut(&Row<'_>, Batch) -> ControlFlow<()>,
) -> Result<(), Error> {
    let before = last_before(conn, from.saturating_add(1)).map_err(|e| Error::sqlite(path, e))?;
    let (start, mut chain) = match before {
        Some((seq, ..)) => (seq, Chain::default()),
        None => (0, beginning(conn, path, schema::version(conn, path)?)?),
    };
    walk(conn, path, start, &mut |row| {
        chain.follow(path, row)?;
        if row.next <= from {
            return Ok(ControlFlow::Continue(()));
        }
        Ok(visit(row, row.batch(path)?))
    })
}

/// Sequence, next sequence and checksum of the last row that begins before `seq`.
pub(crate) fn last_before(conn: &Connection, seq: u64) -> rusqlite::Result<Option<(u64, u64, u32)>> {
    let sql = "SELECT seq, next, crc FROM batch WHERE seq < ?1 ORDER BY seq DESC LIMIT 1";
    let mut select = conn.prepare_cached(sql)?;
    let mut rows = select.query([i64::try_from(seq).unwrap_or(i64::MAX)])?;
    let row = rows.next()?;
    row.map(|row| Ok((row.get::<_, i64>(0)? as u64, row.get::<_, i64>(1)? as u64, row.get(2)?))).transpose()
}

fn damaged(path: &Path, seq: u64, why: impl Into<String>) -> Error {
    Error::Damaged { path: path.into(), seq: Some(seq), why: why.into() }
}
