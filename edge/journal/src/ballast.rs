//! The ballast: room on the disk that is ours to give up when all the rest is gone.
use crate::{
    Error,
    place::{self, Place},
};
use std::{fs::File, io::Write};

/// Bytes written at a time.
const CHUNK_BYTES: u64 = 1 << 16;

/// Makes the ballast as large as it should be, in real bytes; [`Error::Full`] if the disk has less
/// than twice that to spare, so that it is not put back only to be taken again.
pub(crate) fn restore(place: &Place, bytes: u64) -> Result<(), Error> {
    if place::length(&place.ballast) == bytes {
        return Ok(());
    }
    place::remove_file(&place.ballast)?;
    if room(place)? < bytes.saturating_mul(2) {
        return Err(Error::Full { path: place.ballast.clone() });
    }
    let file = place::open_file(&place.ballast)?;
    fill(file, bytes).map_err(|e| {
        let _ = place::remove_file(&place.ballast);
        Error::io(&place.ballast, e)
    })
}

/// Whether there is room to give up.
pub(crate) fn is_there(place: &Place) -> bool {
    place::length(&place.ballast) > 0
}

/// Gives the room up; tells whether there was any.
pub(crate) fn free(place: &Place) -> Result<bool, Error> {
    place::remove_file(&place.ballast)
}

/// Bytes on the disk that we could still write.
pub(crate) fn room(place: &Place) -> Result<u64, Error> {
    let disk = rustix::fs::statvfs(&place.dir).map_err(|e| Error::io(&place.dir, e.into()))?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// Writes bytes that no file system can pack away: a checksum of a counter looks random.
fn fill(mut file: File, bytes: u64) -> std::io::Result<()> {
    let mut word = 0_u32;
    let mut chunk = Vec::with_capacity(CHUNK_BYTES as usize);
    let mut left = bytes;
    while left > 0 {
        chunk.clear();
        while chunk.len() < CHUNK_BYTES.min(left) as usize {
            word += 1;
            chunk.extend(crc32c::crc32c(&word.to_le_bytes()).to_le_bytes());
        }
        let take = chunk.len().min(left as usize);
        file.write_all(&chunk[..take])?;
        left -= take as u64;
    }
    file.sync_all()
}
