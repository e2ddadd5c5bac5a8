//! The journal as an operator meets it: refused with what to do, looked at, kept as long as was said, copied
//! under load.
use crate::daemon::{Daemon, Told, program, told};
use bursar_journal::{Follower, backup, verify};
use std::{
    fs,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering},
    },
};
use tempfile::TempDir;

/// Those who ask while a copy is made.
const CLIENTS: usize = 8;

/// What makes a journal unfit: its name, what is done to a state directory, and what is said of it.
type Harm = (&'static str, fn(&Path), &'static str);

const HARMS: [Harm; 8] = [
    ("a flipped bit", flip, "damaged"),
    ("a cut database", cut, "damaged"),
    ("no sidecar", |state| fs::remove_file(state.join("answered")).expect("removed"), "the sidecar is gone"),
    ("lost rows", lose, "answers were given up to"),
    ("a newer schema", newer, "start the newer version"),
    ("no database", |state| fs::write(state.join("journal.sqlite"), "a diary".repeat(99)).expect("written"), "no SQLite database"),
    ("another's", open_to_all, "others may write to it"),
    ("a row of another form", reform, "only form"),
];

/// Somewhere in the last page, where a row is.
fn flip(state: &Path) {
    let file = fs::File::options().read(true).write(true).open(state.join("journal.sqlite")).expect("a file");
    let bytes = fs::read(state.join("journal.sqlite")).expect("a file");
    let at = bytes.windows(8).rposition(|window| window == b"best-fit").expect("who decides") as u64;
    file.write_all_at(b"c", at).expect("written");
}

fn cut(state: &Path) {
    let file = fs::File::options().write(true).open(state.join("journal.sqlite")).expect("a file");
    file.set_len(file.metadata().expect("a length").len() - 4096).expect("cut");
}

fn statement(state: &Path, sql: &str) {
    let done = Command::new("sqlite3").arg(state.join("journal.sqlite")).arg(sql).output().expect("sqlite3");
    assert!(done.status.success(), "{done:?}");
}

fn lose(state: &Path) {
    statement(state, "DELETE FROM batch WHERE seq = (SELECT max(seq) FROM batch)");
}
