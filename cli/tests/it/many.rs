//! Much of everything: output, depth and number of short commands inside leases.
use crate::daemon::{Daemon, program};
use rustix::process::{Pid, Signal, kill_process};
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

/// Bytes that one command writes.
const OUTPUT: u64 = 1 << 30;
/// Short commands, and from how many starters at once.
const COMMANDS: usize = 2000;
const STARTERS: usize = 4;

#[test]
fn a_gigabyte_of_output_passes_at_the_memory_limit() {
    let daemon = Daemon::plain();
    let script = format!("head -c {OUTPUT} /dev/zero; exit 3");
    let mut run = daemon.command(&["run", "--memory", "16M", "--", "sh", "-c", &script]);
    let mut run = run.stdout(Stdio::piped()).spawn().expect("run");
    let mut out = run.stdout.take().expect("a pipe");
    let (mut bytes, mut count) = (vec![0; 1 << 20], 0);
    while let Ok(read @ 1..) = out.read(&mut bytes) {
        count += read as u64;
    }
    assert_eq!((count, run.wait().expect("ended").code()), (OUTPUT, Some(3)));
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn output_that_nobody_reads_ends_the_command_as_it_would_outside() {
    let daemon = Daemon::plain();
    let mut run = daemon.command(&["run", "--cpu", "0.5", "--", "yes"]);
    let mut run = run.stdout(Stdio::piped()).spawn().expect("run");
    let mut some = [0; 2];
    run.stdout.take().expect("a pipe").read_exact(&mut some).expect("some of it");
    assert_eq!(run.wait().expect("ended").code(), Some(128 + Signal::PIPE.as_raw()));
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn leases_go_three_deep() {
    let daemon = Daemon::plain();
    let bursar = program().display().to_string();
    let inner = ["run", "--cpu", "0.1", "--"];
    let nest = |script: &str| {
        let mut command = daemon.command(&inner);
        command.arg(&bursar).args(inner).arg(&bursar).args(inner).args(["sh", "-c", script]);
        command
    };
    let told = crate::daemon::told(nest("echo deep $BURSAR_CLAIM; exit 5"));
    assert_eq!((told.code, told.out.trim()), (5, "deep 3"), "{told:?}");
    let mut run = nest("trap 'exit 6' USR1; echo up; while :; do sleep 0.05; done");
    let mut run = run.stdout(Stdio::piped()).spawn().expect("run");
    let mut up = String::new();
    BufReader::new(run.stdout.take().expect("a pipe")).read_line(&mut up).expect("a line");
    kill_process(Pid::from_child(&run), Signal::USR1).expect("signalled");
    assert_eq!(run.wait().expect("ended").code(), Some(6), "through three of them");
    let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
    assert_eq!(claims.len(), 6);
    assert!(claims.iter().all(|claim| claim["phase"] == "closed"), "{claims:?}");
    assert_eq!(daemon.taken(), 0);
}

/// Open files, threads and cells of a daemon.
fn footprint(daemon: &Daemon) -> [usize; 3] {
    let entries = |folder: &str| {
        std::fs::read_dir(format!("/proc/{}/{folder}", daemon.pid())).expect("a folder").count()
    };
    let doctor = daemon.ask(&["doctor"]);
    let cells = doctor["findings"].as_array().and_then(|all| all.iter().find(|one| one["what"] == "cells"));
    let cells = cells.and_then(|one| one["detail"].as_str()?.split(' ').next()?.parse().ok());
    [entries("fd"), entries("task"), cells.expect("a number")]
}

#[test]
fn two_thousand_short_commands_leave_nothing_behind() {
    let daemon = Daemon::plain();
    let run = || {
        let mut command = Command::new(program());
        command.args(["run", "--cpu", "0.1", "--memory", "16M", "--wait", "60s", "--", "true"]);
        command.env("BURSAR_SOCKET", daemon.socket()).stdin(Stdio::null());
        assert!(command.status().expect("run").success());
    };
    run();
    let before = footprint(&daemon);
    std::thread::scope(|scope| {
        for _ in 0..STARTERS {
            scope.spawn(|| (0..COMMANDS / STARTERS).for_each(|_| run()));
        }
    });
    daemon.eventually("nothing is left", || {
        let after = footprint(&daemon);
        // A connection or two may be on its way out, and a pool of threads has more or fewer.
        after[0] <= before[0] + 4 && after[1] <= before[1] + 4 && after[2] == 0
    });
    assert_eq!(daemon.taken(), 0);
}
