//! The journal's writer: one batch is one row, one transaction and one sync.
use crate::{
    BATCH_BYTES_MAX, CHECKPOINT_BYTES_MAX, Checkpoint, Error, Recovered,
    anchor::Anchor,
    ballast,
    checkpoint::{self, Begun},
    draft::{Draft, Drafted},
    form,
    lock::Lock,
    log::Log,
    place::Place,
    prune,
    recover::{self, Ready},
    room,
    row::{self, Chain, Row},
    schema,
    sidecar::Sidecar,
};
use bursar_interface::{Batch, Time};
use rusqlite::Connection;
use std::{io, ops::ControlFlow, path::Path, thread::JoinHandle};

/// How a journal is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Batches kept for reading beyond those that recovery needs.
    pub retain_batches: u64,
    /// Encoded bytes of such batches.
    pub retain_bytes: u64,
    /// How much older than the newest batch they may be, in milliseconds of wall time.
    pub retain_ms: u64,
    /// Size of the ballast in bytes; 0 for none.
    pub ballast_bytes: u64,
    /// Size of the write-ahead log in bytes that it is given at the start where there is plenty of room; 0 for none.
    pub log_bytes: u64,
    /// An operator said that what is missing is to be forgotten: what there is gets copied aside,
    /// and the journal goes on from there.
    pub accept_loss: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            retain_batches: 100_000,
            retain_bytes: 256 << 20,
            retain_ms: 30 * 86_400_000,
            ballast_bytes: 16 << 20,
            // What SQLite makes of it before it begins anew, after a thousand pages, is a little less.
            log_bytes: 4 << 20,
            accept_loss: false,
        }
    }
}

/// The one writer of a state directory.
#[derive(Debug)]
pub struct Journal {
    place: Place,
    options: Options,
    conn: Connection,
    log: Log,
    sidecar: Sidecar,
    anchor: Anchor,
    end: Chain,
    /// The disk failed: nothing is known, so nothing is taken any more.
    broken: bool,
    /// Encodings of the last batches; kept for their room.
    blobs: Vec<Vec<u8>>,
    /// Rows before this sequence may go.
    cutoff: Option<u64>,
    /// Batches after the newest durable checkpoint.
    since_checkpoint: u64,
    writing: Option<Writing>,
    written: Option<Result<u64, Error>>,
    // Last, so that it is let go of after all else is closed.
    _lock: Lock,
}

/// A checkpoint on its way to the disk.
#[derive(Debug)]
struct Writing {
    next_seq: u64,
    /// Batches that it makes unnecessary.
    covers: u64,
    /// Returns the sequence before which rows may go.
    thread: JoinHandle<Result<u64, Error>>,
}

impl Journal {
    /// Opens the journal in `dir`, which is made (0700) if it is missing, and recovers it.
    ///
    /// On a full disk the ballast is given up to open it.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Unfit`], [`Error::Newer`] and [`Error::Foreign`] before anything
    /// is read; [`Error::Truncated`], [`Error::Unproved`] and [`Error::Damaged`] when what came back
    /// cannot be trusted: then nothing may be granted, nothing on the disk was changed, and a
    /// [`crate::Follower`] can still read it.
    pub fn open(dir: &Path, options: Options) -> Result<(Journal, Recovered), Error> {
        let place = Place::claim(dir)?;
        let lock = Lock::take(&place)?;
        let recover = || recover::recover(&place, &options).map_err(|error| room::wanted(&place, error));
        let ready = match recover() {
            Err(Error::Full { .. }) if ballast::free(&place)? => recover(),
            other => other,
        };
        let Ready { conn, sidecar, end, recovered } = ready?;
        let log = Log::open(&place, options.log_bytes)?;
        schema::leave_syncing(&conn, &place)?;
        let anchor = Anchor::drop_at(&place)?;
        let journal = Journal {
            place,
            options,
            conn,
            log,
            sidecar,
            anchor,
            end,
            broken: false,
            blobs: Vec::new(),
            cutoff: None,
            since_checkpoint: recovered.batches,
            writing: None,
            written: None,
            _lock: lock,
        };
        Ok((journal, recovered))
    }

    /// First sequence that is not there yet.
    pub fn next_seq(&self) -> u64 {
        self.end.next
    }

    /// Batches after the newest durable checkpoint: what a restart now would have to replay.
    pub fn since_checkpoint(&self) -> u64 {
        self.since_checkpoint
    }

    /// Whether a checkpoint is under way: until it is written, what it covers counts as well.
    pub fn is_checkpointing(&self) -> bool {
        self.writing.is_some()
    }

    /// Appends a batch and returns when it is on the disk: [`Journal::write`], then [`Journal::sync`].
    ///
    /// # Errors
    /// As for those.
    pub fn append(&mut self, batch: &Batch, wall_ms: i64, boot: &str) -> Result<(), Error> {
        self.write(&[batch], wall_ms, boot)?;
        self.sync()
    }

    /// Writes batches to the log, in their order, all of them or none: one transaction. They outlive the end of this
    /// process from then on, and the machine's from the next [`Journal::sync`] on. `wall_ms` (milliseconds since 1970)
    /// is for display; `boot` is the machine's boot id.
    ///
    /// # Errors
    /// [`Error::Full`]: none of them is there, the journal goes on. [`Error::Broken`]: whether they
    /// are there is unknown; every later call fails as well, so stop and recover.
    /// [`Error::OutOfOrder`] for a batch without inputs, or one that begins before
    /// [`Journal::next_seq`]; later is fine, so batches in which nothing was done may be left out.
    pub fn write(&mut self, batches: &[&Batch], wall_ms: i64, boot: &str) -> Result<(), Error> {
        self.poll(false);
        self.blobs.resize_with(self.blobs.len().max(batches.len()), Vec::new);
        let mut end = self.end;
        for (batch, blob) in batches.iter().zip(&mut self.blobs) {
            follows(&self.place, self.broken, end.next, batch)?;
            *blob = form::encode(batch, std::mem::take(blob));
            if blob.len() > BATCH_BYTES_MAX {
                let path = self.place.database.clone();
                return Err(Error::TooLarge { path, bytes: blob.len(), most: BATCH_BYTES_MAX });
            }
            end.next = batch.next_seq();
        }
        let rows = batches.iter().zip(&self.blobs).scan(
            self.end.link.unwrap_or(row::GENESIS),
            |link, (batch, blob)| {
                let row = Row::seal(batch, blob, wall_ms, boot, *link);
                *link = row.crc;
                Some(row)
            },
        );
        let rows: Vec<Row<'_>> = rows.collect();
        self.cutoff = commit(&self.conn, &rows, self.cutoff).map_err(|e| {
            let error = room::wanted(&self.place, Error::sqlite(&self.place.database, e));
            self.broken = !matches!(error, Error::Full { .. });
            error
        })?;
        self.log.wrote();
        if let Some(last) = rows.last() {
            self.end = Chain { next: last.next, link: Some(last.crc) };
        }
        self.since_checkpoint += rows.len() as u64;
        Ok(())
    }

    /// Returns when all that was written is on the disk, where the next start will find it. Before that, nobody may be
    /// promised anything by it: see [`Journal::answered`], which counts only what is on the disk.
    ///
    /// # Errors
    /// [`Error::Broken`]: whether it is there is unknown; every later call fails as well, so stop and recover.
    /// [`Error::Gone`]: the same, and the next start would not find it.
    pub fn sync(&mut self) -> Result<(), Error> {
        let kept = self.log.sync().and_then(|()| self.anchor.holds(&self.place));
        kept.inspect_err(|_| self.broken = true)
    }

    /// Everything before `next_seq` is about to be answered. To be called after the append and
    /// before the answers; not synced, as it has to survive a crash of the process only.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] if that is not there; [`Error::Full`] and [`Error::Io`] when it could
    /// not be written: then nothing may be answered.
    pub fn answered(&mut self, next_seq: u64) -> Result<(), Error> {
        match next_seq > self.end.next {
            true => Err(self.out_of_order(next_seq, next_seq)),
            false => self.sidecar.answered(next_seq),
        }
    }

    /// The newest checkpoint is whole, but its state cannot be read: puts it aside as `unread-N` and returns the
    /// one before it, or `None` to replay from 0.
    ///
    /// # Errors
    /// [`Error::Damaged`] and [`Error::Form`] if the rows after that are not all there, or are not read here: then
    /// nothing was changed.
    pub fn fall_back(&mut self) -> Result<Option<Checkpoint>, Error> {
        let (checkpoint, batches) = recover::fall_back(&self.conn, &self.place)?;
        self.since_checkpoint = batches;
        Ok(checkpoint)
    }

    /// Reads back, in order, every batch that holds sequence `from` or a later one.
    ///
    /// # Errors
    /// [`Error::Damaged`] at a row that is not what was written.
    pub fn replay(&self, from: u64, visit: &mut dyn FnMut(Batch)) -> Result<(), Error> {
        row::replay(&self.conn, &self.place.database, from, &mut |_, batch| {
            visit(batch);
            ControlFlow::Continue(())
        })
    }

    /// Begins to write the state up to `next_seq` (engine time `at`) down, as `state` tells it, beside the
    /// appends and without holding them up for longer than that takes; see [`Journal::checkpointed`] for the
    /// outcome. Once it is durable, later appends take rows away that are needed by neither the last two
    /// checkpoints nor [`Options`], a few at a time.
    ///
    /// `false` when the one before is still being written: nothing was begun.
    ///
    /// # Errors
    /// [`Error::OutOfOrder`] if `next_seq` is not the end of a batch that is there;
    /// [`Error::TooLarge`]; [`Error::Io`] if there is no memory for it, or `state` fails.
    pub fn checkpoint(
        &mut self,
        next_seq: u64,
        at: Time,
        state: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> Result<bool, Error> {
        if !self.poll(false) {
            return Ok(false);
        }
        let link = self.link_at(next_seq)?;
        let state = match Draft::of(state).map_err(|e| Error::io(&self.place.dir, e))? {
            Drafted::Whole(draft) => draft,
            Drafted::TooLarge(bytes) => {
                let path = self.place.dir.clone();
                return Err(Error::TooLarge { path, bytes, most: CHECKPOINT_BYTES_MAX });
            }
        };
        // A checkpoint of more than is on the disk could outlive it.
        self.log.sync().inspect_err(|_| self.broken = true)?;
        let begun = Begun { next_seq, at, link, state };
        let (place, options) = (self.place.clone(), self.options.clone());
        let thread = std::thread::Builder::new().name("checkpoint".into()).spawn(move || {
            let needed = checkpoint::store(&place, begun)?;
            prune::cutoff(&place, needed, &options)
        });
        let thread = thread.map_err(|e| Error::io(&self.place.dir, e))?;
        let covers = if next_seq == self.end.next { self.since_checkpoint } else { 0 };
        self.writing = Some(Writing { next_seq, covers, thread });
        Ok(true)
    }

    /// The outcome of the last checkpoint, once: the sequence up to which it is durable, or why it
    /// is not (the journal goes on from the one before).
    pub fn checkpointed(&mut self) -> Option<Result<u64, Error>> {
        self.poll(false);
        self.written.take()
    }

    /// Waits for the checkpoint under way and folds the log into the database, so that
    /// `journal.sqlite` alone is whole. Dropping does the same and keeps quiet about errors. Where the ballast was
    /// given up, the log stays as it is: its room may be the last that there is, and the next start needs it.
    ///
    /// # Errors
    /// Those of [`Journal::checkpointed`] and [`Journal::append`]; nothing is lost by them.
    pub fn close(mut self) -> Result<(), Error> {
        self.poll(true);
        if self.options.ballast_bytes > 0 && !ballast::is_there(&self.place) {
            schema::keep_log(&self.conn, &self.place)?;
            return self.written.take().transpose().map(drop);
        }
        let fold = self.conn.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
        fold.map_err(|e| Error::sqlite(&self.place.database, e))?;
        self.written.take().transpose().map(drop)
    }

    /// Makes what room there is for writing down what gives back: gives the ballast up, and folds the log into
    /// the database, so that the log is written from its beginning again.
    ///
    /// # Errors
    /// [`Error::Io`] if the ballast cannot be taken away.
    pub fn make_room(&mut self) -> Result<(), Error> {
        ballast::free(&self.place)?;
        // As at any other time: what cannot be folded stays in the log, and nothing is lost.
        let _ = self.conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        Ok(())
    }

    /// Puts the ballast back.
    ///
    /// # Errors
    /// [`Error::Full`] while the disk has less than twice its size to spare.
    pub fn restore_ballast(&mut self) -> Result<(), Error> {
        ballast::restore(&self.place, self.options.ballast_bytes)
    }

    fn out_of_order(&self, first: u64, next: u64) -> Error {
        Error::OutOfOrder { path: self.place.database.clone(), end: self.end.next, first, next }
    }

    /// Checksum of the last row of a state up to `next_seq`.
    fn link_at(&self, next_seq: u64) -> Result<u32, Error> {
        if next_seq == self.end.next {
            return Ok(self.end.link.unwrap_or(row::GENESIS));
        }
        let last =
            row::last_before(&self.conn, next_seq).map_err(|e| Error::sqlite(&self.place.database, e))?;
        match last {
            Some((_, next, crc)) if next == next_seq => Ok(crc),
            _ => Err(self.out_of_order(next_seq, next_seq)),
        }
    }

    /// Takes in the outcome of the checkpoint under way, if it is over or is to be waited for; tells
    /// whether none is under way any more.
    fn poll(&mut self, wait: bool) -> bool {
        match self.writing.take() {
            Some(writing) if !wait && !writing.thread.is_finished() => self.writing = Some(writing),
            Some(writing) => {
                let outcome = writing.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                self.written = Some(outcome.map(|cutoff| {
                    self.cutoff = (cutoff > 0).then_some(cutoff);
                    self.since_checkpoint -= writing.covers;
                    writing.next_seq
                }));
            }
            None => {}
        }
        self.writing.is_none()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // The lock must not be let go of while a checkpoint is still being written.
        self.poll(true);
    }
}

/// Whether a batch can be the next one.
fn follows(place: &Place, broken: bool, end: u64, batch: &Batch) -> Result<(), Error> {
    let path = place.database.clone();
    if broken {
        let why = "it failed before; recover from what is on it".into();
        return Err(Error::Broken { path, why, code: 0 });
    }
    let fits = batch.first_seq >= end && !batch.inputs.is_empty() && batch.next_seq() <= i64::MAX as u64;
    let error = || Error::OutOfOrder { path, end, first: batch.first_seq, next: batch.next_seq() };
    fits.then_some(()).ok_or_else(error)
}

/// Writes the rows, and takes a few of the rows before `cutoff` away in the same transaction; returns
/// the cutoff if there may be more.
fn commit(conn: &Connection, rows: &[Row<'_>], cutoff: Option<u64>) -> rusqlite::Result<Option<u64>> {
    if let ([row], None) = (rows, cutoff) {
        // A transaction by itself.
        return row.insert(conn).map(|_| None);
    }
    let more = together(conn, || {
        rows.iter().try_for_each(|row| row.insert(conn).map(drop))?;
        cutoff.map_or(Ok(false), |cutoff| prune::some(conn, cutoff))
    })?;
    Ok(cutoff.filter(|_| more))
}

/// Does all of it or nothing. What begins and ends that is kept ready: to read it anew takes as long as to write a row.
fn together<T>(conn: &Connection, act: impl FnOnce() -> rusqlite::Result<T>) -> rusqlite::Result<T> {
    let say = |words| conn.prepare_cached(words)?.execute([]).map(drop);
    say("BEGIN")?;
    let done = act().and_then(|done| say("COMMIT").map(|()| done));
    if done.is_err() && !conn.is_autocommit() {
        // Where that fails as well, the next one fails for it.
        let _ = say("ROLLBACK");
    }
    done
}
