//! Whoever waits while the daemon goes and comes back: it waits on, and nothing is kept for those who do not.
use crate::daemon::{Daemon, Lasting, program, told};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// Who has the lock that others wait for.
fn holder(daemon: &Daemon) -> Lasting {
    let holder = Lasting::start(daemon.command(&["run", "--lock", "l", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    holder
}

fn waiter(daemon: &Daemon, id: &str, words: &[&str]) -> Child {
    let mut command = daemon.command(words);
    let waiter = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("started");
    daemon.await_phase(id, "pending");
    waiter
}

fn claims(daemon: &Daemon) -> Vec<Value> {
    daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone()
}

#[test]
fn whoever_waits_goes_on_waiting_when_the_daemon_stops_in_good_order() {
    let mut daemon = Daemon::plain();
    let holder = holder(&daemon);
    let shared = ["--lock", "l:shared", "--wait", "60s"];
    let run = waiter(&daemon, "2", &[&["run"][..], &shared, &["--", "echo", "ran"]].concat());
    let claim = waiter(&daemon, "3", &[&["claim"][..], &shared, &["-o", "json"]].concat());
    daemon.stop();
    daemon.start();
    assert!(holder.end());
    let run = run.wait_with_output().expect("ended");
    assert!(run.status.success() && run.stdout == b"ran\n", "{run:?}");
    let claim = claim.wait_with_output().expect("ended");
    assert!(claim.status.success(), "{claim:?}");
    assert_eq!(claims(&daemon).len(), 3, "each asked for the same again");
}

#[test]
fn what_waits_for_nobody_after_a_restart_goes_and_what_is_to_stay_stays() {
    let mut daemon = Daemon::plain();
    let holder = holder(&daemon);
    let lock = ["--lock", "l", "--wait", "10m"];
    let detached = daemon.tell(&[&["claim", "--detach"][..], &lock].concat());
    assert_eq!(detached.code, 0, "{detached:?}");
    let mut dies = waiter(&daemon, "3", &[&["run"][..], &lock, &["--", "true"]].concat());
    let mut comes_back = waiter(&daemon, "4", &[&["run"][..], &lock, &["--", "true"]].concat());
    daemon.kill();
    dies.kill().expect("killed");
    dies.wait().expect("ended");
    daemon.start();
    daemon.eventually("it is gone", || daemon.claim("3")["ending"] == "cancelled");
    assert_eq!(daemon.claim("2")["phase"], "pending", "it stays whoever leaves");
    assert!(holder.end());
    let granted = daemon.await_phase("2", "held");
    assert_eq!(
        daemon.tell(&["release", "2", "--fence", granted["fence"].as_str().expect("a fence")]).code,
        0
    );
    assert!(comes_back.wait().expect("ended").success());
    assert_eq!(claims(&daemon).len(), 4);
}

/// As long as those with a key are waited for.
const REJOIN: Duration = Duration::from_secs(5);

#[test]
fn whoever_was_killed_or_withdrew_keeps_no_place_in_line() {
    let daemon = Daemon::plain();
    let _holder = holder(&daemon);
    let (lock, run) = (["--lock", "l", "--gang", "g:2", "--wait", "10m"], ["--", "true"]);
    for (id, signal, words) in [
        ("2", Signal::TERM, [&["run"][..], &lock, &run].concat()),
        ("3", Signal::KILL, [&["run"][..], &lock, &run].concat()),
        ("4", Signal::INT, [&["claim"][..], &lock].concat()),
    ] {
        let mut asker = waiter(&daemon, id, &words);
        kill_process(Pid::from_child(&asker), signal).expect("sent");
        asker.wait().expect("ended");
        let since = Instant::now();
        daemon.eventually("it is gone", || daemon.claim(id)["ending"] == "cancelled");
        assert!(since.elapsed() < REJOIN, "{words:?}: {:?}", since.elapsed());
    }
}

#[test]
fn another_daemon_is_started_for_whoever_waits_when_one_leaves_for_good() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let socket = scratch.path().join("own.sock");
    let command = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).env("BURSAR_SOCKET", &socket).env("HOME", scratch.path()).stdin(Stdio::null());
        command
    };
    let first = told(command(&["run", "--", "true"]));
    assert_eq!(first.code, 0, "{first:?}");
    let daemon = || crate::daemon::number_in(&socket.with_extension("state").join("lock"));
    let pid = |number: u32| Pid::from_raw(number as i32).expect("a pid");
    let before = daemon();
    kill_process(pid(before), Signal::STOP).expect("stopped");
    // Its connection is taken by nobody, and is broken off.
    let asked = command(&["run", "--", "echo", "hi"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let asked = asked.expect("started");
    sleep(Duration::from_millis(300));
    kill_process(pid(before), Signal::KILL).expect("killed");
    let output = asked.wait_with_output().expect("ended");
    assert!(output.status.success() && output.stdout == b"hi\n", "{output:?}");
    kill_process(pid(daemon()), Signal::TERM).expect("signalled");
    while socket.exists() {
        sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_autostart_that_cannot_work_says_why_at_once() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let folder = scratch.path().join("folder");
    fs::create_dir(&folder).expect("made");
    let long = scratch.path().join("x".repeat(120));
    for (socket, why) in [(&folder, "no socket"), (&long, "bytes")] {
        let mut command = Command::new(program());
        command.args(["run", "--", "true"]).env("BURSAR_SOCKET", socket).env("HOME", scratch.path());
        let told = told(command);
        let log = socket.with_extension("state").join("log");
        assert!(told.code == 125 && told.err.contains("could not start"), "{told:?}");
        assert!(told.err.contains(why) && told.err.contains(&*log.to_string_lossy()), "{told:?}");
    }
}
