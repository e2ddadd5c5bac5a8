//! The write-ahead log's file as we see it ourselves: made as long as it will be, and synced for those who were promised
//! something. SQLite writes to it; what is in it is none of our business.
use crate::{
    Error, ballast,
    place::{self, Place},
};
use std::{
    fs::File,
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// Of the room that a disk has left, the log is given this part at most before it needs it.
const PART: u64 = 16;

/// The log.
#[derive(Debug)]
pub(crate) struct Log {
    file: File,
    path: PathBuf,
    /// Something was written to it since the last sync.
    behind: bool,
}

impl Log {
    /// Opens the log and makes it so long, where there is plenty of room for that. A sync after a write that makes a file
    /// longer has to write down how long it is as well, which takes a third more time; over what is there already
    /// it has not.
    pub(crate) fn open(place: &Place, bytes: u64) -> Result<Log, Error> {
        let path = place.wal.clone();
        let file = place::open_file(&path)?;
        let missing = bytes.saturating_sub(place::length(&path));
        let laid = match missing > 0 && ballast::room(place)? / PART >= missing {
            true => lay(&file, bytes - missing, missing),
            false => Ok(()),
        };
        laid.and_then(|()| file.sync_all()).map_err(|e| Error::io(&path, e))?;
        Ok(Log { file, path, behind: false })
    }

    /// Something was written to it.
    pub(crate) fn wrote(&mut self) {
        self.behind = true;
    }

    /// Waits until all that was written to it is on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), Error> {
        if self.behind {
            let code = rusqlite::ffi::SQLITE_IOERR_FSYNC;
            let broken = |e: io::Error| Error::Broken { path: self.path.clone(), why: e.to_string(), code };
            self.file.sync_data().map_err(broken)?;
            self.behind = false;
        }
        Ok(())
    }
}

/// Writes zeros, which SQLite takes for no part of a log, from where it ends. Without the room for them it stays as it was.
fn lay(file: &File, end: u64, missing: u64) -> io::Result<()> {
    let laid = file.write_all_at(&vec![0; missing as usize], end);
    laid.or_else(|error| match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => file.set_len(end),
        _ => Err(error),
    })
}
