//! The sidecar: how far answers were given, kept beside the database so that the two can be compared.
//!
//! Two slots are written in turn, each with its own checksum: a write that was torn spoils one of
//! them and is noticed. Writes are not synced, because the file has to survive a crash of the
//! process only: after a power cut it may be behind the database, never ahead of it.
use crate::{Error, place};
use std::{
    fs::File,
    io::ErrorKind,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

/// Distance between the slots in bytes: a disk's sector, so that they do not tear together.
const SLOT_BYTES: usize = 512;
const FILE_BYTES: usize = 2 * SLOT_BYTES;
const RECORD_BYTES: usize = 36;
const MAGIC: [u8; 8] = *b"bursarA1";

/// What the sidecar says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Rises with every write; its last bit is the slot.
    pub(crate) turn: u64,
    /// Everything before this sequence was answered, or may have been.
    pub(crate) answered: u64,
    /// Starts so far.
    pub(crate) epoch: u64,
}

/// What was found where the sidecar should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing.
    Absent,
    /// A file without a single good slot.
    Unreadable,
    /// The newest good slot, and whether the other one was spoilt.
    Whole(Mark, bool),
}

impl Found {
    /// What it says, as far as it says anything.
    pub(crate) fn mark(self) -> Mark {
        match self {
            Found::Whole(mark, _) => mark,
            Found::Absent | Found::Unreadable => Mark::default(),
        }
    }
}

/// The sidecar, open for writing.
#[derive(Debug)]
pub(crate) struct Sidecar {
    file: File,
    path: PathBuf,
    mark: Mark,
}

impl Sidecar {
    /// Makes the sidecar say `mark`, durably; the file is made if it is missing.
    pub(crate) fn start(path: &Path, mark: Mark) -> Result<Sidecar, Error> {
        let file = place::open_file(path)?;
        let mut sidecar = Sidecar { file, path: path.into(), mark };
        if place::length(path) != FILE_BYTES as u64 {
            sidecar.file.write_all_at(&[0; FILE_BYTES], 0).map_err(|e| Error::io(path, e))?;
        }
        sidecar.write(mark)?;
        sidecar.file.sync_all().map_err(|e| Error::io(path, e))?;
        Ok(sidecar)
    }

    /// Everything before `next_seq` is about to be answered. Never goes back.
    pub(crate) fn answered(&mut self, next_seq: u64) -> Result<(), Error> {
        match next_seq > self.mark.answered {
            true => self.write(Mark { answered: next_seq, ..self.mark }),
            false => Ok(()),
        }
    }

    fn write(&mut self, mark: Mark) -> Result<(), Error> {
        let mark = Mark { turn: mark.turn + 1, ..mark };
        let at = mark.turn % 2 * SLOT_BYTES as u64;
        self.file.write_all_at(&encode(mark), at).map_err(|e| Error::io(&self.path, e))?;
        self.mark = mark;
        Ok(())
    }
}

/// Reads what is there without changing it.
pub(crate) fn read(path: &Path) -> Result<Found, Error> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(gone) if gone.kind() == ErrorKind::NotFound => return Ok(Found::Absent),
        Err(other) => return Err(Error::io(path, other)),
    };
    let slots = [0, SLOT_BYTES].map(|at| bytes.get(at..at + RECORD_BYTES).unwrap_or(&[]));
    let newest = slots.iter().filter_map(|slot| decode(slot)).max_by_key(|mark| mark.turn);
    let spoilt = slots.iter().any(|slot| decode(slot).is_none() && slot.iter().any(|&byte| byte != 0));
    Ok(newest.map_or(Found::Unreadable, |mark| Found::Whole(mark, spoilt || bytes.len() != FILE_BYTES)))
}

fn encode(mark: Mark) -> [u8; RECORD_BYTES] {
    let mut slot = [0; RECORD_BYTES];
    slot[..8].copy_from_slice(&MAGIC);
    for (cell, word) in slot[8..32].chunks_exact_mut(8).zip([mark.turn, mark.answered, mark.epoch]) {
        cell.copy_from_slice(&word.to_le_bytes());
    }
    let crc = crc32c::crc32c(&slot[..32]);
    slot[32..].copy_from_slice(&crc.to_le_bytes());
    slot
}

fn decode(slot: &[u8]) -> Option<Mark> {
    let word = |at: usize| Some(u64::from_le_bytes(slot.get(at..at + 8)?.try_into().ok()?));
    let mark = Mark { turn: word(8)?, answered: word(16)?, epoch: word(24)? };
    (slot == encode(mark)).then_some(mark)
}
