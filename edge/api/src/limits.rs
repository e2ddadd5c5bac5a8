//! Every bound of the front door by name: sizes as constants, times and counts as [`Limits`].
use rustix::process::{Resource, getrlimit};
use std::time::Duration;

/// Bytes in a request's body.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Bytes in a request's line and headers together.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;
/// Headers in a request.
pub const HEADERS_MAX: usize = 64;
/// Levels of nesting in a request's JSON.
pub const DEPTH_MAX: usize = 32;
/// Members of one object or elements of one array in a request's JSON.
pub const ITEMS_MAX: usize = 64;
/// Bytes in one string of a request's JSON.
pub const STRING_BYTES_MAX: usize = 4 * 1024;
/// Claims of which it is known at once that they stay in line whoever of their askers leaves; of more the oldest is
/// forgotten, and is cancelled if its last asker leaves unheard.
pub const STAYING_MAX: usize = 4096;
/// Open files assumed where the system sets no limit.
const FILES_DEFAULT: u64 = 1024;
/// Connections at once at most, however many files may be open.
const CONNECTIONS_MAX: u64 = 16_384;

/// How many connections there may be, and how long each step of one may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub connections: usize,
    /// Connections of one user at once.
    pub per_uid: usize,
    /// Connections at once on which somebody waits to hear what is taken from a lease.
    pub watching: usize,
    /// From the first byte of a request to the end of its headers.
    pub header: Duration,
    /// From the end of the headers to the end of the body.
    pub body: Duration,
    /// Between requests, and before the first one.
    pub idle: Duration,
    /// How long a peer may leave an answer unread.
    pub stalled: Duration,
    /// The first answer after this long says that it is the last one of its connection.
    pub lifetime: Duration,
    /// How long requests in flight may take after the stop.
    pub finish: Duration,
    /// How long `attach` waits for the lease to be true.
    pub enforce: Duration,
    /// How long an asker with an idempotency key may stay away before its waiting claim is cancelled.
    pub rejoin: Duration,
    /// Between signs of life on a stream of events.
    pub heartbeat: Duration,
}

impl Limits {
    /// The defaults for a process that may have `files` files open: four fifths of them become
    /// connections, and three quarters of those may be one user's.
    pub fn for_files(files: u64) -> Limits {
        let connections = (files / 5 * 4).clamp(1, CONNECTIONS_MAX) as usize;
        Limits {
            connections,
            per_uid: (connections / 4 * 3).max(1),
            watching: connections / 4,
            header: Duration::from_secs(5),
            body: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            stalled: Duration::from_secs(30),
            lifetime: Duration::from_secs(3600),
            finish: Duration::from_secs(5),
            enforce: Duration::from_secs(10),
            rejoin: Duration::from_secs(5),
            heartbeat: Duration::from_secs(15),
        }
    }
}

impl Default for Limits {
    /// The defaults under this process's own limit of open files.
    fn default() -> Limits {
        Limits::for_files(getrlimit(Resource::Nofile).current.unwrap_or(FILES_DEFAULT))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn four_fifths_of_the_files_become_connections() {
        let limits = Limits::for_files(1024);
        assert_eq!((limits.connections, limits.per_uid), (816, 612));
        let tiny = Limits::for_files(0);
        assert_eq!((tiny.connections, tiny.per_uid), (1, 1));
        assert_eq!(Limits::for_files(u64::MAX).connections, CONNECTIONS_MAX as usize);
    }
}
