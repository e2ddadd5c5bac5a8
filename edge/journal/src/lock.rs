//! One daemon per state directory: locks that go with the process, whatever ends it.
use crate::{
    Error,
    place::{self, Place},
};
use std::{
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// The locks, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock {
    #[expect(dead_code, reason = "held, not read")]
    file: Held,
    /// The directory's own, which cannot be tidied away as a file can.
    #[expect(dead_code, reason = "held, not read")]
    dir: Option<Held>,
}

/// A locked file. Let go of by a call: a child of this process that has not become its program yet has the file too.
#[derive(Debug)]
struct Held(File);

impl Drop for Held {
    fn drop(&mut self) {
        // It goes with the file at the latest.
        let _ = self.0.unlock();
    }
}

impl Lock {
    /// Takes the locks of the directory and of the file in it, and leaves this process's id there; never waits.
    pub(crate) fn take(place: &Place) -> Result<Lock, Error> {
        let dir = whole(place)?;
        let path = &place.lock;
        let file = place::open_file(path)?;
        match file.try_lock() {
            Ok(()) => {
                let pid = format!("{:<10}\n", std::process::id());
                // Only a message for whoever comes second: a full disk must not stop us here.
                let _ = file.write_all_at(pid.as_bytes(), 0);
                Ok(Lock { file: Held(file), dir })
            }
            Err(TryLockError::WouldBlock) => Err(locked(path)),
            Err(TryLockError::Error(source)) => Err(Error::io(path, source)),
        }
    }
}

/// The directory's lock; `None` where a directory cannot have one, as over NFS.
fn whole(place: &Place) -> Result<Option<Held>, Error> {
    let dir = File::open(&place.dir).map_err(|e| Error::io(&place.dir, e))?;
    match dir.try_lock() {
        Ok(()) => Ok(Some(Held(dir))),
        Err(TryLockError::WouldBlock) => Err(locked(&place.lock)),
        Err(TryLockError::Error(source)) if cannot(&source) => Ok(None),
        Err(TryLockError::Error(source)) => Err(Error::io(&place.dir, source)),
    }
}

/// Whether a file system says that it locks no directories.
fn cannot(source: &io::Error) -> bool {
    use rustix::io::Errno;
    let said = source.raw_os_error().map(Errno::from_raw_os_error);
    matches!(said, Some(Errno::BADF | Errno::OPNOTSUPP | Errno::NOLCK | Errno::NOSYS | Errno::INVAL))
}

fn locked(path: &Path) -> Error {
    let pid = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
    Error::Locked { path: path.into(), pid }
}
