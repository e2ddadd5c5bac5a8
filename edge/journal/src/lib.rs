//! The journal: batches are appended, synced, read back and followed, on SQLite.
//!
//! A state directory holds
//!
//! | file | what it is for |
//! |---|---|
//! | `journal.sqlite` (and `-wal`, `-shm`) | one row per batch, each with a CRC-32C that also seals the row before it |
//! | `checkpoint-N` | whole states up to sequence N; the last two are kept |
//! | `answered` | how far answers were given, so that a journal that came back short is noticed |
//! | `ballast` | room that is given up when the disk is full, so that releases can still be written |
//! | `lock` | one daemon per directory |
//! | `damaged-N`, `form-F-N`, `unread-N` | checkpoints that were put aside: not what was written, of another form, not read by the host |
//! | `lost-N` | the rows as they were when an operator accepted that some are lost |
//!
//! and beside these what the daemon keeps there, as `instance`: eight hexadecimal digits that name its control groups,
//! with their CRC-32C.
//! A copy by [`backup`] has none of that.
//!
//! [`Journal`] is the one writer; [`Follower`] reads beside it; [`verify`] looks without touching; [`backup`]
//! copies the whole.
//! What was answered is never lost in silence: SQLite drops the rest of its write-ahead log at the
//! first flipped bit and says that all is well, so the state that comes back is held against
//! `answered`, and [`Error::Truncated`] tells what is missing.
//!
//! ```
//! use bursar_interface::{Batch, Command, Input, Principal};
//! use bursar_journal::{Journal, Options};
//!
//! # let dir = tempfile::tempdir()?;
//! let (mut journal, recovered) = Journal::open(&dir.path().join("state"), Options::default())?;
//! assert_eq!((recovered.next_seq, recovered.epoch), (0, 1));
//! let tick = Input { by: Principal::default(), body: Command::Tick };
//! let batch = Batch { inputs: vec![tick], ..Batch::default() };
//! journal.append(&batch, 0, "this boot")?;
//! journal.answered(batch.next_seq())?;
//! journal.replay(0, &mut |again| assert_eq!(again, batch))?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod anchor;
mod backup;
mod ballast;
mod checkpoint;
mod draft;
mod error;
mod follower;
mod form;
mod journal;
mod lock;
mod log;
mod place;
mod prune;
mod recover;
mod room;
mod row;
mod schema;
mod sidecar;
mod verify;

pub use backup::backup;
pub use checkpoint::Checkpoint;
pub use error::Error;
pub use follower::{Entry, Follower};
pub use journal::{Journal, Options};
pub use recover::Recovered;
pub use verify::{Report, verify};

/// The most bytes that one encoded batch may have.
pub const BATCH_BYTES_MAX: usize = 64 << 20;
/// The most bytes that the state in one checkpoint may have.
pub const CHECKPOINT_BYTES_MAX: usize = 1 << 30;
/// The most batches that one call of [`Follower::since`] returns.
pub const SINCE_BATCHES_MAX: usize = 1024;
/// Encoded bytes after which one call of [`Follower::since`] stops.
pub const SINCE_BYTES_MAX: usize = 8 << 20;
/// Old rows that one append takes away at most.
pub const PRUNE_ROWS_MAX: usize = 16;
/// The most problems that a [`Report`] lists.
pub const PROBLEMS_MAX: usize = 100;
