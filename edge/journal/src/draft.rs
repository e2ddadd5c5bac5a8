//! A state while it is written down, in memory of its own that goes back whole: as a buffer it would stay with the
//! heap of whichever thread wrote it.
use crate::CHECKPOINT_BYTES_MAX;
use rustix::fs::MemfdFlags;
use std::{
    fs::File,
    io::{self, BufWriter, Read, Seek, Write},
};

/// How much is moved at once.
const PIECE_BYTES: usize = 64 << 10;

/// What was written of a state.
#[derive(Debug)]
pub(crate) struct Draft(File);

/// How writing one ended.
pub(crate) enum Drafted {
    Whole(Draft),
    /// It came to so much and more, which is too much.
    TooLarge(usize),
}

/// Counts, and takes no more than a checkpoint may have.
struct Bounded {
    file: File,
    bytes: usize,
}

impl Write for Bounded {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.bytes += piece.len();
        match self.bytes > CHECKPOINT_BYTES_MAX {
            true => Err(io::ErrorKind::FileTooLarge.into()),
            false => self.file.write_all(piece).map(|()| piece.len()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Draft {
    /// What `state` writes.
    pub(crate) fn of(state: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<Drafted> {
        let file = File::from(rustix::fs::memfd_create("checkpoint", MemfdFlags::CLOEXEC)?);
        let mut out = BufWriter::with_capacity(PIECE_BYTES, Bounded { file, bytes: 0 });
        let written = state(&mut out).and_then(|()| out.flush());
        let (Bounded { file, bytes }, _) = out.into_parts();
        match written {
            _ if bytes > CHECKPOINT_BYTES_MAX => Ok(Drafted::TooLarge(bytes)),
            written => written.map(|()| Drafted::Whole(Draft(file))),
        }
    }

    /// Reads it piece by piece.
    pub(crate) fn read(mut self, mut piece: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
        self.0.rewind()?;
        let mut buffer = vec![0; PIECE_BYTES];
        loop {
            match self.0.read(&mut buffer)? {
                0 => return Ok(()),
                read => piece(&buffer[..read])?,
            }
        }
    }
}
