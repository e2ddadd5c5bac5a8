//! `bursar run` before its C library is there: plain commands end without one, and what takes longer is gone on with.
use crate::daemon::{Daemon, program};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// What takes no longer is waited for without a C library.
const SOON: Duration = Duration::from_millis(50);

/// Prints how much of a C library's heap the front has.
const HEAP: &str = "grep -c heap /proc/$PPID/maps";

/// Whether the front was linked with a C library of its own, without which nothing of it is early.
fn is_linked_alone(daemon: &Daemon) -> bool {
    let alone = daemon.tell(&["run", "--", "sh", "-c", "grep -c libc.so /proc/$PPID/maps"]).out.trim() == "0";
    if !alone || cfg!(not(target_arch = "x86_64")) {
        eprintln!("skipped: the front has no C library of its own here, so it begins with the shared one");
    }
    alone && cfg!(target_arch = "x86_64")
}

#[test]
fn a_plain_command_needs_no_c_library_and_all_others_have_one() {
    let daemon = Daemon::plain();
    if !is_linked_alone(&daemon) {
        return;
    }
    for (options, heaps) in [
        (&["--cpu", "0.1", "--wait", "10s"][..], "0"),
        (&["--memory=64M", "--pids", "9", "--ttl", "1m", "--expect", "1s"], "0"),
        (&[], "0"),
        (&["--lock", "l"], "1"),
    ] {
        let words = [&["run"], options, &["--", "sh", "-c", HEAP]].concat();
        // On a busy machine a plain one may not be answered soon enough, and is gone on with: then it says nothing.
        daemon.eventually(&format!("{words:?} is answered soon"), || {
            let since = Instant::now();
            let told = daemon.tell(&words);
            let soon = since.elapsed() < SOON;
            assert!(told.out.trim() == heaps || !soon && told.code < 2, "{words:?}: {told:?}");
            told.out.trim() == heaps
        });
    }
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

#[test]
fn a_command_that_takes_its_time_is_gone_on_with() {
    let daemon = Daemon::plain();
    if !is_linked_alone(&daemon) {
        return;
    }
    // Its lease is shorter than it, so it ends well only if that is renewed.
    let script = format!("{HEAP}; sleep 1.5; {HEAP}; exit 5");
    let told = daemon.tell(&["run", "--cpu", "0.1", "--ttl", "1s", "--", "sh", "-c", &script]);
    assert_eq!((told.code, told.out.as_str()), (5, "0\n1\n"), "{told:?}");
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

#[test]
fn a_signal_reaches_a_command_that_just_began() {
    let daemon = Daemon::plain();
    let mut command = daemon.command(&["run", "--cpu", "0.1", "--", "sh", "-c", "echo there; exec sleep 60"]);
    let mut child = command.stdout(Stdio::piped()).spawn().expect("the program");
    let mut line = String::new();
    BufReader::new(child.stdout.take().expect("a pipe")).read_line(&mut line).expect("begun");
    let since = Instant::now();
    kill_process(Pid::from_child(&child), Signal::TERM).expect("there");
    assert_eq!((child.wait().expect("ended").code(), line.as_str()), (Some(143), "there\n"));
    assert!(since.elapsed() < Duration::from_secs(30), "{:?}", since.elapsed());
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

#[test]
fn descriptors_that_are_closed_are_no_ones() {
    let daemon = Daemon::plain();
    let closed = format!("exec {} run --cpu 0.1 -- sh -c 'exit 3' <&- >&- 2>&-", program().display());
    let mut command = daemon.command(&[]);
    let shell = std::process::Command::new("sh")
        .args(["-c", &closed])
        .envs(command.get_envs().filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned()))))
        .status();
    command.args(["run", "--cpu", "0.1", "--", "true"]);
    assert_eq!(shell.expect("sh").code(), Some(3));
    assert!(command.status().expect("the program").success());
    assert_eq!(daemon.taken(), 0, "all of it came back");
}

/// Becomes the words behind it, with an environment of which not every entry has a sign.
const ODD: &str = r#"
import ctypes, os, sys
def words(all): return (ctypes.c_char_p * (len(all) + 1))(*all, None)
odd = [b"ODD", b"", b"=SIGNED=first", b"TWICE=1", b"TWICE=2", b"\xff=\xfe", b"BURSAR_CLAIM"]
own = [f"{name}={os.environ[name]}".encode() for name in ["PATH", "BURSAR_SOCKET"]]
command = [word.encode() for word in sys.argv[1:]]
ctypes.CDLL(None).execve(command[0], words(command), words(odd[:4] + own + odd[4:]))
"#;

#[test]
fn an_environment_comes_through_as_it_is_early_and_late() {
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let daemon = Daemon::plain();
    let of = |before: &[&str], options: &[&str]| {
        let mut command = Command::new("python3");
        command.args(["-c", ODD]).arg(program()).args(before).arg("run").args(options);
        command.args(["--", "cat", "/proc/self/environ"]).env("BURSAR_SOCKET", daemon.socket());
        let output = command.output().expect("python3");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        // What is the claim's own differs from one to the next.
        let own: [&[u8]; 3] = [b"BURSAR_CLAIM=", b"BURSAR_FENCE=", b"BURSAR_LEASE="];
        let entries = output.stdout.split(|&byte| byte == 0);
        let others = entries.filter(|entry| !own.iter().any(|name| entry.starts_with(name)));
        others.map(|entry| String::from_utf8_lossy(entry).into_owned()).collect::<Vec<_>>()
    };
    let (early, late, full) = (of(&[], &[]), of(&[], &["--lock", "l"]), of(&["-o", "table"], &[]));
    for odd in ["ODD", "", "=SIGNED=first", "TWICE=1", "TWICE=2", "\u{fffd}=\u{fffd}", "BURSAR_CLAIM"] {
        assert!(early.iter().any(|entry| entry == odd), "{odd:?} is not in {early:?}");
    }
    assert_eq!(early, late);
    assert_eq!(early, full);
}
