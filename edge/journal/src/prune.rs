//! Pruning: rows that no checkpoint needs are kept for people to read, up to a bound.
use crate::{Error, PRUNE_ROWS_MAX, journal::Options, place::Place, schema};
use rusqlite::Connection;

/// The sequence before which rows may go: those from `needed` on stay, and before them as many as
/// `options` says.
pub(crate) fn cutoff(place: &Place, needed: u64, options: &Options) -> Result<u64, Error> {
    let (conn, _) = schema::open_reader(place)?;
    count(&conn, needed, options).map_err(|e| Error::sqlite(&place.database, e))
}

fn count(conn: &Connection, needed: u64, options: &Options) -> rusqlite::Result<u64> {
    let mut select =
        conn.prepare("SELECT next, length(blob), wall FROM batch WHERE seq < ?1 ORDER BY seq DESC")?;
    let mut rows = select.query([needed as i64])?;
    let newest: i64 =
        conn.query_row("SELECT wall FROM batch ORDER BY seq DESC LIMIT 1", [], |row| row.get(0))?;
    let oldest = newest.saturating_sub_unsigned(options.retain_ms);
    let (mut batches, mut bytes) = (0, 0);
    while let Some(row) = rows.next()? {
        batches += 1;
        bytes += row.get::<_, i64>(1)? as u64;
        let old = row.get::<_, i64>(2)? < oldest;
        if old || batches > options.retain_batches || bytes > options.retain_bytes {
            return Ok(row.get::<_, i64>(0)? as u64);
        }
    }
    Ok(0)
}

/// Takes some of the rows before `cutoff` away and writes down where the others begin; tells whether there may
/// be more.
pub(crate) fn some(conn: &Connection, cutoff: u64) -> rusqlite::Result<bool> {
    let sql = "DELETE FROM batch WHERE seq IN (SELECT seq FROM batch WHERE seq < ?1 ORDER BY seq LIMIT ?2)";
    let gone = conn.prepare_cached(sql)?.execute([cutoff as i64, PRUNE_ROWS_MAX as i64])?;
    if gone > 0 {
        let sql = "UPDATE kept SET (first, link) = (SELECT seq, prev FROM batch ORDER BY seq LIMIT 1)";
        conn.prepare_cached(sql)?.execute([])?;
    }
    Ok(gone == PRUNE_ROWS_MAX)
}
