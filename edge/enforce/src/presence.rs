//! Which daemons of this machine live: each holds the lock of a file that is named after it, so that whoever finds a
//! process in its groups knows whether anybody looks after that. The lock goes with its process, whatever ends it.
use rustix::{fs::Mode, process::geteuid};
use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// That this daemon lives, told until it is dropped.
#[derive(Debug)]
pub struct Presence {
    file: File,
    path: PathBuf,
}

impl Presence {
    /// Tells that the daemon of this name lives, with words for whoever wants to know more; `None` if another one of
    /// this user's has the name, or died this moment: a child of its that had not become its program yet has the
    /// lock for as long as that takes.
    ///
    /// # Errors
    /// When there is no place to tell it.
    pub fn tell(instance: &str, words: &str) -> io::Result<Option<Presence>> {
        Presence::tell_in(&own_folder()?, instance, words)
    }

    fn tell_in(folder: &Path, instance: &str, words: &str) -> io::Result<Option<Presence>> {
        let path = folder.join(instance);
        loop {
            let mut options = OpenOptions::new();
            let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(&path)?;
            match file.try_lock() {
                // Whoever ends in good order takes the file away, and we may have opened that one.
                Ok(()) if !is_at(&file, &path) => {}
                Ok(()) => {
                    let presence = Presence { file, path };
                    presence.file.set_len(0)?;
                    (&presence.file).write_all(words.as_bytes())?;
                    return Ok(Some(presence));
                }
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(error),
            }
        }
    }

    /// What the daemon of this name said of itself.
    pub fn words(instance: &str) -> Option<String> {
        std::fs::read_to_string(own_folder().ok()?.join(instance)).ok()
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        // While it is locked nobody else has it. What stays means nothing without the lock.
        let _ = std::fs::remove_file(&self.path);
        let _ = self.file.unlock();
    }
}

/// Whether a daemon of this name lives, of this user or of the one whose process was found in its groups.
pub(crate) fn lives(instance: &str, user: u32) -> bool {
    let mut users = vec![geteuid().as_raw(), user];
    users.dedup();
    users.into_iter().any(|user| places(user).iter().any(|folder| lives_in(folder, user, instance)))
}

fn lives_in(folder: &Path, user: u32, instance: &str) -> bool {
    // What others put there says nothing.
    if !std::fs::symlink_metadata(folder).is_ok_and(|found| found.uid() == user) {
        return false;
    }
    match File::open(folder.join(instance)) {
        Ok(file) => match file.try_lock_shared() {
            Ok(()) => {
                let _ = file.unlock();
                false
            }
            Err(error) => matches!(error, TryLockError::WouldBlock),
        },
        // Another user's, whose processes are not ours to take either.
        Err(error) => error.kind() == ErrorKind::PermissionDenied,
    }
}

/// Where a user's daemons tell it: not by the environment, which may be another one for each of them, and where
/// nobody else can take a lock.
fn places(user: u32) -> [PathBuf; 2] {
    let runtime = match user {
        0 => "/run/bursar-instances".into(),
        user => format!("/run/user/{user}/bursar-instances"),
    };
    [runtime.into(), format!("/tmp/bursar-instances-{user}").into()]
}

/// The first of these that there is, or that can be made.
fn own_folder() -> io::Result<PathBuf> {
    let user = geteuid().as_raw();
    let mut last = io::Error::from(ErrorKind::NotFound);
    for folder in places(user) {
        match make(&folder, user) {
            Ok(()) => return Ok(folder),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn make(folder: &Path, user: u32) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = std::fs::symlink_metadata(folder)?;
    let others = Mode::RWXG | Mode::RWXO;
    match found.is_dir() && found.uid() == user && found.mode() & others.as_raw_mode() == 0 {
        true => Ok(()),
        false => Err(io::Error::new(
            ErrorKind::PermissionDenied,
            format!("{}: not a folder of ours alone", folder.display()),
        )),
    }
}

/// Whether a file is the one that a path leads to.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |found: std::fs::Metadata| (found.dev(), found.ino());
    file.metadata().map(identity).ok() == std::fs::metadata(path).map(identity).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::Permissions, os::unix::fs::PermissionsExt};

    #[test]
    fn one_of_a_name_lives_at_a_time_and_is_seen_to() {
        let (folder, user) = (tempfile::tempdir().expect("a folder"), geteuid().as_raw());
        let tell = || Presence::tell_in(folder.path(), "a", "me").expect("told");
        assert!(!lives_in(folder.path(), user, "a"));
        let first = tell().expect("the first");
        assert!(lives_in(folder.path(), user, "a") && !lives_in(folder.path(), user, "b"));
        assert!(tell().is_none());
        drop(first);
        assert!(!lives_in(folder.path(), user, "a"));
        let mut dead = tell().expect("free again");
        // As a kill leaves it: the file, and no lock.
        dead.path = folder.path().join("elsewhere");
        drop(dead);
        assert!(folder.path().join("a").exists() && !lives_in(folder.path(), user, "a") && tell().is_some());
    }

    #[test]
    fn nobody_elses_folder_is_used() {
        let (folder, user) = (tempfile::tempdir().expect("a folder"), geteuid().as_raw());
        let folder = folder.path().join("own");
        assert!(make(&folder, user).is_ok() && make(&folder, user).is_ok());
        assert!(make(&folder, user + 1).is_err());
        std::fs::set_permissions(&folder, Permissions::from_mode(0o750)).expect("set");
        assert!(make(&folder, user).is_err());
    }
}
