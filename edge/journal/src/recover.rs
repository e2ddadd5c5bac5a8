//! Recovery: what is on the disk, verified, and held against what was answered.
use crate::{
    Checkpoint, Error, Options, ballast,
    checkpoint::{self, Sealed},
    place::{self, Place},
    room,
    row::{self, Chain, GENESIS},
    schema,
    sidecar::{self, Found, Mark, Sidecar},
};
use rusqlite::Connection;

pub(crate) const HINT: &str = "nothing was changed: restore the state directory from a copy that is whole, or \
    end what still runs under the lost leases and accept the loss with `bursar serve --accept-loss`";

pub(crate) const GONE: &str = "the sidecar is gone";
pub(crate) const UNREADABLE: &str = "the sidecar cannot be read";
/// The longest file that SQLite takes for an empty database.
const EMPTY_BYTES: u64 = 1;

/// What a journal came back with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The newest whole state, to replay from its `next_seq` on; `None` to replay from 0.
    pub checkpoint: Option<Checkpoint>,
    /// First sequence that is not there.
    pub next_seq: u64,
    /// Batches to replay after the checkpoint.
    pub batches: u64,
    /// Starts so far, this one included; already durable. It rises even if the last batches were
    /// lost, so the epoch of this start is the larger of this and one more than the replayed one.
    pub epoch: u64,
    /// Whether the ballast is in place; if not, the disk is (nearly) full.
    pub ballast: bool,
    /// What an operator should read: a damaged checkpoint that was passed over, a torn sidecar.
    pub notes: Vec<String>,
}

/// A recovered journal, ready to be written to.
pub(crate) struct Ready {
    pub(crate) conn: Connection,
    pub(crate) sidecar: Sidecar,
    /// Where the rows end.
    pub(crate) end: Chain,
    pub(crate) recovered: Recovered,
}

/// Recovers what is in `place`. Until all is verified nothing on the disk is changed, except that a
/// missing database is made.
pub(crate) fn recover(place: &Place, options: &Options) -> Result<Ready, Error> {
    let found = sidecar::read(&place.answered)?;
    let mut notes = Vec::new();
    if place::length(&place.database) <= EMPTY_BYTES && place::length(&place.wal) > 0 {
        // SQLite would delete a log that has no database.
        short(place, options, 0, found.mark().answered, &mut notes)?;
    }
    let mut conn = schema::open_writer(place)?;
    let (base, mut passed_over) = newest(place)?;
    let start = after(base.as_ref());
    let (end, batches) = match schema::version(&conn, &place.database)? {
        0 => (start, 0),
        schema => {
            sound(&conn, place)?;
            begins(&conn, place, schema)?;
            let verified = row::verify(&conn, &place.database, start);
            // Without a checkpoint of another form the rows before it would not be missed.
            let form = passed_over.iter().position(|why| matches!(why, Error::Form { .. }));
            match (verified, form) {
                (Err(Error::Damaged { .. }), Some(at)) if base.is_none() => {
                    return Err(passed_over.swap_remove(at));
                }
                (verified, _) => verified?,
            }
        }
    };
    let gap = match (&base, schema::version(&conn, &place.database)?) {
        (Some(base), schema @ 1..) => gap(&conn, place, base, schema)?,
        _ => None,
    };
    let mark = prove(place, options, found, (gap.unwrap_or(end.next), start.next), &mut notes)?;
    passed_over.iter().try_for_each(|why| put_aside(place, why, &mut notes))?;
    schema::settle(&mut conn, place)?;
    if let (Some(_), Some(base)) = (gap, &base) {
        bridge(&mut conn, base).map_err(|e| Error::sqlite(&place.database, e))?;
    }
    room::clear(place)?;
    let mark = Mark { epoch: mark.epoch + 1, answered: mark.answered.min(end.next), turn: mark.turn };
    let sidecar = Sidecar::start(&place.answered, mark)?;
    place.sync()?;
    let ballast = match ballast::restore(place, options.ballast_bytes) {
        Err(Error::Full { .. }) => false,
        other => other.map(|()| true)?,
    };
    let checkpoint = base.map(|base| base.checkpoint);
    let recovered = Recovered { checkpoint, next_seq: end.next, batches, epoch: mark.epoch, ballast, notes };
    Ok(Ready { conn, sidecar, end, recovered })
}

/// Where the rows go on after a checkpoint, or begin without one.
fn after(base: Option<&Sealed>) -> Chain {
    base.map_or(Chain { next: 0, link: Some(GENESIS) }, |base| Chain {
        next: base.checkpoint.next_seq,
        link: Some(base.link),
    })
}

/// The newest checkpoint that is what was written, and what was passed over on the way.
fn newest(place: &Place) -> Result<(Option<Sealed>, Vec<Error>), Error> {
    let mut passed_over = Vec::new();
    for (next, path) in checkpoint::list(place)? {
        match checkpoint::load(next, &path) {
            Err(why @ (Error::Damaged { .. } | Error::Form { .. })) => passed_over.push(why),
            other => return Ok((Some(other?), passed_over)),
        }
    }
    Ok((None, passed_over))
}

/// Puts the newest checkpoint aside, which the host could not read, and falls back on the one before or on all
/// rows; returns that one with the batches after it.
pub(crate) fn fall_back(conn: &Connection, place: &Place) -> Result<(Option<Checkpoint>, u64), Error> {
    let mut all = checkpoint::list(place)?.into_iter();
    let unread = all.next();
    let base = all.find_map(|(next, path)| checkpoint::load(next, &path).ok());
    let start = after(base.as_ref());
    // Before anything is renamed: what cannot be replayed is left as it is.
    let (_, batches) = row::verify(conn, &place.database, start)?;
    if let Some((next, path)) = unread {
        let aside = place.dir.join(format!("unread-{next:020}"));
        std::fs::rename(&path, &aside).map_err(|e| Error::io(&path, e))?;
        place.sync()?;
    }
    Ok((base.map(|base| base.checkpoint), batches))
}

/// Renames a checkpoint that was passed over, so that it does not count as one to fall back on.
fn put_aside(place: &Place, why: &Error, notes: &mut Vec<String>) -> Result<(), Error> {
    let (path, aside) = match why {
        Error::Damaged { path, seq: Some(next), .. } => (path, format!("damaged-{next:020}")),
        Error::Form { path, seq, found, .. } => (path, format!("form-{found}-{seq:020}")),
        _ => return Ok(()),
    };
    let aside = place.dir.join(aside);
    std::fs::rename(path, &aside).map_err(|e| Error::io(path, e))?;
    notes.push(format!("{why}; put aside as {}", aside.display()));
    Ok(())
}

/// SQLite finds nothing wrong with its own pages.
fn sound(conn: &Connection, place: &Place) -> Result<(), Error> {
    let path = &place.database;
    let sqlite = |e| Error::sqlite(path, e);
    let wrong = schema::pages(conn).map_err(sqlite)?;
    let closed = conn.is_readonly(rusqlite::MAIN_DB).map_err(sqlite)?.then(|| schema::READ_ONLY.to_owned());
    match wrong.into_iter().next().or(closed) {
        None => Ok(()),
        Some(why) => Err(Error::Damaged { path: path.clone(), seq: None, why }),
    }
}

/// The oldest row is the one that retention left as such: nothing else took rows away before it.
fn begins(conn: &Connection, place: &Place, schema: i64) -> Result<(), Error> {
    let mut chain = row::beginning(conn, &place.database, schema)?;
    row::walk(conn, &place.database, 0, &mut |row| {
        chain.follow(&place.database, row)?;
        Ok(std::ops::ControlFlow::Break(()))
    })
}

/// Where the rows before a checkpoint end, if they do not go up to it: the state is whole without them, what
/// happened is not.
fn gap(conn: &Connection, place: &Place, base: &Sealed, schema: i64) -> Result<Option<u64>, Error> {
    let (path, next) = (&place.database, base.checkpoint.next_seq);
    if next == 0 {
        return Ok(None);
    }
    let last = match row::last_before(conn, next).map_err(|e| Error::sqlite(path, e))? {
        Some((_, next, crc)) => Chain { next, link: Some(crc) },
        // Retention took all of them.
        None => row::beginning(conn, path, schema)?,
    };
    let reaches = last.next == next && last.link == Some(base.link) || last.link.is_none();
    // Whatever the row says of itself: it does not end where the checkpoint does.
    Ok((!reaches).then_some(last.next.min(next - 1)))
}

/// The rows before a checkpoint that do not go up to it were copied aside: those that follow begin there.
fn bridge(conn: &mut Connection, base: &Sealed) -> rusqlite::Result<()> {
    let next = base.checkpoint.next_seq as i64;
    let tx = conn.transaction()?;
    tx.execute("DELETE FROM batch WHERE seq < ?1", [next])?;
    tx.execute("UPDATE kept SET first = ?1, link = ?2", [next, base.link.into()])?;
    tx.commit()
}

/// Holds the end of the rows that came back against what was answered, and against what a checkpoint `reached`.
fn prove(
    place: &Place,
    options: &Options,
    found: Found,
    (recovered, reached): (u64, u64),
    notes: &mut Vec<String>,
) -> Result<Mark, Error> {
    let why = match found {
        Found::Whole(mark, spoilt) => {
            if spoilt {
                notes.push(format!("{}: one of its two slots is torn", place.answered.display()));
            }
            let answered = mark.answered.max(reached);
            if answered > recovered {
                short(place, options, recovered, answered, notes)?;
            }
            return Ok(mark);
        }
        _ if recovered == 0 => return Ok(Mark::default()),
        Found::Absent => GONE,
        Found::Unreadable => UNREADABLE,
    };
    let path = place.answered.clone();
    match options.accept_loss {
        true => notes.push(format!("{}: {why}; accepted", path.display())),
        false => return Err(Error::Unproved { path, recovered, why, hint: HINT }),
    }
    Ok(Mark { answered: recovered, ..Mark::default() })
}

/// The same without a way to accept it: for whoever only copies.
pub(crate) fn proved(place: &Place, found: Found, recovered: u64) -> Result<(), Error> {
    prove(place, &Options::default(), found, (recovered, 0), &mut Vec::new()).map(drop)
}

/// Less came back than was answered: refuses, or keeps a copy of what there is and goes on.
fn short(
    place: &Place,
    options: &Options,
    recovered: u64,
    answered: u64,
    notes: &mut Vec<String>,
) -> Result<(), Error> {
    let path = place.database.clone();
    let error = Error::Truncated { path, recovered, answered, hint: HINT };
    if !options.accept_loss {
        return Err(error);
    }
    let aside = place.dir.join(format!("lost-{recovered:020}"));
    let io = |e| Error::io(&aside, e);
    std::fs::create_dir_all(&aside).map_err(io)?;
    for path in [&place.database, &place.wal].into_iter().filter(|path| path.exists()) {
        std::fs::copy(path, aside.join(path.file_name().unwrap_or_default())).map_err(io)?;
    }
    notes.push(format!("{error}; accepted, what there was is in {}", aside.display()));
    Ok(())
}
