//! Every system call that touches the journal: killed at it, failed at it once, failed at it for ever. A
//! dry run counts them; strace does the rest.
use crate::{open, options, replayed};
use bursar_journal::{Error, Journal};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::{TempDir, tempdir};

/// Calls that change what is on the disk, or make it durable, or take it into memory.
const CALLS: [&str; 10] = [
    "pwrite64",
    "write",
    "fdatasync",
    "fsync",
    "ftruncate",
    "renameat2,rename,renameat",
    "unlink,unlinkat",
    "mkdir,mkdirat",
    "pread64",
    "fallocate",
];
/// Batches of one run, and how often a checkpoint is written.
const RUN: [&str; 2] = ["8", "4"];

fn writer() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(2).expect("a target folder").join("examples/writer")
}

/// Runs the writer under strace with one more option; what it said, and what strace wrote.
fn run(state: &Path, inject: Option<&str>) -> (Vec<u64>, String) {
    let trace = state.with_extension("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(",")), "-o"]).arg(&trace);
    inject.into_iter().for_each(|inject| {
        command.args(["-e", &format!("inject={inject}")]);
    });
    // Where coverage is measured: what a program counts of itself is not to be torn by our errors.
    command.env("LLVM_PROFILE_FILE", "/dev/null");
    let output = command.arg(writer()).arg(state).args(RUN).output().expect("strace");
    let said = String::from_utf8_lossy(&output.stdout).lines().filter_map(|line| line.parse().ok()).collect();
    (said, fs::read_to_string(trace).unwrap_or_default())
}

/// How often each call is made in a dry run; `None` where strace cannot be had.
fn counted(prepare: impl Fn(&Path)) -> Option<Vec<(&'static str, usize)>> {
    if !Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    prepare(&state);
    let (said, trace) = run(&state, None);
    if said.is_empty() {
        eprintln!("skipped: strace may not trace here");
        return None;
    }
    let made = |call: &&str| {
        let names: Vec<String> = call.split(',').map(|name| format!(" {name}(")).collect();
        trace.lines().filter(|line| names.iter().any(|name| line.contains(name.as_str()))).count()
    };
    let counts: Vec<(&str, usize)> =
        CALLS.iter().map(|call| (*call, made(call))).filter(|(_, count)| *count > 0).collect();
    assert!(counts.iter().map(|(_, count)| count).sum::<usize>() > 40, "{counts:?}");
    Some(counts)
}

/// What was answered is there, in order, and the journal can be written on.
fn check(state: &Path, answered: Option<&u64>, what: &str) {
    match Journal::open(state, options()) {
        Ok((mut journal, recovered)) => {
            assert!(
                recovered.next_seq >= answered.copied().unwrap_or(0),
                "{what}: {} of {answered:?}",
                recovered.next_seq
            );
            let from = recovered.checkpoint.as_ref().map_or(0, |checkpoint| checkpoint.next_seq);
            assert_eq!(replayed(&journal, from).len() as u64, recovered.batches, "{what}");
            crate::fill(&mut journal, recovered.next_seq + 2);
        }
        // Before anything was answered there may be nothing to recover from.
        Err(error) => panic!("{what}: {error}"),
    }
}

/// A state that was killed in the middle of its work, for recoveries to be killed in.
fn torn(state: &Path) {
    let (mut journal, _) = open(state);
    crate::fill(&mut journal, 9);
    let copy = state.with_extension("copy");
    fs::rename(state, &copy).expect("moved");
    fs::create_dir(state).expect("made");
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(state, fs::Permissions::from_mode(0o700)).expect("set");
    for entry in fs::read_dir(&copy).expect("a folder").flatten() {
        fs::copy(entry.path(), state.join(entry.file_name())).expect("copied");
    }
}

fn at_each(prepare: impl Fn(&Path), how: impl Fn(&str, usize) -> String, first_answered: u64) {
    let Some(counts) = counted(&prepare) else { return };
    for (call, count) in counts {
        for number in 1..=count {
            let dir: TempDir = tempdir().expect("a folder");
            let state = dir.path().join("state");
            prepare(&state);
            let inject = how(call, number);
            let (said, _) = run(&state, Some(&inject));
            check(&state, said.last().or(Some(&first_answered)), &inject);
        }
    }
}

#[test]
fn killed_at_each_call() {
    at_each(|_| {}, |call, number| format!("{call}:signal=KILL:when={number}"), 0);
}

#[test]
fn killed_at_each_call_of_a_recovery() {
    at_each(torn, |call, number| format!("{call}:signal=KILL:when={number}"), 9);
}

#[test]
fn an_error_once() {
    at_each(|_| {}, |call, number| format!("{call}:error=EIO:when={number}"), 0);
}

#[test]
fn a_full_disk_once() {
    at_each(|_| {}, |call, number| format!("{call}:error=ENOSPC:when={number}"), 0);
}

#[test]
fn an_error_for_ever() {
    at_each(|_| {}, |call, number| format!("{call}:error=EIO:when={number}+"), 0);
}

#[test]
fn a_refusal_is_clean_and_said() {
    let Some(counts) = counted(|_| {}) else { return };
    let syncs = counts.iter().find(|(call, _)| *call == "fdatasync").map_or(0, |(_, count)| *count);
    assert!(syncs >= 8, "one sync a batch: {counts:?}");
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    let (said, _) = run(&state, Some("fdatasync:error=EIO:when=5+"));
    // A sync that failed is final: nothing is answered after it.
    assert!(said.len() < 8, "{said:?}");
    match Journal::open(&state, options()) {
        Ok((_, recovered)) => assert!(recovered.next_seq >= said.last().copied().unwrap_or(0)),
        Err(error) => assert!(matches!(error, Error::Truncated { .. }), "{error}"),
    }
}
