//! Every bound of what agents see, by name.
use std::time::Duration;

/// Bytes of an answer's document, as data and as text together: with what the protocol puts around them they
/// stay below 300 tokens of 3.5 bytes.
pub const ANSWER_BYTES_MAX: usize = 940;
/// Bytes of one argument.
pub const ARGUMENT_BYTES_MAX: usize = 512;
/// Elements of one argument that is a list.
pub const LIST_MAX: usize = 16;
/// Bytes of a name that is told: a resource's, a pool's, a node's.
pub const NAME_BYTES_MAX: usize = 40;
/// How long one call waits before it says how things stand: below the minute that clients wait.
pub const HOLD_MAX: Duration = Duration::from_secs(20);
/// Between two signs of progress.
pub const PROGRESS_EVERY: Duration = Duration::from_secs(2);
/// How long a sign of progress waits for the place in line that it tells.
pub const PLACE_TIME: Duration = Duration::from_millis(500);
/// How long a daemon may take for an answer, unless a claim is waited for.
pub const ANSWER_MAX: Duration = Duration::from_secs(30);
/// Asks of one caller in a minute that came to no grant, and so many at once. What is granted costs nothing:
/// who gets what it asks for is not haggling.
pub const REFUSALS_PER_MINUTE: u32 = 30;
/// Callers whose asks are counted at once.
pub const CALLERS_MAX: usize = 4096;
/// How long a lease lasts without renewal when the agent does not say.
pub const TTL: &str = "10m";
/// Claims of the past that analytics look at.
pub const LOOKED_AT_MAX: usize = 10_000;
/// Bytes of one request.
pub const REQUEST_BYTES_MAX: usize = 256 * 1024;
/// Bytes of one answer of the daemon.
pub const REPLY_BYTES_MAX: usize = 256 << 20;
