//! `bursar run` before its C library is there: plain commands end without one, and what takes longer is gone on with.
use crate::daemon::{Daemon, program};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader},
    process::Stdio,
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
