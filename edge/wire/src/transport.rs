//! How a client reaches a daemon: over its unix socket, or by whatever else can be read and written.
use std::{
    fmt::Debug,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, BorrowedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    time::Duration,
};

/// A connection.
pub trait Stream: Read + Write + Send + Debug {
    /// Whether nothing has come, and the other end has not hung up, since the last answer.
    fn quiet(&mut self) -> bool;

    /// What has something to read once an answer comes.
    fn socket(&self) -> BorrowedFd<'_>;
}

/// A way to a daemon.
pub trait Reach: Debug + Send + Sync {
    /// Opens a connection, on which nothing is waited for longer than `patience`.
    ///
    /// # Errors
    /// What the system says.
    fn connect(&self, patience: Option<Duration>) -> io::Result<Box<dyn Stream>>;

    /// Where it leads, for people.
    fn place(&self) -> &Path;

    /// Header lines that every request has, each with its end.
    fn head(&self) -> &str;
}

/// The daemon of this machine.
#[derive(Clone, Debug)]
pub(crate) struct Local(pub(crate) PathBuf);

impl Reach for Local {
    fn connect(&self, patience: Option<Duration>) -> io::Result<Box<dyn Stream>> {
        let stream = UnixStream::connect(&self.0).map_err(|error| match error.kind() {
            io::ErrorKind::InvalidInput => {
                let bytes = self.0.as_os_str().len();
                io::Error::new(error.kind(), format!("a path of {bytes} bytes is too long for a socket"))
            }
            _ => error,
        })?;
        stream.set_read_timeout(patience)?;
        Ok(Box::new(stream))
    }

    fn place(&self) -> &Path {
        &self.0
    }

    fn head(&self) -> &str {
        "Host: bursar\r\n"
    }
}

impl Stream for UnixStream {
    fn quiet(&mut self) -> bool {
        let _ = self.set_nonblocking(true);
        let mut byte = [0];
        let idle = self.read(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        idle && self.set_nonblocking(false).is_ok()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.as_fd()
    }
}
