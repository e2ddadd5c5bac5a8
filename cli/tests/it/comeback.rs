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

#[test]
fn no_other_daemon_is_started_in_the_place_of_one_whose_state_lies_elsewhere() {
    let mut daemon = Daemon::plain();
    let holder = holder(&daemon);
    let waits = waiter(&daemon, "2", &["run", "--lock", "l", "--wait", "60s", "--", "echo", "ran"]);
    daemon.kill();
    let since = Instant::now();
    // As long as it takes to start another one for somebody who waits, and then for somebody who comes.
    let (state, other) = (daemon.state().display().to_string(), daemon.socket().with_extension("state"));
    for words in [&["run", "--", "true"][..], &["run", "--lock", "l", "--", "true"], &["claim", "--cpu", "1"]]
    {
        let told = daemon.tell(words);
        let code = if words[0] == "run" { 125 } else { 5 };
        assert!(told.code == code && told.err.contains("Unreachable"), "{words:?}: {told:?}");
        assert!(told.err.contains(&state) && told.err.contains("bursar serve"), "{words:?}: {told:?}");
    }
    assert!(since.elapsed() > Duration::from_secs(4), "who waits had no reason to start one yet");
    assert!(!other.exists(), "another one was started: {}", daemon.log());
    daemon.start();
    assert!(holder.end());
    let waits = waits.wait_with_output().expect("ended");
    assert!(waits.status.success() && waits.stdout == b"ran\n", "{waits:?}");
    // In good order it is no other.
    daemon.stop();
    let told = daemon.tell(&["run", "--", "true"]);
    assert!(told.code == 125 && told.err.contains(&state) && !other.exists(), "{told:?}");
    daemon.start();
    assert_eq!(claims(&daemon).len(), 2, "what there was is known");
}

#[test]
fn a_plain_command_that_waits_for_such_a_daemon_waits_on() {
    let mut daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let holder = Lasting::start(daemon.command(&["run", "--cpu", "1", "--", "cat"]));
    daemon.await_phase("1", "held");
    let waits = waiter(&daemon, "2", &["run", "--cpu", "1", "--wait", "60s", "--", "echo", "ran"]);
    daemon.kill();
    // Longer than one that is restarted is waited for.
    sleep(Duration::from_secs(5));
    daemon.start();
    assert!(holder.end());
    let waits = waits.wait_with_output().expect("ended");
    assert!(waits.status.success() && waits.stdout == b"ran\n", "{waits:?}");
    assert_eq!(claims(&daemon).len(), 2, "it kept its place");
    assert!(!daemon.socket().with_extension("state").exists(), "another one was started: {}", daemon.log());
}

#[test]
fn a_daemon_is_started_on_the_state_of_the_last_one_however_its_socket_is_called() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let run = scratch.path().join("run");
    fs::create_dir(&run).expect("made");
    let (socket, state) = (run.join("bursar/bursar.sock"), scratch.path().join(".local/state/bursar"));
    let command = |args: &[&str]| {
        let mut command = Command::new(program());
        command.args(args).env_remove("BURSAR_SOCKET").env_remove("XDG_STATE_HOME").stdin(Stdio::null());
        command.env("HOME", scratch.path()).env("XDG_RUNTIME_DIR", &run);
        command
    };
    let end = || {
        let daemon = crate::daemon::number_in(&state.join("lock"));
        kill_process(Pid::from_raw(daemon as i32).expect("a pid"), Signal::TERM).expect("signalled");
        while socket.exists() {
            sleep(Duration::from_millis(10));
        }
    };
    let first = told(command(&["run", "--", "true"]));
    assert!(first.code == 0 && first.err.contains("starting one"), "{first:?}");
    end();
    // As whoever lives in a lease calls it.
    let mut named = command(&["run", "--", "true"]);
    named.env("BURSAR_SOCKET", &socket);
    let second = told(named);
    assert!(second.code == 0 && second.err.contains("starting one"), "{second:?}");
    assert!(!socket.with_extension("state").exists(), "{second:?}");
    end();
    // One that is gone with its state is nobody's any more.
    let mut serve = command(&["serve", "--state"]);
    let other = scratch.path().join("other");
    let mut serve = serve.arg(&other).stderr(Stdio::null()).spawn().expect("started");
    while told(command(&["get", "claims"])).code != 0 {
        sleep(Duration::from_millis(20));
    }
    serve.kill().expect("killed");
    serve.wait().expect("ended");
    let refused = told(command(&["run", "--", "true"]));
    assert!(refused.code == 125 && refused.err.contains(&*other.to_string_lossy()), "{refused:?}");
    fs::remove_dir_all(&other).expect("removed");
    let again = told(command(&["run", "--", "true"]));
    assert!(again.code == 0 && again.err.contains("starting one"), "{again:?}");
    end();
}
