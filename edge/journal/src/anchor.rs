//! Whether the files that are written to are still those that the next start will find: whoever removes or moves a
//! state directory under its daemon takes every later answer along.
use crate::{Error, place::Place};
use rustix::{
    fs::{AtFlags, CWD, StatxFlags, statx},
    io::Errno,
};
use std::path::Path;

/// Device, in two numbers, and inode of a file.
type Identity = (u32, u32, u64);

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

/// Whoever asks when a file was last changed has each later change written down to the nanosecond, where they otherwise
/// are told apart by a few milliseconds; and what is written down of a file goes to the disk with it. So nobody asks.
fn identity(path: &Path) -> Result<Option<Identity>, Error> {
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(Some((found.stx_dev_major, found.stx_dev_minor, found.stx_ino))),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(other) => Err(Error::io(path, other.into())),
    }
}

fn gone(path: &Path) -> Error {
    Error::Gone { path: path.into() }
}
