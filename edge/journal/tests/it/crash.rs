//! `kill -9` at any moment: what was answered is there.
use crate::{batch, fill, open, options, replayed, state, syscalls::writer};
use bursar_interface::Time;
use bursar_journal::{Error, Follower, Journal, Options, verify};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::Duration,
};
use tempfile::tempdir;

#[test]
fn nothing_that_was_answered_is_lost_by_a_kill() {
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    let (mut answered, mut epoch) = (0, 0);
    for round in 0..12 {
        let mut writer =
            Command::new(writer()).arg(&state).stdout(Stdio::piped()).spawn().expect("the writer");
        let out = writer.stdout.take().expect("a pipe");
        let reader = std::thread::spawn(move || {
            let lines = BufReader::new(out).lines().map_while(Result::ok);
            lines.filter_map(|line| line.parse::<u64>().ok()).last()
        });
        std::thread::sleep(Duration::from_millis(20 + 13 * round));
        writer.kill().expect("kill -9");
        writer.wait().expect("ended");
        answered = reader.join().expect("read").unwrap_or(answered);
        let (journal, recovered) = open(&state);
        assert!(recovered.next_seq >= answered, "{} came back of {answered}", recovered.next_seq);
        assert!(recovered.epoch > epoch, "epochs rise with every start");
        epoch = recovered.epoch;
        let from = recovered.checkpoint.as_ref().map_or(0, |checkpoint| {
            assert_eq!(checkpoint.blob, format!("state {}", checkpoint.next_seq).into_bytes());
            checkpoint.next_seq
        });
        assert_eq!(replayed(&journal, from).len() as u64, recovered.batches);
    }
    assert!(answered > 100, "it got somewhere: {answered}");
    assert!(verify(&state).expect("a look").sound());
}

#[test]
fn what_was_written_is_read_back_in_order() {
    let dir = tempdir().expect("a folder");
    {
        let (mut journal, recovered) = open(dir.path());
        assert_eq!((recovered.next_seq, recovered.checkpoint), (0, None));
        for (first, inputs) in [(0, 3), (3, 1), (4, 2)] {
            journal.append(&batch(first, inputs), 0, "boot").expect("appended");
        }
        journal.answered(6).expect("answered");
        assert_eq!(replayed(&journal, 0), [0, 3, 4]);
        assert_eq!(replayed(&journal, 5), [4], "the batch that holds 5");
        journal.close().expect("closed");
    }
    let (journal, recovered) = open(dir.path());
    assert_eq!((recovered.next_seq, recovered.batches), (6, 3));
    assert_eq!(replayed(&journal, 0), [0, 3, 4]);
}

#[test]
fn what_does_not_follow_is_refused() {
    let dir = tempdir().expect("a folder");
    let (mut journal, _) = open(dir.path());
    fill(&mut journal, 3);
    assert!(matches!(
        journal.append(&batch(2, 1), 0, "boot"),
        Err(Error::OutOfOrder { end: 3, first: 2, .. })
    ));
    assert!(matches!(journal.append(&batch(3, 0), 0, "boot"), Err(Error::OutOfOrder { .. })));
    assert!(matches!(journal.answered(4), Err(Error::OutOfOrder { .. })));
    assert!(matches!(journal.checkpoint(9, Time(9), state("x")), Err(Error::OutOfOrder { .. })));
    journal.append(&batch(5, 1), 0, "boot").expect("batches in which nothing was done may be left out");
    assert_eq!(journal.next_seq(), 6);
}

#[test]
fn checkpoints_shorten_recovery_and_let_old_rows_go() {
    let dir = tempdir().expect("a folder");
    let few = Options { retain_batches: 5, ..options() };
    let (mut journal, _) = Journal::open(dir.path(), few.clone()).expect("a journal");
    for to in [40, 80, 120] {
        fill(&mut journal, to);
        assert!(journal.checkpoint(to, Time(to), state(format!("state {to}"))).expect("begun"));
        while journal.checkpointed().is_none() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    assert_eq!(journal.since_checkpoint(), 0);
    fill(&mut journal, 130);
    assert_eq!(journal.since_checkpoint(), 10);
    let follower = Follower::open(dir.path()).expect("a reader");
    let kept = follower.since(0, 1000).expect("read");
    assert!(kept[0].batch.first_seq > 0, "old rows are gone");
    assert_eq!(
        (kept.last().expect("rows").batch.first_seq, kept[0].wall_ms, kept[0].boot.as_str()),
        (129, 7, "boot")
    );
    journal.close().expect("closed");
    let (_, recovered) = Journal::open(dir.path(), few).expect("a journal");
    let checkpoint = recovered.checkpoint.expect("one");
    assert_eq!((checkpoint.next_seq, checkpoint.at, recovered.batches), (120, Time(120), 10));
}

#[test]
fn old_rows_go_by_age_too() {
    let dir = tempdir().expect("a folder");
    let day = 86_400_000;
    let young = Options { retain_ms: 2 * day as u64, ..options() };
    let (mut journal, _) = Journal::open(dir.path(), young).expect("a journal");
    for to in 1..=20 {
        journal.append(&batch(to - 1, 1), to as i64 * day, "boot").expect("appended");
        if to % 5 == 0 {
            assert!(journal.checkpoint(to, Time(to), state("state")).expect("begun"));
            while journal.checkpointed().is_none() {
                std::thread::sleep(Duration::from_millis(1));
            }
        }
    }
    journal.append(&batch(20, 1), 20 * day, "boot").expect("appended");
    let kept = Follower::open(dir.path()).expect("a reader").since(0, 100).expect("rows");
    // What the older of the two checkpoints needs stays; everything before it is more than two days old.
    assert_eq!((kept[0].batch.first_seq, kept.len()), (15, 6));
}

#[test]
fn a_copy_made_while_it_is_written_is_whole_and_its_fences_are_ahead() {
    let dir = tempdir().expect("a folder");
    let (live, copy) = (dir.path().join("live"), dir.path().join("copy"));
    let (mut journal, recovered) = open(&live);
    fill(&mut journal, 40);
    journal.checkpoint(40, Time(40), state("state 40")).expect("begun");
    while journal.checkpointed().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    fill(&mut journal, 60);
    let report = bursar_journal::backup(&live, &copy).expect("copied");
    assert_eq!((report.next_seq, report.sound(), report.checkpoints), (60, true, vec![40]));
    fill(&mut journal, 70);
    assert!(matches!(bursar_journal::backup(&live, &copy), Err(Error::Unfit { .. })), "never over something");
    let (restored, came_back) = open(&copy);
    assert_eq!((came_back.next_seq, came_back.batches), (60, 20));
    assert_eq!(replayed(&restored, 40).len(), 20);
    assert!(came_back.epoch > recovered.epoch + 4000);
    assert!(matches!(
        bursar_journal::backup(&dir.path().join("none"), &dir.path().join("x")),
        Err(Error::Io { .. })
    ));
}
