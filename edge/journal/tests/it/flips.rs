//! Every single bit of a small journal flipped, and every length that its files can be cut to: what comes
//! back is the whole history, or a refusal that names the file and says what to do.
//!
//! With pages of 512 bytes a few rows already make inner nodes and overflow chains, so every bit of those is
//! tried always. With SQLite's own 4096 bytes it is a spread-out sample, and every bit when `BURSAR_EVERY_BIT` is
//! set: the more bits, the same kinds of place.
use crate::{batch, copy, open, options, state};
use bursar_interface::{Batch, Command, Input, Principal, Time};
use bursar_journal::{Error, Follower, Journal};
use rusqlite::Connection;
use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};
use tempfile::TempDir;

/// SQLite's smallest page in bytes.
const SMALL: u32 = 512;
/// The page that real journals have.
const REAL: u32 = 4096;
const DATABASE: &str = "journal.sqlite";
const LOG: &str = "journal.sqlite-wal";
/// Made anew by each first opener.
const INDEX: &str = "journal.sqlite-shm";
const SIDECAR: &str = "answered";
const STATE: &str = "checkpoint-00000000000000000003";
/// Bits of one file that are tried when not every bit is.
const SAMPLE: usize = 1000;
/// The checkpoint of every journal here is up to this sequence.
const CHECKPOINT: u64 = 3;
/// Batches of every journal here.
const BATCHES: u64 = 5;
/// Batches that are written on after a recovery, so that what a flip left lying in wait is found.
const ON: u64 = 8;

/// A folder in memory where there is one: a hundred thousand recoveries need no disk.
fn scratch() -> TempDir {
    let memory = Path::new("/dev/shm");
    match memory.is_dir() {
        true => TempDir::new_in(memory).expect("a folder"),
        false => TempDir::new().expect("a folder"),
    }
}

/// A small journal's files, and what is in it.
struct Small {
    files: BTreeMap<String, Vec<u8>>,
    history: Vec<Batch>,
}

/// Where the rows are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rows {
    /// All in the write-ahead log, as a killed daemon leaves them.
    Log,
    /// All in the database, as one that ended in good order leaves them.
    Database,
    /// The first in the database, the last in the log.
    Both,
}

impl Small {
    fn make(page: u32, rows: Rows) -> Small {
        let scratch = scratch();
        let (live, dead) = (scratch.path().join("live"), scratch.path().join("dead"));
        paged(&live, page);
        let mut history = Vec::new();
        let mut journal = open(&live).0;
        for turn in 0..BATCHES {
            if rows == Rows::Both && turn == BATCHES - 1 {
                journal.close().expect("closed");
                journal = open(&live).0;
            }
            // One that does not fit a small page.
            let weight = if turn == 1 { 2 * SMALL as usize } else { 20 };
            let batch = weighty(journal.next_seq(), weight);
            journal.append(&batch, 7, "boot").expect("appended");
            journal.answered(batch.next_seq()).expect("answered");
            history.push(batch);
            if journal.next_seq() == CHECKPOINT {
                assert!(journal.checkpoint(CHECKPOINT, Time(CHECKPOINT), state("state")).expect("begun"));
                while journal.checkpointed().is_none() {
                    std::thread::yield_now();
                }
            }
        }
        match rows {
            Rows::Database => {
                journal.close().expect("closed");
                copy(&live, &dead);
            }
            Rows::Log | Rows::Both => copy(&live, &dead),
        }
        let files = contents(&dead);
        assert_eq!(files.get(LOG).is_some_and(|log| !log.is_empty()), rows != Rows::Database);
        Small { files, history }
    }

    /// Puts the files into an empty folder, one of them changed.
    fn lay(&self, dir: &Path, name: &str, changed: &[u8]) {
        let _ = fs::remove_file(dir.join(INDEX));
        for left in contents(dir).into_keys().filter(|left| !self.files.contains_key(left)) {
            fs::remove_file(dir.join(left)).expect("removed");
        }
        for (file, bytes) in &self.files {
            let bytes = if file == name { changed } else { bytes };
            let mut options = fs::OpenOptions::new();
            let laid = options.write(true).create(true).truncate(true).mode(0o600).open(dir.join(file));
            std::io::Write::write_all(&mut laid.expect("a file"), bytes).expect("written");
        }
    }

    /// Recovers what was laid out in `dir`; tells whether all of it came back, in words what is wrong
    /// otherwise.
    fn recover(&self, dir: &Path, name: &str, changed: &[u8]) -> Result<bool, String> {
        match Journal::open(dir, options()) {
            Ok((mut journal, recovered)) => {
                let from = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next_seq);
                self.whole(&journal, from, &self.history)?;
                if recovered.checkpoint.is_some_and(|checkpoint| checkpoint.blob != b"state") {
                    return Err("another state".into());
                }
                if name != DATABASE {
                    return Ok(true);
                }
                let later = write_on(&mut journal)?;
                drop(journal);
                let history = [&self.history[..], &later].concat();
                let (journal, _) =
                    Journal::open(dir, options()).map_err(|error| format!("written on, then: {error}"))?;
                self.whole(&journal, from, &history).map_err(|wrong| format!("written on, then {wrong}"))?;
                drop(journal);
                self.read(dir, &history)?;
                Ok(true)
            }
            Err(error) => {
                self.refusal(dir, &error)?;
                let now = contents(dir);
                let touched = self.files.iter().find(|(file, bytes)| {
                    let bytes = if *file == name { changed } else { &bytes[..] };
                    now.get(*file).map(Vec::as_slice) != Some(bytes)
                });
                match touched {
                    Some((file, _)) if file != "lock" => {
                        Err(format!("{file} was changed by a refusal: {error}"))
                    }
                    _ => Ok(false),
                }
            }
        }
    }

    /// Every batch from a sequence on is there, and is the one that was written.
    fn whole(&self, journal: &Journal, from: u64, history: &[Batch]) -> Result<(), String> {
        let mut seen = Vec::new();
        journal
            .replay(from, &mut |batch| seen.push(batch))
            .map_err(|error| format!("it opened, but cannot be replayed: {error}"))?;
        let right: Vec<&Batch> = history.iter().filter(|batch| batch.next_seq() > from).collect();
        match seen.iter().eq(right) && journal.next_seq() == history.last().map_or(0, Batch::next_seq) {
            true => Ok(()),
            false => Err(format!("another history of {} batches up to {}", seen.len(), journal.next_seq())),
        }
    }

    /// What is from before the checkpoint is whole as well, or refused when it is read.
    fn read(&self, dir: &Path, history: &[Batch]) -> Result<(), String> {
        let entries = Follower::open(dir).and_then(|follower| follower.since(0, 1000));
        match entries {
            Ok(entries) if entries.iter().map(|entry| &entry.batch).eq(history) => Ok(()),
            Ok(entries) => Err(format!("{} batches are read without a word", entries.len())),
            Err(error) => self.refusal(dir, &error),
        }
    }

    fn refusal(&self, dir: &Path, error: &Error) -> Result<(), String> {
        let text = error.to_string();
        let named = self.files.keys().any(|file| text.contains(&dir.join(file).display().to_string()));
        match named
            && ["restore the state directory", "start the newer version"].iter().any(|way| text.contains(way))
        {
            true => Ok(()),
            false => Err(format!("it does not say which file, or what to do: {text}")),
        }
    }
}

/// A journal of an odd page size, empty so far.
fn paged(dir: &Path, page: u32) {
    drop(open(dir));
    if page == REAL {
        return;
    }
    for file in contents(dir).into_keys() {
        fs::remove_file(dir.join(file)).expect("removed");
    }
    let database = dir.join(DATABASE);
    let conn = Connection::open(&database).expect("a database");
    conn.pragma_update(None, "page_size", page).expect("set");
    conn.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).expect("set");
    fs::set_permissions(database, fs::Permissions::from_mode(0o600)).expect("set");
}

fn weighty(first_seq: u64, bytes: usize) -> Batch {
    let body = Command::EnforceFailed { claim: Default::default(), message: "x".repeat(bytes) };
    Batch {
        first_seq,
        at: Time(first_seq),
        inputs: vec![Input { by: Principal::default(), body }],
        ..Batch::default()
    }
}

fn write_on(journal: &mut Journal) -> Result<Vec<Batch>, String> {
    (0..ON)
        .map(|turn| {
            // Large ones take pages, small ones fill holes.
            let next = journal.next_seq();
            let batch = if turn % 3 == 0 { weighty(next, 900) } else { batch(next, 1) };
            let written = journal.append(&batch, 7, "boot").and_then(|()| journal.answered(batch.next_seq()));
            written.map(|()| batch).map_err(|error| format!("it cannot be written on: {error}"))
        })
        .collect()
}

fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("a folder").flatten();
    let plain = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()));
    plain
        .map(|entry| {
            let name = entry.file_name().into_string().expect("a plain name");
            (name, fs::read(entry.path()).expect("a file"))
        })
        .filter(|(name, _)| name != INDEX)
        .collect()
}

/// Tries all of `cases` on all cores: each is a file's name and its changed bytes. Returns how many came
/// back whole, and how many were refused.
fn try_all(small: &Small, cases: usize, case: impl Fn(usize) -> (String, Vec<u8>) + Sync) -> (usize, usize) {
    let (next, whole) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let wrong = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| {
                    let scratch = scratch();
                    let (dir, mut wrong) = (private(scratch.path()), Vec::new());
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= cases {
                            return wrong;
                        }
                        let (name, changed) = case(number);
                        small.lay(&dir, &name, &changed);
                        match small.recover(&dir, &name, &changed) {
                            Ok(true) => drop(whole.fetch_add(1, Ordering::Relaxed)),
                            Ok(false) => {}
                            Err(why) => wrong.push((format!("{name}, case {number}"), why)),
                        }
                    }
                })
            })
            .collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no panic"))
            .collect::<Vec<(String, String)>>()
    });
    let kinds: BTreeMap<&str, &str> = wrong.iter().map(|(what, why)| (&why[..], &what[..])).collect();
    let some: Vec<_> = kinds.into_iter().take(20).collect();
    assert!(wrong.is_empty(), "{} of {cases}: {some:#?}", wrong.len());
    let whole = whole.into_inner();
    (whole, cases - whole)
}

fn private(scratch: &Path) -> PathBuf {
    let dir = scratch.join("state");
    fs::create_dir(&dir).expect("made");
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).expect("set");
    dir
}

/// Flips bits of some files: all of them, or a spread-out sample of [`SAMPLE`] a file.
fn flip(page: u32, rows: Rows, every: bool, files: &[&str]) {
    let small = Small::make(page, rows);
    for (name, bytes) in small.files.iter().filter(|(name, _)| files.contains(&&name[..])) {
        let bits = bytes.len() * 8;
        let all = every || bits <= SAMPLE;
        // A step that shares no factor with the number of bits meets each of them once.
        let step = (bits / 2 + 1..).find(|step| coprime(*step, bits)).unwrap_or(1);
        let cases = if all { bits } else { SAMPLE };
        let (whole, refused) = try_all(&small, cases, |number| {
            let bit = number * step * 7 % bits;
            let bit = if all { number } else { bit };
            let mut flipped = bytes.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            (name.clone(), flipped)
        });
        eprintln!(
            "{page} {rows:?} {name}: {cases} of {bits} bits, {whole} came back whole, {refused} refused"
        );
    }
}

fn coprime(a: usize, b: usize) -> bool {
    let (mut a, mut b) = (a, b);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a == 1
}

fn every_bit() -> bool {
    std::env::var_os("BURSAR_EVERY_BIT").is_some()
}

#[test]
fn every_bit_of_rows_in_the_log() {
    flip(SMALL, Rows::Log, true, &[LOG]);
}

#[test]
fn every_bit_of_rows_in_the_database() {
    flip(SMALL, Rows::Database, true, &[DATABASE]);
}

#[test]
fn every_bit_of_a_database_with_later_rows_in_the_log() {
    flip(SMALL, Rows::Both, true, &[DATABASE]);
}

#[test]
fn every_bit_of_what_lies_beside_the_database() {
    flip(SMALL, Rows::Both, true, &[SIDECAR, STATE]);
}

#[test]
fn bits_of_pages_of_the_real_size() {
    for rows in [Rows::Log, Rows::Database, Rows::Both] {
        flip(REAL, rows, every_bit(), &[DATABASE, LOG]);
    }
}

#[test]
fn every_length_that_a_file_can_be_cut_to() {
    for rows in [Rows::Log, Rows::Database, Rows::Both] {
        let small = Small::make(SMALL, rows);
        for (name, bytes) in small.files.iter().filter(|(name, _)| *name != "lock") {
            let (whole, refused) =
                try_all(&small, bytes.len(), |length| (name.clone(), bytes[..length].to_vec()));
            eprintln!("{rows:?} {name}: cut to {} lengths, {whole} whole, {refused} refused", bytes.len());
        }
    }
}
