//! The file by which a unix socket is reached: whether it is still ours, and what is done when it is not.
use crate::socket::bind_anew;
use std::{
    fs::{Metadata, symlink_metadata},
    io::ErrorKind,
    os::unix::{fs::MetadataExt, net::UnixListener},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Where a socket was bound, as it is now.
pub(crate) struct Address {
    /// None where the socket has no file.
    path: Option<PathBuf>,
    /// Whose members may connect.
    group: Option<u32>,
    state: Mutex<State>,
}

struct State {
    /// Device and inode of our own file. No other can have them while the socket is open.
    own: Option<(u64, u64)>,
    next_look: Instant,
    /// What the log has heard already.
    told: Option<String>,
}

impl Address {
    /// The address of a listener that was just bound.
    pub(crate) fn of(listener: &UnixListener) -> Address {
        let local = listener.local_addr().ok();
        let path = local.and_then(|local| local.as_pathname().map(Path::to_owned));
        let found = path.as_deref().and_then(|path| symlink_metadata(path).ok());
        let group = found.as_ref().filter(|found| found.mode() & 0o060 != 0).map(Metadata::gid);
        let own = found.as_ref().map(identity);
        let state = State { own, next_look: Instant::now() + LOOK_EVERY, told: None };
        Address { path, group, state: Mutex::new(state) }
    }

    /// When it is time to look again.
    pub(crate) fn next_look(&self) -> Instant {
        self.state().next_look
    }

    /// Looks whether our file is there. Where none is, one is bound again; what others put there stays, and the log
    /// says so once.
    pub(crate) fn look(&self) -> Option<UnixListener> {
        let mut state = self.state();
        state.next_look = Instant::now() + LOOK_EVERY;
        let path = self.path.as_deref()?;
        let wrong = match symlink_metadata(path) {
            Ok(found) if Some(identity(&found)) == state.own => {
                state.told = None;
                return None;
            }
            Ok(_) => {
                "something else stands where this daemon's socket was: nobody reaches it there. Take that away, and \
                 it binds again"
                    .to_owned()
            }
            Err(error) if error.kind() == ErrorKind::NotFound => match bind_anew(path, self.group) {
                Ok(anew) => {
                    tracing::warn!(socket = %path.display(), "the socket's file was removed: bound again");
                    state.own = symlink_metadata(path).ok().as_ref().map(identity);
                    return Some(anew);
                }
                Err(error) => format!("the socket's file was removed, and cannot be bound again: {error}"),
            },
            Err(error) => format!("the socket's file cannot be looked at: {error}"),
        };
        if state.told.as_ref() != Some(&wrong) {
            tracing::error!(socket = %path.display(), "{wrong}");
            state.told = Some(wrong);
        }
        None
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}
