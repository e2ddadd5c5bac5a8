//! Checkpoints: whole states, so that recovery need not begin at the beginning.
//!
//! They are files of their own, not rows: SQLite has one write lock for the whole database, so some
//! megabytes of state written there would hold up the batches behind them.
use crate::{
    Error,
    draft::Draft,
    form,
    place::{self, Place},
};
use bursar_interface::Time;
use std::{
    fs::File,
    io::Write,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Checkpoints kept: the newest, and one to fall back on.
const KEPT: usize = 2;
/// What a checkpoint begins with; one more byte tells its form, as a digit.
const MAGIC: [u8; 7] = *b"bursarC";
const _: () = assert!(form::WRITTEN < 10, "one digit");
/// The present form.
const DIGIT: u8 = b'0' + form::WRITTEN as u8;
const HEADER_BYTES: usize = 32;
/// So much of the header is summed; the rest is the sum.
const SUMMED: usize = 28;
pub(crate) const PREFIX: &str = "checkpoint-";

/// A whole state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// First sequence that is not in it.
    pub next_seq: u64,
    /// Engine time of the last batch in it.
    pub at: Time,
    /// The state, as it was handed over.
    pub blob: Vec<u8>,
}

/// A checkpoint and the checksum of the last row in it, from which the next one is verified.
#[derive(Clone, Debug)]
pub(crate) struct Sealed {
    pub(crate) checkpoint: Checkpoint,
    pub(crate) link: u32,
}

/// A checkpoint on its way to the disk.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(crate) next_seq: u64,
    pub(crate) at: Time,
    pub(crate) link: u32,
    pub(crate) state: Draft,
}

/// Writes a checkpoint durably and takes those away that are no longer needed. Returns the sequence
/// from which rows are needed to recover from any checkpoint that is left.
pub(crate) fn store(place: &Place, begun: Begun) -> Result<u64, Error> {
    let fresh = place.dir.join("checkpoint.new");
    let path = place.dir.join(format!("{PREFIX}{:020}", begun.next_seq));
    write(&fresh, begun).map_err(|e| {
        let _ = place::remove_file(&fresh);
        Error::io(&fresh, e)
    })?;
    std::fs::rename(&fresh, &path).map_err(|e| Error::io(&path, e))?;
    place.sync()?;
    let all = list(place)?;
    all.iter().skip(KEPT).try_for_each(|(_, path)| place::remove_file(path).map(drop))?;
    Ok(all.get(KEPT - 1).map_or(0, |&(next, _)| next))
}

/// Every checkpoint's sequence and path, newest first.
pub(crate) fn list(place: &Place) -> Result<Vec<(u64, PathBuf)>, Error> {
    let io = |e| Error::io(&place.dir, e);
    let mut all = Vec::new();
    for entry in std::fs::read_dir(&place.dir).map_err(io)? {
        let name = entry.map_err(io)?.file_name();
        let next = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse().ok());
        all.extend(next.map(|next| (next, place.dir.join(name))));
    }
    all.sort_unstable_by_key(|&(next, _)| std::cmp::Reverse(next));
    Ok(all)
}

/// Reads and verifies the checkpoint up to `next` at `path`.
///
/// # Errors
/// [`Error::Damaged`] and [`Error::Form`] for one to be passed over.
pub(crate) fn load(next: u64, path: &Path) -> Result<Sealed, Error> {
    place::own_file(path)?;
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let why = "the checkpoint is not what was written".into();
    let (sealed, digit) =
        decode(next, &bytes).ok_or(Error::Damaged { path: path.into(), seq: Some(next), why })?;
    form::known_state(path, next, u32::from(digit.wrapping_sub(b'0')))?;
    Ok(sealed)
}

fn write(path: &Path, begun: Begun) -> std::io::Result<()> {
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut header = header(begun.next_seq, begun.at, begun.link, DIGIT);
    file.write_all(&header)?;
    let mut crc = crc32c::crc32c(&header[..SUMMED]);
    begun.state.read(|piece| {
        crc = crc32c::crc32c_append(crc, piece);
        file.write_all(piece)
    })?;
    header[SUMMED..].copy_from_slice(&crc.to_le_bytes());
    file.write_all_at(&header, 0)?;
    file.sync_all()
}

/// Magic, form, next sequence, time and link; then comes a checksum over these and the state.
fn header(next_seq: u64, at: Time, link: u32, digit: u8) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..7].copy_from_slice(&MAGIC);
    header[7] = digit;
    header[8..16].copy_from_slice(&next_seq.to_le_bytes());
    header[16..24].copy_from_slice(&at.0.to_le_bytes());
    header[24..SUMMED].copy_from_slice(&link.to_le_bytes());
    header
}

/// A checkpoint and the digit of its form, whichever that is.
fn decode(next: u64, bytes: &[u8]) -> Option<(Sealed, u8)> {
    let (found, blob) = bytes.split_at_checked(HEADER_BYTES)?;
    let word = |at: usize| Some(u64::from_le_bytes(found[at..at + 8].try_into().ok()?));
    let (next_seq, at) = (word(8)?, Time(word(16)?));
    let link = u32::from_le_bytes(found[24..SUMMED].try_into().ok()?);
    let mut meant = header(next_seq, at, link, found[7]);
    let crc = crc32c::crc32c_append(crc32c::crc32c(&meant[..SUMMED]), blob);
    meant[SUMMED..].copy_from_slice(&crc.to_le_bytes());
    let checkpoint = Checkpoint { next_seq, at, blob: blob.into() };
    (next_seq == next && meant == found).then_some((Sealed { checkpoint, link }, found[7]))
}
