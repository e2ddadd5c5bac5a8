//! Whether a write failed for want of room: SQLite says so of a full disk only, and calls a used-up quota and a
//! limit on the size of files a failure of the disk.
use crate::{
    Error,
    place::{self, Place},
};
use std::os::unix::fs::FileExt;

/// Bytes that are written to find out: more than a quota's last blocks.
const PROBE_BYTES: usize = 1 << 16;

/// SQLite's names for a sync that failed.
const SYNCS: [i32; 2] = [rusqlite::ffi::SQLITE_IOERR_FSYNC, rusqlite::ffi::SQLITE_IOERR_DIR_FSYNC];
const PROBE: &str = "probe";

/// What writing failed with. If it was the disk, another file is written to where the log ends: if that finds no
/// room, the log found none. A failed sync stays what it is: no room is not known to cause one.
pub(crate) fn wanted(place: &Place, error: Error) -> Error {
    let write = matches!(&error, Error::Broken { code, .. } if !SYNCS.contains(code));
    match write.then(|| probe(place)) {
        Some(Err(full @ Error::Full { .. })) => full,
        _ => error,
    }
}

/// Takes away what a probe left that did not come to its end.
pub(crate) fn clear(place: &Place) -> Result<(), Error> {
    place::remove_file(&place.dir.join(PROBE)).map(drop)
}

fn probe(place: &Place) -> Result<(), Error> {
    let path = place.dir.join(PROBE);
    let end = place::length(&place.wal).max(place::length(&place.database));
    let written = place::open_file(&path).and_then(|file| {
        let written = file.write_all_at(&[0; PROBE_BYTES], end).and_then(|()| file.sync_all());
        written.map_err(|e| Error::io(&place.wal, e))
    });
    clear(place).and(written)
}
