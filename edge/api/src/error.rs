//! What can go wrong with the socket itself.
use std::{io, path::PathBuf};

/// Why the front door could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody answers on the socket already.
    #[error("a daemon answers on {path} already; stop it, or choose another --socket")]
    Live {
        /// The socket.
        path: PathBuf,
    },
    /// Something that is no socket of ours stands in the way.
    #[error("{path} is in the way: {why}")]
    InTheWay {
        /// What stands there.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The folder would let others put their own socket in place of ours.
    #[error("folder {path} is not safe for a socket: {why}; use a folder of your own with mode 0700")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The path is empty, abstract, or has no folder.
    #[error("{path:?} is no path for a socket; give the path of a file in a folder of your own")]
    Path {
        /// As it was given.
        path: PathBuf,
    },
    /// Nobody could connect to it.
    #[error("{path}: a path of {bytes} bytes is too long for a socket; choose one of at most {most}")]
    Long {
        /// As it was given.
        path: PathBuf,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        most: usize,
    },
    /// The system refused.
    #[error("{path}: cannot {what}: {said}")]
    System {
        /// The socket or its folder.
        path: PathBuf,
        /// What was tried.
        what: &'static str,
        /// What the system said; no source besides, which would be told twice.
        said: io::Error,
    },
    /// There is nothing to show to those who come by TLS.
    #[error("{path}: {why}; write a certificate with those that vouch for it and its key, both as PEM")]
    Tls {
        /// The certificate or the key.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The listener could not be taken over.
    #[error("the listener cannot be served: {0}")]
    Listener(io::Error),
}
