//! State directories that must not be used: each refused by name, with what would be right.
use crate::{fill, open, options};
use bursar_journal::{Error, Follower, Journal, verify};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use std::{fs, os::unix::fs::PermissionsExt, path::Path};
use tempfile::tempdir;

fn refused(dir: &Path) -> Error {
    Journal::open(dir, options()).expect_err("refused")
}

fn set_version(dir: &Path, version: i64) {
    let conn = rusqlite::Connection::open(dir.join("journal.sqlite")).expect("a database");
    conn.pragma_update(None, "user_version", version).expect("set");
}

#[test]
fn one_daemon_per_directory() {
    let dir = tempdir().expect("a folder");
    let (journal, _) = open(dir.path());
    match refused(dir.path()) {
        error @ Error::Locked { pid: Some(_), .. } => {
            assert!(error.to_string().contains("another state directory"))
        }
        other => panic!("{other}"),
    }
    drop(journal);
    open(dir.path());
}

#[test]
fn the_lock_is_not_tidied_away() {
    let dir = tempdir().expect("a folder");
    let (journal, _) = open(dir.path());
    fs::remove_file(dir.path().join("lock")).expect("removed");
    assert!(matches!(refused(dir.path()), Error::Locked { .. }));
    assert!(!dir.path().join("lock").exists(), "who comes second changes nothing");
    drop(journal);
    open(dir.path());
}

#[test]
fn nothing_is_promised_that_the_next_start_would_not_find() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 5] = [
        ("removed", |state| fs::remove_dir_all(state).expect("removed")),
        ("moved", |state| fs::rename(state, state.with_extension("moved")).expect("moved")),
        ("replaced", |state| {
            fs::rename(state, state.with_extension("old")).expect("moved");
            crate::copy(&state.with_extension("old"), state);
        }),
        ("without its database", |state| fs::remove_file(state.join("journal.sqlite")).expect("removed")),
        ("without its log", |state| fs::remove_file(state.join("journal.sqlite-wal")).expect("removed")),
    ];
    for (name, harm) in harms {
        let dir = tempdir().expect("a folder");
        let state = dir.path().join("state");
        let (mut journal, _) = open(&state);
        fill(&mut journal, 3);
        harm(&state);
        let refused = journal.append(&crate::batch(3, 1), 7, "boot").expect_err(name);
        assert!(matches!(refused, Error::Gone { .. }), "{name}: {refused}");
        assert!(refused.to_string().contains("start again"), "{refused}");
        assert!(journal.append(&crate::batch(3, 1), 7, "boot").is_err(), "{name}: and it stays so");
    }
}

#[test]
fn what_is_no_directory_is_told_once() {
    let dir = tempdir().expect("a folder");
    let (file, link) = (dir.path().join("file"), dir.path().join("link"));
    fs::write(&file, "").expect("written");
    std::os::unix::fs::symlink("nowhere", &link).expect("a link");
    for path in [&file, &link] {
        assert!(refused(path).to_string().contains("is no directory; right would be"), "{}", path.display());
    }
    let error = with_sources(&refused(&file.join("below")));
    assert_eq!(error.matches("os error").count(), 1, "{error}");
}

/// An error with all its sources, as it is told.
fn with_sources(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn a_journal_is_looked_at_where_nothing_can_be_written() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can mount");
        return;
    }
    let dir = tempdir().expect("a folder");
    let (state, still) = (dir.path().join("state"), dir.path().join("still? 100%"));
    let (mut journal, _) = open(&state);
    fill(&mut journal, 4);
    journal.close().expect("closed");
    fs::create_dir(&still).expect("made");
    let mount = |args: &[&str]| {
        let mut command = std::process::Command::new("mount");
        command.args(args).arg(&still).status().is_ok_and(|status| status.success())
    };
    if !mount(&["--bind", &state.display().to_string()]) || !mount(&["-o", "remount,ro,bind"]) {
        eprintln!("skipped: nothing can be mounted here");
        return;
    }
    let looked = verify(&still);
    let copied = bursar_journal::backup(&still, &dir.path().join("copy"));
    let _ = std::process::Command::new("umount").arg(&still).status();
    assert!(looked.as_ref().is_ok_and(|report| report.sound() && report.next_seq == 4), "{looked:?}");
    assert!(copied.as_ref().is_ok_and(|report| report.next_seq == 4), "{copied:?}");
}

#[test]
fn a_newer_journal_is_left_alone() {
    let dir = tempdir().expect("a folder");
    drop(open(dir.path()));
    set_version(dir.path(), 99);
    let error = refused(dir.path());
    assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
    assert!(error.to_string().contains("newer version"));
    assert!(matches!(Follower::open(dir.path()), Err(Error::Newer { .. })));
    assert!(verify(dir.path()).is_err());
}

#[test]
fn what_is_no_journal_is_left_alone() {
    let dir = tempdir().expect("a folder");
    let database = dir.path().join("journal.sqlite");
    fs::write(&database, "a diary, begun in the spring of the year, of some length").expect("written");
    fs::set_permissions(&database, fs::Permissions::from_mode(0o600)).expect("set");
    assert!(matches!(refused(dir.path()), Error::Foreign { .. }));
    assert!(fs::read_to_string(&database).expect("still there").starts_with("a diary"));
    assert!(Follower::open(dir.path()).is_err());
}

#[test]
fn places_that_others_can_write_to_are_refused() {
    let dir = tempdir().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).expect("set");
    let error = refused(dir.path());
    assert!(matches!(error, Error::Unfit { .. }) && error.to_string().contains("0700"), "{error}");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("written");
    assert!(matches!(refused(&file), Error::Unfit { .. } | Error::Io { .. }));
    // Not even root can make a folder there.
    assert!(matches!(refused(Path::new("/proc/bursar-state")), Error::Io { .. }));
}

#[test]
fn a_reader_reads_while_the_writer_writes() {
    let dir = tempdir().expect("a folder");
    assert!(matches!(Follower::open(dir.path()), Err(Error::Io { .. })));
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 5);
    let follower = Follower::open(dir.path()).expect("a reader");
    assert_eq!(follower.since(0, 3).expect("rows").len(), 3);
    fill(&mut journal, 9);
    let rest = follower.since(3, 100).expect("rows");
    assert_eq!(rest.iter().map(|entry| entry.batch.first_seq).collect::<Vec<_>>(), [3, 4, 5, 6, 7, 8]);
    assert!(follower.since(9, 0).expect("none").is_empty());
}

#[test]
fn who_closes_it_lets_go_of_it_though_a_child_has_the_file() {
    let scratch = tempfile::tempdir().expect("a folder");
    let dir = scratch.path().join("state");
    let journal = open(&dir).0;
    // As a child between its fork and its exec has it.
    let held = fs::read_dir("/proc/self/fd").expect("descriptors").flatten().find_map(|entry| {
        let fd: i32 = entry.file_name().to_str()?.parse().ok()?;
        let at = fs::read_link(entry.path()).ok()?;
        (at == dir.join("lock")).then_some(fd)
    });
    let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("ourselves");
    let twin = pidfd_getfd(own, held.expect("the lock is held"), PidfdGetfdFlags::empty()).expect("a twin");
    journal.close().expect("closed");
    open(&dir);
    drop(twin);
}
