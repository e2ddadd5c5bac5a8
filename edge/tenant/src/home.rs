//! Where the state of a socket's daemon lies, where that is not what a daemon has that is started for whoever asks: such a
//! one would know nothing of the leases there are, and give everything once more. So nobody starts it.
use std::{
    ffi::OsString,
    fs::{OpenOptions, read, remove_file},
    io::{self, ErrorKind, Write},
    os::unix::{
        ffi::{OsStrExt, OsStringExt},
        fs::OpenOptionsExt,
    },
    path::{Path, PathBuf},
};

/// The file that says so, beside the socket.
pub fn home_file(socket: &Path) -> PathBuf {
    socket.with_extension("home")
}

/// Writes down where the state of the daemon lies that was just bound to a socket; nothing where that is `usual`.
///
/// # Errors
/// What the system says.
pub fn write_home(socket: &Path, state: &Path, usual: bool) -> io::Result<()> {
    let file = home_file(socket);
    match remove_file(&file) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ if usual => return Ok(()),
        _ => {}
    }
    // Made anew: what others put there is not written to.
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file)?;
    file.write_all(state.as_os_str().as_bytes())
}

/// The state of the last daemon on a socket, if it is another than a daemon would have that is started there, and is
/// there still.
pub fn home_elsewhere(socket: &Path) -> Option<PathBuf> {
    let state = PathBuf::from(OsString::from_vec(read(home_file(socket)).ok()?));
    state.is_dir().then_some(state)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_down_is_the_last_and_lasts_as_long_as_the_state() {
        let scratch = tempfile::TempDir::new().expect("a folder");
        let (socket, state) = (scratch.path().join("own.sock"), scratch.path().join("state"));
        let write = |state: &Path, usual| write_home(&socket, state, usual).expect("written");
        assert_eq!(home_elsewhere(&socket), None);
        write(&state, false);
        assert_eq!(home_elsewhere(&socket), None, "there is no such state");
        std::fs::create_dir(&state).expect("made");
        assert_eq!(home_elsewhere(&socket).as_deref(), Some(state.as_path()));
        write(scratch.path(), false);
        assert_eq!(home_elsewhere(&socket).as_deref(), Some(scratch.path()));
        write(&state, true);
        assert_eq!(home_elsewhere(&socket), None);
        write(&state, true);
        std::fs::write(home_file(&socket), "").expect("written");
        assert_eq!(home_elsewhere(&socket), None, "half of it was written");
    }
}
