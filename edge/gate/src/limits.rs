//! Every bound of the gate by name.
use std::time::Duration;

/// Bytes in the body of a call.
pub(crate) const BODY_BYTES_MAX: usize = 32 << 20;
/// Bytes of all bodies that are kept for calls in flight, together.
pub(crate) const BODIES_BYTES_MAX: usize = 512 << 20;
/// Bytes in a request's line and headers together.
pub(crate) const HEADER_BYTES_MAX: usize = 64 << 10;
/// Headers in a request.
pub(crate) const HEADERS_MAX: usize = 100;
/// Bytes of an answer in one document that are kept to read its usage; a longer one is settled as unknown.
pub(crate) const DOCUMENT_BYTES_MAX: usize = 16 << 20;
/// Bytes of one event of a stream that are kept to read its usage; a longer one is passed over.
pub(crate) const EVENT_BYTES_MAX: usize = 1 << 20;
/// Connections of callers at once.
pub(crate) const CONNECTIONS_MAX: usize = 1024;
/// Connections to the daemon at once; who finds none free waits for one.
pub(crate) const ASKS_MAX: usize = 256;
/// Settlements in one request to the daemon.
pub(crate) const SETTLED_MAX: usize = 256;
/// Bytes of an answer of the daemon's.
pub(crate) const REPLY_BYTES_MAX: usize = 1 << 20;
/// Bytes of what is written down of cut pools.
pub(crate) const RECORD_BYTES_MAX: u64 = 1 << 20;
/// Entries of each table of the config.
pub(crate) const ENTRIES_MAX: usize = 256;
/// Times that a call is sent again because the provider would not have it.
pub(crate) const ATTEMPTS_MAX: u32 = 20;

/// From a connection's first byte to the end of the headers.
pub(crate) const HEADER_TIME: Duration = Duration::from_secs(15);
/// From the end of the headers to the end of the body.
pub(crate) const BODY_TIME: Duration = Duration::from_secs(60);
/// Until a provider has accepted a connection.
pub(crate) const CONNECT_TIME: Duration = Duration::from_secs(10);
/// How long the daemon may take for what it answers at once.
pub(crate) const ANSWER_TIME: Duration = Duration::from_secs(10);
/// Beyond the time that an ask may wait in line, until the daemon counts as away.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to tell a daemon that is away what was used.
pub(crate) const RETELL_TIME: Duration = Duration::from_millis(500);
/// How long an outcome is told again before its lease is left to run out, which counts it as spent.
pub(crate) const RETELL_MAX: Duration = Duration::from_secs(120);
/// How long a provider that refuses without saying for how long is left alone.
pub(crate) const PAUSE_DEFAULT: Duration = Duration::from_secs(1);
/// How long a provider can have everybody wait.
pub(crate) const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// How long calls in flight may take after the stop.
pub(crate) const FINISH_TIME: Duration = Duration::from_secs(30);

/// Calls whose settlement may wait to be told at once.
pub(crate) const TILL_MAX: usize = 16_384;
