//! One daemon per state directory: a file lock that goes with the process, whatever ends it.
use crate::{Error, place};
use std::{
    fs::{File, TryLockError},
    os::unix::fs::FileExt,
    path::Path,
};

/// The lock, held as long as this lives.
#[derive(Debug)]
pub(crate) struct Lock(File);

impl Lock {
    /// Takes the lock at `path` and leaves this process's id in it; never waits.
    pub(crate) fn take(path: &Path) -> Result<Lock, Error> {
        let file = place::open_file(path)?;
        match file.try_lock() {
            Ok(()) => {
                let pid = format!("{:<10}\n", std::process::id());
                // Only a message for whoever comes second: a full disk must not stop us here.
                let _ = file.write_all_at(pid.as_bytes(), 0);
                Ok(Lock(file))
            }
            Err(TryLockError::WouldBlock) => {
                let pid = std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok());
                Err(Error::Locked { path: path.into(), pid })
            }
            Err(TryLockError::Error(source)) => Err(Error::io(path, source)),
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing would not do where a child is just being started: it has the file too, until it executes.
        let _ = self.0.unlock();
    }
}
