//! `bursar run` and signals: what it hears is the command's, and nothing is left behind whenever it comes.
use crate::daemon::{Daemon, number_in, runs};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::{
    io::{BufRead, BufReader},
    process::{Child, ChildStdout, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

/// How often a signal is sent at another moment.
const MOMENTS: u64 = 40;

fn send(pid: u32, signal: Signal) {
    kill_process(Pid::from_raw(pid as i32).expect("a pid"), signal).expect("signalled");
}

fn state(pid: u32) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next()).unwrap_or('-')
}

/// A command that runs inside a lease, and what it says line by line.
fn speaking(daemon: &Daemon, script: &str) -> (Child, BufReader<ChildStdout>) {
    let mut command = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", script]);
    let mut run = command.stdout(Stdio::piped()).spawn().expect("run");
    let said = BufReader::new(run.stdout.take().expect("a pipe"));
    (run, said)
}

fn line(said: &mut impl BufRead) -> String {
    let mut line = String::new();
    said.read_line(&mut line).expect("a line");
    line.trim().into()
}

#[test]
fn every_signal_is_the_commands() {
    let daemon = Daemon::plain();
    let script = "for s in HUP INT QUIT TERM USR1 USR2 ALRM WINCH CONT; do trap \"echo $s\" $s; done; \
        echo $$; while :; do sleep 0.02; done";
    let (mut run, mut said) = speaking(&daemon, script);
    let command: u32 = line(&mut said).parse().expect("a pid");
    let sent = [
        ("HUP", Signal::HUP),
        ("INT", Signal::INT),
        ("QUIT", Signal::QUIT),
        ("TERM", Signal::TERM),
        ("USR1", Signal::USR1),
        ("USR2", Signal::USR2),
        ("ALRM", Signal::ALARM),
        ("WINCH", Signal::WINCH),
    ];
    for (name, signal) in sent {
        send(run.id(), signal);
        assert_eq!(line(&mut said), name);
    }
    // Both stop, whichever is told to, and both go on.
    for told in [run.id(), command] {
        send(told, Signal::TSTP);
        daemon.eventually("both are stopped", || state(command) == 'T' && state(run.id()) == 'T');
        send(run.id(), Signal::CONT);
        assert_eq!(line(&mut said), "CONT");
        daemon.eventually("both go on", || state(command) != 'T' && state(run.id()) != 'T');
    }
    send(command, Signal::KILL);
    assert_eq!(run.wait().expect("ended").code(), Some(137));
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn what_is_ignored_outside_is_ignored_inside() {
    let daemon = Daemon::plain();
    let bursar = crate::daemon::program().display().to_string();
    let script = format!("trap '' HUP; exec {bursar} run --cpu 0.2 -- sh -c 'echo up; sleep 0.6; echo done'");
    let mut command = Command::new("sh");
    command.args(["-c", &script]).env("BURSAR_SOCKET", daemon.socket()).stdout(Stdio::piped());
    let mut run = command.spawn().expect("run");
    let mut said = BufReader::new(run.stdout.take().expect("a pipe"));
    assert_eq!(line(&mut said), "up");
    send(run.id(), Signal::HUP);
    assert_eq!(line(&mut said), "done");
    assert!(run.wait().expect("ended").success());
}

#[test]
fn whoever_is_killed_is_not_renewed_for() {
    let daemon = Daemon::plain();
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 100", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--ttl", "5s", "--", "sh", "-c", &script]);
    let mut run = run.spawn().expect("run");
    let command = number_in(&file);
    run.kill().expect("killed");
    run.wait().expect("ended");
    assert!(runs(command), "it has its lease until that runs out");
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "lease_expired");
    assert!(!runs(command), "and ends with it");
    assert_eq!(daemon.taken(), 0);
}

/// Cells that are there, as the daemon says.
fn cells(daemon: &Daemon) -> String {
    let doctor = daemon.ask(&["doctor"]);
    let findings = doctor["findings"].as_array().expect("findings");
    let cells = findings.iter().find(|finding| finding["what"] == "cells").expect("cells");
    cells["detail"].as_str().and_then(|detail| detail.split(' ').next()).expect("a number").into()
}

#[test]
fn ctrl_c_leaves_nothing_behind_whenever_it_comes() {
    let daemon = Daemon::plain();
    for moment in 0..MOMENTS {
        let mut command = daemon.command(&["run", "--cpu", "0.2", "--", "sleep", "100"]);
        let mut run = command.stderr(Stdio::null()).spawn().expect("run");
        // From before it has asked until the command runs.
        sleep(Duration::from_micros(moment * 1500));
        send(run.id(), Signal::INT);
        let status = run.wait().expect("ended");
        let died = std::os::unix::process::ExitStatusExt::signal(&status);
        assert!(matches!((status.code(), died), (Some(125 | 130), _) | (_, Some(2))), "{moment}: {status}");
    }
    daemon.eventually("all of it came back", || daemon.taken() == 0);
    assert_eq!(cells(&daemon), "0");
}

#[test]
fn ctrl_c_at_the_moment_of_the_grant_leaves_nothing_behind() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let body = json!({ "lines": [{ "resource": "cpu", "amount": "1000" }] }).to_string();
    for moment in 0..MOMENTS {
        let held = daemon.http("POST", "/v1/claims", &body).1["claim"].clone();
        let text = |key: &str| held[key].as_str().expect("text").to_owned();
        let id: u64 = text("id").parse().expect("a number");
        let mut command = daemon.command(&["run", "--cpu", "1", "--wait", "1h", "--", "sleep", "100"]);
        let mut run = command.stderr(Stdio::null()).spawn().expect("run");
        daemon.await_phase(&(id + 1).to_string(), "pending");
        let release = json!({ "fence": text("fence") }).to_string();
        daemon.http("POST", &format!("/v1/claims/{id}/release"), &release);
        sleep(Duration::from_micros(moment * 250));
        send(run.id(), Signal::INT);
        let code = run.wait().expect("ended").code();
        assert!(matches!(code, Some(125 | 130)), "{moment}: {code:?}");
        // Long before it would run out.
        daemon.eventually("all of it came back", || daemon.taken() == 0);
    }
}

/// Delays between two signals, in microseconds, and how often each is tried.
const DELAYS: [u64; 6] = [0, 50, 200, 700, 1500, 2700];
const TIMES: usize = 10;

/// Whoever has not gone on by then does not by itself.
const STUCK: Duration = Duration::from_secs(3);

#[test]
fn told_to_stop_and_to_go_on_at_once_it_goes_on() {
    let daemon = Daemon::plain();
    let (mut run, mut said) = speaking(&daemon, "echo $$; exec sleep 100");
    let command: u32 = line(&mut said).parse().expect("a pid");
    let mut stuck = Vec::new();
    for moment in (0..TIMES).flat_map(|_| DELAYS) {
        send(run.id(), Signal::TSTP);
        sleep(Duration::from_micros(moment));
        send(run.id(), Signal::CONT);
        let (mut rounds, since) = (0, Instant::now());
        daemon.eventually(&format!("after {moment} us both go on"), || {
            // For as long as a stop may take that is on its way.
            let goes_on = state(command) != 'T' && state(run.id()) != 'T';
            rounds = if goes_on { rounds + 1 } else { 0 };
            if since.elapsed() > STUCK && !stuck.contains(&since) {
                stuck.push(since);
                send(run.id(), Signal::CONT);
            }
            rounds > 5
        });
    }
    // Between the last look and its own stop a process has microseconds in which it can be told in vain.
    assert!(stuck.len() <= 1, "{} of {}", stuck.len(), TIMES * DELAYS.len());
    send(command, Signal::KILL);
    assert_eq!(run.wait().expect("ended").code(), Some(137));
}

#[test]
fn how_a_command_ended_is_known_to_whoever_ignores_how_children_end() {
    let daemon = Daemon::plain();
    let ignoring = "import os, signal, sys\nsignal.signal(signal.SIGCHLD, signal.SIG_IGN)\n\
        os.execv(sys.argv[1], sys.argv[1:])";
    // Before there is a C library, with one, and with a command that takes its time.
    for (options, script) in [
        (&["--cpu", "0.1"][..], "exit 3"),
        (&["--cpu", "0.1", "--lock", "l"], "exit 3"),
        (&["--cpu", "0.1"], "sleep 0.3; exit 3"),
    ] {
        let mut python = Command::new("python3");
        python.args(["-c", ignoring]).arg(crate::daemon::program()).arg("run").args(options);
        python.args(["--", "sh", "-c", script]).env("BURSAR_SOCKET", daemon.socket()).stdin(Stdio::null());
        let Ok(output) = python.output() else {
            eprintln!("skipped: there is no python3");
            return;
        };
        assert_eq!(output.status.code(), Some(3), "{options:?} {script}: {output:?}");
    }
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn a_command_that_runs_goes_on_though_there_is_no_room_for_a_thread() {
    let daemon = Daemon::plain();
    // A thread's stack would be twice as much. The lease is shorter than the command.
    let bursar = crate::daemon::program().display().to_string();
    let run = format!("{bursar} run --cpu 0.1 --ttl 1s -- sh -c 'echo started; sleep 2; echo done; exit 4'");
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -d 1024; {run}; exit $?")]).env("BURSAR_SOCKET", daemon.socket());
    let output = command.stdin(Stdio::null()).output().expect("sh");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!((output.status.code(), &*said), (Some(4), "started\ndone\n"), "{output:?}");
    assert_eq!(daemon.taken(), 0);
}

/// Somebody who waits in line as claim 2, and never for a daemon that it would start.
fn waiting(daemon: &Daemon, verb: &[&str]) -> Child {
    let before = ["--cpu", "1", "--wait", "1h", "--no-autostart"];
    let words = [&verb[..1], &before, &verb[1..]].concat();
    let child = daemon.command(&words).stderr(Stdio::piped()).spawn().expect("the program");
    daemon.await_phase("2", "pending");
    child
}

/// What it says last when it is told to end.
fn last_words(child: Child) -> String {
    send(child.id(), Signal::TERM);
    String::from_utf8(child.wait_with_output().expect("ended").stderr).expect("text")
}

#[test]
fn who_is_told_to_end_while_it_waits_says_what_became_of_its_claim() {
    const FULL: &str = "[node.capacity]\ncpu = \"1\"\n";
    let withdrawn = "SIGTERM while waiting: the claim is withdrawn\n";
    let daemon = Daemon::configured(FULL);
    assert_eq!(daemon.tell(&["claim", "--cpu", "1"]).code, 0);
    let said = last_words(waiting(&daemon, &["claim"]));
    assert!(said.ends_with(withdrawn), "{said}");
    assert_eq!(daemon.claim("2")["ending"], "cancelled", "and so it is");

    for (verb, says) in [
        (&["claim", "--ttl", "90s"][..], "if it was granted, it ends after its ttl (90s)"),
        (&["claim"], "if it was granted, it ends after its ttl (1h)"),
        (&["run", "--", "true"], "the claim goes with it"),
    ] {
        let mut daemon = Daemon::configured(FULL);
        assert_eq!(daemon.tell(&["claim", "--cpu", "1"]).code, 0);
        let child = waiting(&daemon, verb);
        daemon.kill();
        let said = last_words(child);
        assert!(said.contains(says) && !said.contains("is withdrawn"), "{verb:?}: {said}");
        let whom = said.contains("no daemon answers on") || verb[0] == "run";
        assert!(whom, "{verb:?}: {said}");
    }
}
