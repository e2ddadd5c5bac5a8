//! The state directory: what is where in it, and whether it is safe to use.
use crate::Error;
use std::{
    fs::{DirBuilder, File, Metadata, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Bits of a mode that let others write.
const WRITABLE_BY_OTHERS: u32 = 0o022;

/// A state directory.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    pub(crate) database: PathBuf,
    pub(crate) wal: PathBuf,
    pub(crate) answered: PathBuf,
    pub(crate) ballast: PathBuf,
    pub(crate) lock: PathBuf,
}

impl Place {
    /// The places in `dir`, whatever is there. SQLite takes a path for a URI that begins with `file:`, so it never sees
    /// one that is relative. Where nobody knows where that would be, nothing can be opened either.
    pub(crate) fn of(dir: &Path) -> Place {
        let dir = std::path::absolute(dir).unwrap_or_else(|_| dir.into());
        Place {
            database: dir.join("journal.sqlite"),
            wal: dir.join("journal.sqlite-wal"),
            answered: dir.join("answered"),
            ballast: dir.join("ballast"),
            lock: dir.join("lock"),
            dir,
        }
    }

    /// The places in `dir`, which is made if it is missing (0700) and refused if others may have
    /// written to it.
    pub(crate) fn claim(dir: &Path) -> Result<Place, Error> {
        make(dir)?;
        Place::of(dir).own()
    }

    /// Refuses a directory that others may have written to; changes nothing.
    pub(crate) fn own(self) -> Result<Place, Error> {
        let dir = &self.dir;
        let found = std::fs::metadata(dir).map_err(|e| Error::io(dir, e))?;
        if !found.is_dir() {
            return Err(no_directory(dir));
        }
        own(dir, &found, "0700")?;
        let shm = dir.join("journal.sqlite-shm");
        for path in [&self.database, &self.wal, &shm, &self.answered, &self.ballast, &self.lock] {
            own_file(path)?;
        }
        Ok(self)
    }

    /// Makes what was created, renamed or taken away in the directory durable.
    pub(crate) fn sync(&self) -> Result<(), Error> {
        sync_dir(&self.dir)
    }
}

/// How every file here is opened: made with 0600, never emptied.
pub(crate) fn open_file(path: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(|e| Error::io(path, e))
}

/// Takes a file away; tells whether there was one.
pub(crate) fn remove_file(path: &Path) -> Result<bool, Error> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(false),
        Err(other) => Err(Error::io(path, other)),
    }
}

/// How long a file is in bytes; 0 if there is none.
pub(crate) fn length(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |found| found.len())
}

/// Refuses a file that is not a plain one of our own.
pub(crate) fn own_file(path: &Path) -> Result<(), Error> {
    match std::fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => own(path, &found, "0600"),
        Ok(_) => Err(unfit(path, "is no plain file".into(), "a file of mode 0600, or none")),
        Err(gone) if gone.kind() == ErrorKind::NotFound => Ok(()),
        Err(other) => Err(Error::io(path, other)),
    }
}

/// Makes the directory and those above it, durably: a state directory that is gone after a power
/// cut would be a silent loss.
fn make(dir: &Path) -> Result<(), Error> {
    let missing: Vec<&Path> = dir.ancestors().take_while(|path| !path.exists()).collect();
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|e| match e.kind() {
        // A file, or a link that leads nowhere.
        ErrorKind::AlreadyExists => no_directory(dir),
        _ => Error::io(dir, e),
    })?;
    missing.into_iter().filter_map(Path::parent).try_for_each(|parent| match parent.as_os_str().is_empty() {
        true => sync_dir(Path::new(".")),
        false => sync_dir(parent),
    })
}

fn sync_dir(dir: &Path) -> Result<(), Error> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|e| Error::io(dir, e))
}

fn own(path: &Path, found: &Metadata, mode: &str) -> Result<(), Error> {
    let uid = rustix::process::geteuid().as_raw();
    if found.uid() != uid {
        let why = format!("belongs to uid {}, not to uid {uid}", found.uid());
        return Err(unfit(path, why, "an own one: chown it, or use another state directory"));
    }
    if found.mode() & WRITABLE_BY_OTHERS != 0 {
        let why = format!("others may write to it (mode {:04o})", found.mode() & 0o7777);
        return Err(unfit(path, why, &format!("chmod {mode} {}", path.display())));
    }
    Ok(())
}

fn no_directory(dir: &Path) -> Error {
    unfit(dir, "is no directory".into(), "a directory of mode 0700, or nothing at all")
}

fn unfit(path: &Path, why: String, right: &str) -> Error {
    Error::Unfit { path: path.into(), why, right: right.into() }
}
