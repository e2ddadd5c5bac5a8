//! Flipped bits, cut logs, lost files: recovered exactly, or refused with what to do.
use crate::{copy, fill, open, options, replayed, state};
use bursar_interface::Time;
use bursar_journal::{Error, Follower, Journal, Options, verify};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::{TempDir, tempdir};

/// A state directory as a killed daemon leaves it: rows in the log, not in the database yet.
fn killed() -> (TempDir, PathBuf) {
    let dir = tempdir().expect("a folder");
    let (live, dead) = (dir.path().join("live"), dir.path().join("dead"));
    let (mut journal, _) = open(&live);
    fill(&mut journal, 60);
    assert!(journal.checkpoint(30, Time(30), state("state 30")).expect("begun"));
    while journal.checkpointed().is_none() {
        std::thread::yield_now();
    }
    copy(&live, &dead);
    (dir, dead)
}

/// Opens it, or says why not; whatever happens, `verify` must not touch anything.
fn recover(dir: &Path) -> Result<u64, Error> {
    Journal::open(dir, options()).map(|(journal, recovered)| {
        assert_eq!(replayed(&journal, 30).last(), Some(&59));
        recovered.next_seq
    })
}

#[test]
fn an_untouched_copy_recovers_whole() {
    let (_dir, dead) = killed();
    assert!(verify(&dead).expect("a look").sound());
    assert_eq!(recover(&dead).expect("whole"), 60);
}

#[test]
fn a_log_that_was_cut_is_noticed() {
    let (_dir, dead) = killed();
    let wal = dead.join("journal.sqlite-wal");
    let bytes = fs::read(&wal).expect("a log");
    fs::write(&wal, &bytes[..bytes.len() / 2]).expect("cut");
    let report = verify(&dead).expect("a look");
    assert!(
        !report.sound()
            && report.problems.iter().any(|problem| problem.contains("answers were given up to 60"))
    );
    match recover(&dead) {
        Err(Error::Truncated { recovered, answered: 60, hint, .. }) => {
            assert!(recovered < 60 && !hint.is_empty())
        }
        other => panic!("{other:?}"),
    }
    // It can still be read, and an operator can decide to go on without what is lost.
    assert!(!Follower::open(&dead).expect("a reader").since(0, 10).expect("rows").is_empty());
    let accept = Options { accept_loss: true, ..options() };
    let (journal, recovered) = Journal::open(&dead, accept).expect("accepted");
    assert!(recovered.notes.iter().any(|note| note.contains("accepted")) && journal.next_seq() < 60);
}

#[test]
fn a_log_without_its_database_is_not_thrown_away() {
    let (_dir, dead) = killed();
    fs::remove_file(dead.join("journal.sqlite")).expect("removed");
    assert!(matches!(recover(&dead), Err(Error::Truncated { recovered: 0, answered: 60, .. })));
    assert!(dead.join("journal.sqlite-wal").exists());
}

#[test]
fn every_flipped_byte_of_the_log_is_recovered_or_refused() {
    let (dir, dead) = killed();
    let bytes = fs::read(dead.join("journal.sqlite-wal")).expect("a log");
    let (mut whole, mut refused) = (0, 0);
    for at in (0..bytes.len()).step_by(bytes.len() / 60) {
        let trial = dir.path().join(format!("trial-{at}"));
        copy(&dead, &trial);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        fs::write(trial.join("journal.sqlite-wal"), flipped).expect("written");
        match recover(&trial) {
            Ok(next) => {
                assert_eq!(next, 60, "byte {at}");
                whole += 1;
            }
            Err(Error::Truncated { .. } | Error::Damaged { .. } | Error::Foreign { .. }) => refused += 1,
            Err(other) => panic!("byte {at}: {other}"),
        }
        fs::remove_dir_all(trial).expect("removed");
    }
    assert!(refused > 20, "{whole} whole, {refused} refused");
}

#[test]
fn without_the_sidecar_nothing_proves_the_end() {
    let (_dir, dead) = killed();
    fs::write(dead.join("answered"), "nonsense").expect("written");
    assert!(matches!(recover(&dead), Err(Error::Unproved { recovered: 60, .. })));
    fs::remove_file(dead.join("answered")).expect("removed");
    let told = recover(&dead).expect_err("unproved").to_string();
    assert!(told.contains("the sidecar is gone"), "{told}");
    assert!(!verify(&dead).expect("a look").sound());
}

#[test]
fn a_damaged_checkpoint_is_put_aside() {
    let (_dir, dead) = killed();
    let name = "checkpoint-00000000000000000030";
    let mut bytes = fs::read(dead.join(name)).expect("a checkpoint");
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(dead.join(name), bytes).expect("written");
    let (journal, recovered) = open(&dead);
    assert_eq!((recovered.checkpoint, recovered.batches), (None, 60));
    assert!(recovered.notes.iter().any(|note| note.contains("put aside")), "{:?}", recovered.notes);
    assert_eq!(replayed(&journal, 0).len(), 60);
    assert!(dead.join("damaged-00000000000000000030").exists());
}

#[test]
fn a_copy_does_not_hide_what_is_missing() {
    let (dir, dead) = killed();
    let to = dir.path().join("copy");
    let wal = dead.join("journal.sqlite-wal");
    let bytes = fs::read(&wal).expect("a log");
    fs::write(&wal, &bytes[..bytes.len() / 2]).expect("cut");
    let copied = bursar_journal::backup(&dead, &to);
    assert!(matches!(&copied, Err(Error::Truncated { answered: 60, .. })), "{copied:?}");
    fs::write(&wal, &bytes).expect("mended");
    fs::rename(dead.join("answered"), dir.path().join("answered")).expect("lost");
    assert!(matches!(bursar_journal::backup(&dead, &to), Err(Error::Unproved { recovered: 60, .. })));
    // What was refused leaves nothing in the way of what is right.
    assert_eq!(fs::read_dir(&to).expect("a folder").count(), 0);
    fs::rename(dir.path().join("answered"), dead.join("answered")).expect("found");
    bursar_journal::backup(&dead, &to).expect("copied");
}
