//! The write-ahead log's file: how long it is, and that it is synced before anything is answered.
use crate::{copy, fill, open, options, replayed, syscalls::writer};
use bursar_journal::{Journal, Options};
use std::{fs, path::Path, process::Command};
use tempfile::tempdir;

const LOG_BYTES: u64 = 1 << 20;

fn length(dir: &Path) -> u64 {
    fs::metadata(dir.join("journal.sqlite-wal")).expect("a log").len()
}

#[test]
fn a_log_has_its_length_from_the_start() {
    let dir = tempdir().expect("a folder");
    let laid = Options { log_bytes: LOG_BYTES, ..options() };
    let (mut journal, _) = Journal::open(&dir.path().join("state"), laid.clone()).expect("a journal");
    assert_eq!(length(&dir.path().join("state")), LOG_BYTES);
    fill(&mut journal, 100);
    assert_eq!(length(&dir.path().join("state")), LOG_BYTES);
    // As a killed daemon leaves it, to one that lays out more of it, and to one that lays out nothing.
    for (name, options) in [("more", Options { log_bytes: 2 * LOG_BYTES, ..laid }), ("none", options())] {
        let killed = dir.path().join(name);
        copy(&dir.path().join("state"), &killed);
        let (mut again, recovered) = Journal::open(&killed, options.clone()).expect("a journal");
        assert_eq!((recovered.next_seq, length(&killed)), (100, LOG_BYTES.max(options.log_bytes)));
        fill(&mut again, 300);
        assert_eq!(replayed(&again, 0), (0..300).collect::<Vec<_>>());
    }
}

#[test]
fn room_that_others_need_is_left_to_them() {
    let dir = tempdir().expect("a folder");
    let all = Options { log_bytes: u64::MAX, ..options() };
    let (mut journal, _) = Journal::open(dir.path(), all).expect("a journal");
    let before = length(dir.path());
    fill(&mut journal, 10);
    assert!(before < LOG_BYTES, "{before}");
    drop(journal);
    assert_eq!(open(dir.path()).1.next_seq, 10);
}

#[test]
fn whoever_is_answered_has_waited_for_the_disk() {
    let dir = tempdir().expect("a folder");
    let trace = dir.path().join("trace");
    let state = dir.path().join("state");
    let mut command = Command::new("strace");
    command.args(["-f", "-y", "-e", "trace=pwrite64,fdatasync,write", "-o"]).arg(&trace);
    let Ok(output) = command.arg(writer()).arg(&state).args(["8", "100"]).output() else {
        return eprintln!("skipped: strace is not installed");
    };
    let told = String::from_utf8_lossy(&output.stdout).lines().count();
    if told == 0 {
        return eprintln!("skipped: strace may not trace here");
    }
    let (mut behind, mut answers) = (false, 0);
    for line in fs::read_to_string(&trace).expect("a trace").lines() {
        let log = line.contains("journal.sqlite-wal>");
        behind = behind && !(log && line.contains("fdatasync(")) || log && line.contains("pwrite64(");
        if line.contains("write(1<") {
            answers += 1;
            assert!(!behind, "answered before the sync: {line}");
        }
    }
    assert_eq!((told, answers), (5, 5), "of three, two are answered");
}
