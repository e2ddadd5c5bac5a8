//! The database: how it is opened, and how an old schema becomes the present one.
use crate::{
    Error,
    place::{self, Place},
};
use rusqlite::{Connection, ErrorCode, OpenFlags, config::DbConfig};
use std::{io::Read, path::Path};

/// `BURS`: tells our databases from others.
const APPLICATION_ID: i64 = 0x4255_5253;
/// Each step takes the schema from the version that is its index to the next.
const STEPS: &[&str] = &[
    "CREATE TABLE batch (
    seq INTEGER PRIMARY KEY, -- of the first input
    next INTEGER NOT NULL,   -- of the first input after the batch
    at INTEGER NOT NULL,     -- engine time in nanoseconds
    wall INTEGER NOT NULL,   -- milliseconds since 1970, for display only
    kind INTEGER NOT NULL,   -- form of the blob: 1 = postcard
    prev INTEGER NOT NULL,   -- crc of the row before; 0 for the first ever
    crc INTEGER NOT NULL,    -- crc32c of everything else in the row
    boot TEXT NOT NULL,      -- /proc/sys/kernel/random/boot_id
    blob BLOB NOT NULL
) STRICT;",
    "CREATE TABLE kept ( -- one row: where the rows begin that were not taken away
    first INTEGER NOT NULL, -- everything from this sequence on is there
    link INTEGER NOT NULL   -- crc of the row before that; 0 if there never was one
) STRICT;
INSERT INTO kept SELECT coalesce(min(seq), 0), coalesce((SELECT prev FROM batch ORDER BY seq LIMIT 1), 0) FROM batch;",
];
/// The first schema that tells where its rows begin.
pub(crate) const WITH_KEPT: i64 = 2;
/// The newest schema known here.
pub(crate) const KNOWN: i64 = STEPS.len() as i64;
/// What the write-ahead log is cut to after it had to grow, in bytes.
const WAL_BYTES: i64 = 16 << 20;

/// Opens the database for the one writer. Whatever is there stays as it is until [`settle`].
pub(crate) fn open_writer(place: &Place) -> Result<Connection, Error> {
    // SQLite gives its other files the mode of the first one.
    place::open_file(&place.database)?;
    open(&place.database, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

/// Opens the database for reading beside the writer; returns its schema version as well.
pub(crate) fn open_reader(place: &Place) -> Result<(Connection, i64), Error> {
    let path = &place.database;
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let conn = open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let (conn, version) = match version(&conn, path) {
        // What readers and writers share cannot be made beside it.
        Err(Error::Sqlite { said, .. }) if said.sqlite_error_code() == Some(ErrorCode::CannotOpen) => {
            still(place)?
        }
        version => (conn, version?),
    };
    match version {
        0 => Err(Error::Foreign { path: path.clone(), why: "an empty database, not a journal".into() }),
        version => Ok((conn, version)),
    }
}

/// Opens a database where nothing can be written, so that nobody writes to it; what is still in its log cannot be
/// read there.
fn still(place: &Place) -> Result<(Connection, i64), Error> {
    if place::length(&place.wal) > 0 {
        let why = "nothing can be written beside it, and the newest of it is still in its log".into();
        let right = "a copy of the whole directory where it can be written to".into();
        return Err(Error::Unfit { path: place.database.clone(), why, right });
    }
    let path = &place.database;
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-_.".contains(byte);
    let bytes =
        std::path::absolute(path).map_err(|e| Error::io(path, e))?.into_os_string().into_encoded_bytes();
    let name: String = bytes
        .iter()
        .map(|byte| if plain(byte) { char::from(*byte).to_string() } else { format!("%{byte:02X}") })
        .collect();
    let uri = format!("file:{name}?immutable=1");
    let conn = open(Path::new(&uri), OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI)?;
    let version = version(&conn, path)?;
    Ok((conn, version))
}

fn open(path: &Path, mode: OpenFlags) -> Result<Connection, Error> {
    let ready = Connection::open_with_flags(path, mode | OpenFlags::SQLITE_OPEN_NO_MUTEX).and_then(|conn| {
        // Closing would fold the log into the database and delete it: not before it was verified.
        conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
        conn.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
        Ok(conn)
    });
    ready.map_err(|e| Error::sqlite(path, e))
}

/// Schema version of the database; 0 if it is empty.
pub(crate) fn version(conn: &Connection, path: &Path) -> Result<i64, Error> {
    let read = || -> rusqlite::Result<(i64, i64, i64)> {
        let pragma = |name| conn.pragma_query_value(None, name, |row| row.get(0));
        let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        Ok((pragma("application_id")?, pragma("user_version")?, tables))
    };
    match read().map_err(|e| Error::sqlite(path, e))? {
        (APPLICATION_ID, found @ 1..=KNOWN, _) => Ok(found),
        (APPLICATION_ID, found, _) if found > KNOWN => {
            Err(Error::Newer { path: path.into(), found, known: KNOWN })
        }
        (0, 0, 0) => Ok(0),
        _ => Err(Error::Foreign { path: path.into(), why: "another program's database".into() }),
    }
}

/// Lets SQLite look at all of its pages, at some gigabytes a second; in words what is wrong with them. Rows have
/// checksums, but what lies between them decides where the next ones go: a flipped bit in the list of free
/// pages has later rows written over earlier ones.
pub(crate) fn pages(conn: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut wrong = Vec::new();
    conn.pragma_query(None, "quick_check", |row| {
        let line: String = row.get(0)?;
        wrong.extend((line != "ok").then_some(line));
        Ok(())
    })?;
    Ok(wrong)
}

/// The version of SQLite's format that a writer has to know, which is told in one byte of the first page.
const WRITE_VERSION_AT: usize = 18;
const WRITE_VERSION_MAX: u8 = 2;
pub(crate) const READ_ONLY: &str = "it says of itself that it is not to be written to";

/// Whether the database lets itself be written, to go by its first page as it lies in the file; in words why not.
/// A writer's connection knows it better: it sees the page in the log too, but opens only what it may change.
pub(crate) fn writable(place: &Place) -> Result<(), &'static str> {
    let mut page = [0; WRITE_VERSION_AT + 1];
    let read = std::fs::File::open(&place.database).and_then(|mut file| file.read_exact(&mut page));
    match read.is_ok() && page[WRITE_VERSION_AT] > WRITE_VERSION_MAX {
        true => Err(READ_ONLY),
        false => Ok(()),
    }
}

/// Makes the database ours to write: the present schema, a write-ahead log, a sync per commit.
pub(crate) fn settle(conn: &mut Connection, place: &Place) -> Result<(), Error> {
    let path = &place.database;
    let from = version(conn, path)?;
    let mode = conn.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get::<_, String>(0));
    if mode.map_err(|e| Error::sqlite(path, e))? != "wal" {
        let why = "its file system cannot share a write-ahead log between processes".into();
        return Err(Error::Unfit { path: path.clone(), why, right: "a local file system".into() });
    }
    let ready = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false).and_then(|_| {
        conn.pragma_update(None, "synchronous", "FULL")?;
        conn.pragma_update_and_check(None, "journal_size_limit", WAL_BYTES, |_| Ok(()))?;
        upgrade(conn, from)
    });
    ready.map_err(|e| Error::sqlite(path, e))
}

/// From here on commits wait for no disk: [`crate::Journal`] does, for those that were promised something. SQLite still
/// syncs the log before it folds it into the database, and the database before it writes over the log.
pub(crate) fn leave_syncing(conn: &Connection, place: &Place) -> Result<(), Error> {
    conn.pragma_update(None, "synchronous", "NORMAL").map_err(|e| Error::sqlite(&place.database, e))
}

/// Folds what can be folded of the log without giving its room away, and has closing leave it alone.
pub(crate) fn keep_log(conn: &Connection, place: &Place) -> Result<(), Error> {
    let kept = conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
    kept.map_err(|e| Error::sqlite(&place.database, e))?;
    // What cannot be folded stays in the log, and nothing is lost.
    let _ = conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
    Ok(())
}

fn upgrade(conn: &mut Connection, from: i64) -> rusqlite::Result<()> {
    if from == KNOWN {
        return Ok(());
    }
    let tx = conn.transaction()?;
    STEPS[from as usize..].iter().try_for_each(|step| tx.execute_batch(step))?;
    tx.pragma_update(None, "application_id", APPLICATION_ID)?;
    tx.pragma_update(None, "user_version", KNOWN)?;
    tx.commit()
}
