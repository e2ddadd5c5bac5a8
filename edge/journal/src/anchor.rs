//! Whether the files that are written to are still those that the next start will find: whoever removes or moves a
//! state directory under its daemon takes every later answer along.
use crate::{Error, place::Place};
use std::{fs, io::ErrorKind, os::unix::fs::MetadataExt, path::Path};

/// Device and inode of a file.
type Identity = (u64, u64);

/// The files as they were when they were opened.
#[derive(Debug)]
pub(crate) struct Anchor {
    database: Identity,
    /// Known from the first time on that there was one.
    log: Option<Identity>,
}

impl Anchor {
    /// Remembers the files that were just opened.
    pub(crate) fn drop_at(place: &Place) -> Result<Anchor, Error> {
        let database = identity(&place.database)?.ok_or_else(|| gone(&place.database))?;
        Ok(Anchor { database, log: identity(&place.wal)? })
    }

    /// # Errors
    /// [`Error::Gone`] when the database or its log is no longer where it was.
    pub(crate) fn holds(&mut self, place: &Place) -> Result<(), Error> {
        if identity(&place.database)? != Some(self.database) {
            return Err(gone(&place.database));
        }
        let log = identity(&place.wal)?;
        match self.log {
            None => self.log = log,
            known if known != log => return Err(gone(&place.wal)),
            _ => {}
        }
        Ok(())
    }
}

fn identity(path: &Path) -> Result<Option<Identity>, Error> {
    match fs::metadata(path) {
        Ok(found) => Ok(Some((found.dev(), found.ino()))),
        Err(gone) if matches!(gone.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(other) => Err(Error::io(path, other)),
    }
}

fn gone(path: &Path) -> Error {
    Error::Gone { path: path.into() }
}
