//! A whole copy of a journal, beside a running daemon: to be put away, or to be served from.
use crate::{
    Error, Report, checkpoint,
    place::{self, Place},
    recover, room, schema,
    sidecar::{self, Mark, Sidecar},
    verify,
};
use rusqlite::types::{ToSqlOutput, ValueRef};
use std::path::Path;

/// Starts that a copy is ahead of its original: so its fences rise above all that the original gives out
/// until it is replaced by the copy.
const EPOCHS_AHEAD: u64 = 4096;

/// How often a copy is begun at most: a daemon beside it takes checkpoints away, and rows that only they needed.
const TRIES_MAX: u32 = 5;

/// Copies the journal in `from` to `to`, which must not be there or be empty, and verifies the copy. What
/// is committed while it runs may or may not be in it.
///
/// # Errors
/// [`Error::Unfit`] when `to` is in use; [`Error::Truncated`] and [`Error::Unproved`] for a journal that is refused
/// itself: a copy would hide that; [`Error::Damaged`] when what was copied is not sound;
/// [`Error::Full`] and [`Error::Io`].
pub fn backup(from: &Path, to: &Path) -> Result<Report, Error> {
    let source = Place::of(from);
    drop(schema::open_reader(&source)?);
    let target = empty(to)?;
    let mut report = Report::default();
    for _ in 0..TRIES_MAX {
        report = copy(&source, &target).inspect_err(|_| {
            // Half a copy would stand in the way of the next one. What went wrong says more than what is left of it.
            let _ = clear(&target);
        })?;
        if report.sound() {
            return Ok(report);
        }
        clear(&target)?;
    }
    let why = report.problems.first().cloned().unwrap_or_default();
    Err(Error::Damaged { path: from.into(), seq: None, why })
}

/// One try: checkpoints first, then the rows, which are therefore as new at least.
fn copy(source: &Place, target: &Place) -> Result<Report, Error> {
    let found = sidecar::read(&source.answered)?;
    let checkpoints = checkpoint::list(source)?;
    for (next, path) in checkpoints {
        copy_file(&path, target, &format!("{}{next:020}", checkpoint::PREFIX))?;
    }
    let (conn, _) = schema::open_reader(source)?;
    // SQLite writes into a file that is there if it is empty: this one has the right mode.
    drop(place::open_file(&target.database)?);
    // To the byte, whether or not these are UTF-8.
    let into = ToSqlOutput::Borrowed(ValueRef::Text(target.database.as_os_str().as_encoded_bytes()));
    conn.execute("VACUUM INTO ?1", [into])
        .map_err(|e| room::wanted(target, Error::sqlite(&target.database, e)))?;
    place::open_file(&target.database)?.sync_all().map_err(|e| Error::io(&target.database, e))?;
    let next = verify(&target.dir)?.next_seq;
    recover::proved(source, found, next)?;
    let mark = Mark { turn: 0, answered: next, epoch: found.mark().epoch + EPOCHS_AHEAD };
    Sidecar::start(&target.answered, mark)?;
    target.sync()?;
    verify(&target.dir)
}

/// Takes away what a try has copied.
fn clear(target: &Place) -> Result<(), Error> {
    for (_, path) in checkpoint::list(target)? {
        place::remove_file(&path)?;
    }
    let [shm, undo] = ["shm", "journal"].map(|end| target.dir.join(format!("journal.sqlite-{end}")));
    [&target.database, &target.wal, &shm, &undo, &target.answered]
        .into_iter()
        .try_for_each(|path| place::remove_file(path).map(drop))
}

/// The place of a copy: a directory with nothing in it.
fn empty(to: &Path) -> Result<Place, Error> {
    let target = Place::claim(to)?;
    let mut entries = std::fs::read_dir(to).map_err(|e| Error::io(to, e))?;
    match entries.next() {
        None => Ok(target),
        Some(_) => Err(Error::Unfit {
            path: to.into(),
            why: "something is in it already".into(),
            right: "a directory that is empty or not there".into(),
        }),
    }
}

fn copy_file(path: &Path, target: &Place, name: &str) -> Result<(), Error> {
    let to = target.dir.join(name);
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        // The daemon beside us took it away for a newer one.
        Err(gone) if gone.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io(path, error)),
    };
    let file = place::open_file(&to)?;
    let written = std::io::Write::write_all(&mut &file, &bytes).and_then(|()| file.sync_all());
    written.map_err(|e| Error::io(&to, e))
}
