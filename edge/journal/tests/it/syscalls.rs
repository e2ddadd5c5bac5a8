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
const CALLS: [&str; 11] = [
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
    "openat",
];
/// Batches of one run, and how often a checkpoint is written.
pub(crate) const RUN: [&str; 2] = ["8", "4"];
/// What the writer ends with: done, or stopped because the journal cannot be trusted or opened.
const CLEAN: [i32; 2] = [0, 3];

pub(crate) fn writer() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    test.ancestors().nth(2).expect("a target folder").join("examples/writer")
}

/// What one run of the writer came to.
struct Ran {
    /// How far it said that it has answered.
    answered: Vec<u64>,
    /// What strace wrote.
    trace: String,
    /// With what it ended; `None` for a signal.
    code: Option<i32>,
}

/// Runs the writer under strace with one more option.
fn run(state: &Path, args: [&str; 2], inject: Option<&str>) -> Ran {
    let trace = state.with_extension("trace");
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-e", &format!("trace={}", CALLS.join(",")), "-o"]).arg(&trace);
    inject.into_iter().for_each(|inject| {
        command.args(["-e", &format!("inject={inject}")]);
    });
    // Where coverage is measured: what a program counts of itself is not to be torn by our errors.
    command.env("LLVM_PROFILE_FILE", "/dev/null");
    let output = command.arg(writer()).arg(state).args(args).output().expect("strace");
    Ran {
        answered: String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| line.parse().ok())
            .collect(),
        trace: fs::read_to_string(trace).unwrap_or_default(),
        code: output.status.code(),
    }
}

/// How often each call is made in a dry run; `None` where strace cannot be had.
fn counted(args: [&str; 2], prepare: impl Fn(&Path)) -> Option<Vec<(&'static str, usize)>> {
    if !Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not installed");
        return None;
    }
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    prepare(&state);
    let dry = run(&state, args, None);
    if dry.answered.is_empty() {
        eprintln!("skipped: strace may not trace here");
        return None;
    }
    let made = |call: &&str| {
        let names: Vec<String> = call.split(',').map(|name| format!(" {name}(")).collect();
        dry.trace.lines().filter(|line| names.iter().any(|name| line.contains(name.as_str()))).count()
    };
    let counts: Vec<(&str, usize)> =
        CALLS.iter().map(|call| (*call, made(call))).filter(|(_, count)| *count > 0).collect();
    assert!(counts.iter().map(|(_, count)| count).sum::<usize>() > 40, "{counts:?}");
    Some(counts)
}

/// Every call of a dry run, as its name and its number; none where strace cannot be had.
pub(crate) fn calls(args: [&str; 2], prepare: impl Fn(&Path)) -> Vec<(&'static str, usize)> {
    let counts = counted(args, prepare).unwrap_or_default();
    counts.into_iter().flat_map(|(call, count)| (1..=count).map(move |number| (call, number))).collect()
}

/// Kills the writer at a call; returns how far it had answered.
pub(crate) fn kill_at(state: &Path, args: [&str; 2], (call, number): (&str, usize)) -> Option<u64> {
    run(state, args, Some(&format!("{call}:signal=KILL:when={number}"))).answered.last().copied()
}

/// What was answered is there, in order, and the journal can be written on.
pub(crate) fn check(state: &Path, answered: Option<u64>, what: &str) {
    match Journal::open(state, options()) {
        Ok((mut journal, recovered)) => {
            assert!(
                recovered.next_seq >= answered.unwrap_or(0),
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

/// Runs the writer once for each call of a dry run, with what `how` makes of it.
fn at_each(
    prepare: impl Fn(&Path),
    only: impl Fn(&str) -> bool,
    how: impl Fn(&str, usize) -> String,
    first_answered: u64,
) {
    for (call, number) in calls(RUN, &prepare).into_iter().filter(|(call, _)| only(call)) {
        let dir: TempDir = tempdir().expect("a folder");
        let state = dir.path().join("state");
        prepare(&state);
        let inject = how(call, number);
        let ran = run(&state, RUN, Some(&inject));
        // Before its own first line a program without its libraries ends with 127.
        let clean =
            ran.code.is_none_or(|code| CLEAN.contains(&code) || ran.answered.is_empty() && code == 127);
        assert!(
            clean && (ran.code.is_some() || inject.contains("KILL")),
            "{inject}: ended with {:?}",
            ran.code
        );
        check(&state, ran.answered.last().copied().or(Some(first_answered)), &inject);
    }
}

/// All calls but those that open: programs open much that is not ours.
fn touching(call: &str) -> bool {
    call != "openat"
}

/// Calls that write: the others have no room to run out of.
fn writing(call: &str) -> bool {
    ["pwrite64", "write", "ftruncate", "fallocate"].contains(&call)
}

#[test]
fn killed_at_each_call() {
    at_each(|_| {}, touching, |call, number| format!("{call}:signal=KILL:when={number}"), 0);
}

#[test]
fn killed_at_each_call_of_a_recovery() {
    at_each(torn, touching, |call, number| format!("{call}:signal=KILL:when={number}"), 9);
}

#[test]
fn killed_in_the_recovery_of_a_killed_recovery() {
    let all: Vec<_> = calls(RUN, torn).into_iter().filter(|(call, _)| touching(call)).collect();
    for (turn, &first) in all.iter().enumerate() {
        // One that shares no factor with their number meets every call once.
        let second = all[(turn * 1009 + 17) % all.len()];
        let dir = tempdir().expect("a folder");
        let state = dir.path().join("state");
        torn(&state);
        let answered = kill_at(&state, RUN, first).unwrap_or(9);
        let answered = kill_at(&state, RUN, second).unwrap_or(answered);
        check(&state, Some(answered), &format!("{first:?}, then {second:?}"));
    }
}

#[test]
fn an_error_once() {
    at_each(|_| {}, touching, |call, number| format!("{call}:error=EIO:when={number}"), 0);
}

#[test]
fn a_full_disk_once() {
    at_each(|_| {}, touching, |call, number| format!("{call}:error=ENOSPC:when={number}"), 0);
}

#[test]
fn a_full_disk_for_ever() {
    at_each(|_| {}, touching, |call, number| format!("{call}:error=ENOSPC:when={number}+"), 0);
}

#[test]
fn a_quota_that_is_used_up() {
    at_each(|_| {}, writing, |call, number| format!("{call}:error=EDQUOT:when={number}"), 0);
    at_each(|_| {}, writing, |call, number| format!("{call}:error=EDQUOT:when={number}+"), 0);
}

#[test]
fn an_interrupted_call() {
    at_each(|_| {}, touching, |call, number| format!("{call}:error=EINTR:when={number}"), 0);
}

#[test]
fn no_more_files() {
    at_each(|_| {}, |call| call == "openat", |call, number| format!("{call}:error=EMFILE:when={number}"), 0);
    at_each(|_| {}, |call| call == "openat", |call, number| format!("{call}:error=EMFILE:when={number}+"), 0);
}

#[test]
fn an_error_for_ever() {
    at_each(|_| {}, touching, |call, number| format!("{call}:error=EIO:when={number}+"), 0);
}

#[test]
fn a_refusal_is_clean_and_said() {
    let Some(counts) = counted(RUN, |_| {}) else { return };
    let syncs = counts.iter().find(|(call, _)| *call == "fdatasync").map_or(0, |(_, count)| *count);
    assert!(syncs >= 8, "one sync a batch: {counts:?}");
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    let said = run(&state, RUN, Some("fdatasync:error=EIO:when=5+")).answered;
    // A sync that failed is final: nothing is answered after it.
    assert!(said.len() < 8, "{said:?}");
    match Journal::open(&state, options()) {
        Ok((_, recovered)) => assert!(recovered.next_seq >= said.last().copied().unwrap_or(0)),
        Err(error) => assert!(matches!(error, Error::Truncated { .. }), "{error}"),
    }
}
