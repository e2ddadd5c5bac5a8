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

    /// Whether some of an answer is there before anything is read.
    fn has_some(&self) -> bool {
        false
    }
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

/// A connection of which something was read already.
#[derive(Debug)]
pub(crate) struct Resumed {
    pub(crate) stream: UnixStream,
    pub(crate) received: io::Cursor<Vec<u8>>,
}

impl Read for Resumed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.has_some() { self.received.read(buffer) } else { self.stream.read(buffer) }
    }
}

impl Write for Resumed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Stream for Resumed {
    fn quiet(&mut self) -> bool {
        !self.has_some() && self.stream.quiet()
    }

    fn socket(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }

    fn has_some(&self) -> bool {
        self.received.position() < self.received.get_ref().len() as u64
    }
}
