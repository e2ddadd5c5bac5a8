//! What can go wrong with a journal, each with the path and, where there is one, the way out.
use rusqlite::ErrorCode;
use std::{
    io,
    path::{Path, PathBuf},
};

/// Why the journal could not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The state directory or a file in it is not safe to use.
    #[error("{}: {why}; right would be: {right}", path.display())]
    Unfit {
        /// What was looked at.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
        /// What would be right.
        right: String,
    },
    /// Another process has the journal open.
    #[error("{}: in use by {}; stop it first, or use another state directory", path.display(),
        pid.map_or("another process".into(), |pid| format!("process {pid}")))]
    Locked {
        /// The lock file.
        path: PathBuf,
        /// Who holds it, as far as it said.
        pid: Option<u32>,
    },
    /// A newer version wrote it.
    #[error("{}: written in schema {found}, this version knows {known}; start the newer version \
        again, or use another state directory", path.display())]
    Newer {
        /// The database.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest one known here.
        known: i64,
    },
    /// A row or a checkpoint is in a form that is not read here: it would be taken for something else.
    #[error("{}: sequence {seq} is written in form {found}, and only form {known} is read here; nothing was \
        changed: start the version that wrote it again, or end what still runs under its leases, move the state \
        directory away and start anew", path.display())]
    Form {
        /// The database or checkpoint.
        path: PathBuf,
        /// Where.
        seq: u64,
        /// Its form.
        found: u32,
        /// The form that is read here.
        known: u32,
    },
    /// It is not a journal.
    #[error("{}: {why}; nothing was changed: restore the state directory from a copy, move it away, or use \
        another one", path.display())]
    Foreign {
        /// What was looked at.
        path: PathBuf,
        /// What it seems to be.
        why: String,
    },
    /// Less came back than was answered: granting now could give the same thing out twice.
    #[error("{}: came back up to sequence {recovered}, but answers were given up to {answered}; {hint}",
        path.display())]
    Truncated {
        /// The database.
        path: PathBuf,
        /// First sequence that is not there.
        recovered: u64,
        /// First sequence that was not answered yet.
        answered: u64,
        /// What to do.
        hint: &'static str,
    },
    /// Whether all that was answered came back cannot be told.
    #[error("{}: {why}, so nothing proves that sequence {recovered} is where answers ended; {hint}",
        path.display())]
    Unproved {
        /// The sidecar.
        path: PathBuf,
        /// First sequence that is not there.
        recovered: u64,
        /// What is wrong with the sidecar.
        why: &'static str,
        /// What to do.
        hint: &'static str,
    },
    /// A row or a page is not what was written. Nothing is taken away.
    #[error("{}: damaged{}: {why}; nothing was changed: restore the state directory from a copy, \
        or move it away and start anew", path.display(),
        seq.map_or(String::new(), |seq| format!(" at sequence {seq}")))]
    Damaged {
        /// The database or checkpoint.
        path: PathBuf,
        /// Sequence of the row, where it is one row.
        seq: Option<u64>,
        /// What is wrong.
        why: String,
    },
    /// The disk is full, a quota used up, or a limit on the size of files reached. What was being written is not there; the journal can be used on.
    #[error("{}: the disk is full, or a limit on it is reached", path.display())]
    Full {
        /// What was written to.
        path: PathBuf,
    },
    /// The disk failed, so what is on it is unknown: stop at once and recover from it.
    #[error("{}: the disk failed: {why} (SQLite's code {code}); nothing was answered that is not on it: look after the disk, then start \
        again, or restore the state directory from a copy", path.display())]
    Broken {
        /// What was read or written.
        path: PathBuf,
        /// In SQLite's words.
        why: String,
        /// In SQLite's extended codes.
        code: i32,
    },
    /// The file that is written to was removed, moved or replaced: the next start would not find what is in it.
    #[error("{}: is no longer the file that was opened: somebody removed, moved or replaced it. Nothing more is \
        answered, since the next start would not find it: put the state directory back where it was, or restore it \
        from a copy, and start again", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
    /// A sequence does not follow what is there, or a batch has no input.
    #[error("{}: sequences {first}..{next} do not follow: the journal ends at {end}", path.display())]
    OutOfOrder {
        /// The database.
        path: PathBuf,
        /// Where the journal ends.
        end: u64,
        /// First sequence that was given.
        first: u64,
        /// First sequence after those that were given.
        next: u64,
    },
    /// More bytes than are taken.
    #[error("{}: {bytes} bytes are too many: at most {most}", path.display())]
    TooLarge {
        /// Where they were to go.
        path: PathBuf,
        /// How many.
        bytes: usize,
        /// How many are taken.
        most: usize,
    },
    /// The operating system refused.
    #[error("{}: {said}", path.display())]
    Io {
        /// The file or directory.
        path: PathBuf,
        /// What it said; no source besides, which would be told twice.
        said: io::Error,
    },
    /// SQLite refused.
    #[error("{}: {said}", path.display())]
    Sqlite {
        /// The database.
        path: PathBuf,
        /// What it said.
        said: rusqlite::Error,
    },
}

impl Error {
    /// An answer of the operating system about `path`.
    pub(crate) fn io(path: &Path, source: io::Error) -> Error {
        match source.kind() {
            // The last one: no file may be larger (RLIMIT_FSIZE, or what the file system can do).
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Error::Full { path: path.into() }
            }
            _ => Error::Io { path: path.into(), said: source },
        }
    }

    /// An answer of SQLite about `path`. A failed sync is final: the kernel may have dropped the
    /// pages it could not write (PostgreSQL's "fsyncgate").
    pub(crate) fn sqlite(path: &Path, source: rusqlite::Error) -> Error {
        use rusqlite::Error::{
            FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, QueryReturnedNoRows,
            SqlInputError,
        };
        let (path, why) = (path.to_path_buf(), source.to_string());
        // The statements are always the same: one that does not fit met another table than ours.
        let odd = matches!(
            source,
            FromSqlConversionFailure(..)
                | IntegralValueOutOfRange(..)
                | InvalidColumnType(..)
                | QueryReturnedNoRows
                | SqlInputError { .. }
        );
        match source.sqlite_error().map(|error| (error.code, error.extended_code)) {
            Some((ErrorCode::DiskFull, _)) => Error::Full { path },
            // SQLite says so when the shared index cannot grow, which it does on a full disk.
            Some((_, rusqlite::ffi::SQLITE_IOERR_SHMSIZE)) => Error::Full { path },
            // A page is not there: the file was cut off, and the disk is not to blame.
            Some((_, rusqlite::ffi::SQLITE_IOERR_SHORT_READ)) => Error::Damaged { path, seq: None, why },
            Some((ErrorCode::SystemIoFailure, code)) => Error::Broken { path, why, code },
            Some((ErrorCode::DatabaseCorrupt, _)) => Error::Damaged { path, seq: None, why },
            Some((ErrorCode::Unknown, rusqlite::ffi::SQLITE_ERROR)) => {
                Error::Damaged { path, seq: None, why }
            }
            Some((ErrorCode::NotADatabase, _)) => Error::Foreign { path, why: "no SQLite database".into() },
            _ if odd => Error::Damaged { path, seq: None, why },
            _ => Error::Sqlite { path, said: source },
        }
    }
}
