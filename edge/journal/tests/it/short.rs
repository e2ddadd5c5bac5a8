//! Short writes, by the kernel itself: a limit on the size of files cuts one in the middle, at every kind of
//! place in a page of the log; then there is room again, or never.
use crate::{open, replayed, syscalls::writer};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::{
    fs,
    io::{BufRead, BufReader, Lines, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
};
use tempfile::{TempDir, tempdir};

/// Bytes after the end of the log at which a write is cut: in the head of a frame, at its end, in its page, at
/// its last byte, between two frames, and beyond.
const CUTS: [u64; 9] = [0, 1, 23, 24, 25, 2048, 4119, 4120, 9000];

/// A writer that writes when it is told to, and that no signal ends at a limit.
struct Writer {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    answered: u64,
}

impl Writer {
    fn start(state: &Path) -> Writer {
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(writer()).arg(state);
        command.args(["1000000000", "1000000000", "ask"]).env("LLVM_PROFILE_FILE", "/dev/null");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the writer");
        let lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        Writer { child, lines, answered: 0 }
    }

    /// Has it write one more batch; whether that was refused.
    fn next(&mut self) -> bool {
        let stdin = self.child.stdin.as_mut().expect("a pipe");
        stdin.write_all(b"\n").and_then(|()| stdin.flush()).expect("it listens");
        let line = self.lines.next().expect("it goes on").expect("a line");
        if let Ok(answered) = line.parse() {
            self.answered = answered;
        }
        line == "full"
    }

    /// Limits the size of its files; `None` for as large as they like.
    fn limit(&self, bytes: Option<u64>) {
        let maximum = getrlimit(Resource::Fsize).maximum;
        let limits = Rlimit { current: bytes.or(maximum), maximum };
        prlimit(Some(Pid::from_child(&self.child)), Resource::Fsize, limits).expect("limited");
    }

    /// Kills it; returns how far it had answered.
    fn kill(mut self) -> u64 {
        self.child.kill().expect("kill -9");
        self.child.wait().expect("ended");
        self.answered
    }
}

fn log(state: &Path) -> u64 {
    fs::metadata(state.join("journal.sqlite-wal")).map_or(0, |found| found.len())
}

/// A writer that has met its limit `cut` bytes after the end of its log.
fn cut(cut: u64) -> (TempDir, PathBuf, Writer) {
    let dir = tempdir().expect("a folder");
    let state = dir.path().join("state");
    let mut writer = Writer::start(&state);
    assert!((0..5).all(|_| !writer.next()), "there is room");
    writer.limit(Some(log(&state) + cut));
    assert!((0..5).any(|_| writer.next()), "{cut} bytes are not enough for five");
    (dir, state, writer)
}

/// Everything that was answered is there, and nothing half.
fn whole(state: &Path, answered: u64) {
    let (mut journal, recovered) = open(state);
    assert!(recovered.next_seq >= answered, "{} of {answered}", recovered.next_seq);
    assert_eq!(replayed(&journal, 0).len() as u64, recovered.batches);
    crate::fill(&mut journal, recovered.next_seq + 2);
}

#[test]
fn a_write_that_is_cut_is_refused_and_later_ones_go_on() {
    for place in CUTS {
        let (_dir, state, mut writer) = cut(place);
        writer.limit(None);
        assert!((0..5).all(|_| !writer.next()), "there is room again");
        whole(&state, writer.kill());
    }
}

#[test]
fn killed_while_every_write_is_cut_nothing_is_lost() {
    for place in CUTS {
        let (_dir, state, mut writer) = cut(place);
        assert!((0..5).all(|_| writer.next()), "there is none");
        whole(&state, writer.kill());
    }
}

#[test]
fn a_start_under_such_a_limit_is_a_clean_refusal() {
    for bytes in [0, 1, 100, 1023, 1024, 4095, 4096, 5000, 20_000, 32_768] {
        let dir = tempdir().expect("a folder");
        let state = dir.path().join("state");
        let (mut journal, _) = open(&state);
        crate::fill(&mut journal, 5);
        drop(journal);
        let script = format!("trap '' XFSZ; prlimit --fsize={bytes} --pid $$ && exec \"$0\" \"$@\"");
        let mut command = Command::new("sh");
        command.args(["-c", &script]).arg(writer()).arg(&state).args(["3", "50"]);
        let output = command.env("LLVM_PROFILE_FILE", "/dev/null").output().expect("the writer");
        let told = String::from_utf8_lossy(&output.stderr);
        if told.contains("prlimit") {
            eprintln!("skipped: prlimit is not installed");
            return;
        }
        // Done, or stopped with a message that says why.
        let code = output.status.code();
        assert!(code == Some(0) || code == Some(3) && told.contains("limit"), "{bytes}: {output:?}");
        whole(&state, 5);
    }
}
