//! SIGHUP to a daemon: without a terminal, under `nohup`, and when its terminal is closed.
use crate::daemon::{Daemon, LONG, program};
use bursar_wire::Client;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

#[test]
fn a_daemon_without_a_terminal_looks_again_when_it_is_told_to() {
    let mut daemon = Daemon::plain();
    for (within, looks) in [(&["setsid"][..], true), (&["nohup"], false)] {
        daemon.kill();
        daemon.start_within(within);
        let pid = Pid::from_raw(daemon.pid() as i32).expect("a pid");
        kill_process(pid, Signal::HUP).expect("sent");
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0, "{}", daemon.log());
        let since = Instant::now();
        while looks && !daemon.log().contains("as SIGHUP asks") {
            assert!(since.elapsed() < LONG, "{}", daemon.log());
            sleep(Duration::from_millis(5));
        }
        assert_eq!(daemon.ended(), None, "{}", daemon.log());
    }
}

#[test]
fn a_terminal_that_is_closed_ends_its_daemon_in_good_order() {
    let scratch = tempfile::tempdir().expect("a folder");
    let (state, socket) = (scratch.path().join("state"), scratch.path().join("sock"));
    let serve =
        format!("{} serve --state {} --socket {}", program().display(), state.display(), socket.display());
    let mut terminal = Command::new("script");
    terminal.args(["--quiet", "--command", &serve, "/dev/null"]).stdin(Stdio::null()).stdout(Stdio::null());
    let mut terminal = terminal.spawn().expect("a terminal");
    let since = Instant::now();
    while !Client::new(&socket).alive() {
        assert!(since.elapsed() < LONG, "it does not come up");
        sleep(Duration::from_millis(5));
    }
    terminal.kill().and_then(|()| terminal.wait()).expect("closed");
    // What is closed in good order is one file again.
    while state.join("journal.sqlite-wal").exists() {
        assert!(since.elapsed() < LONG, "it did not end");
        sleep(Duration::from_millis(5));
    }
    assert!(state.join("journal.sqlite").exists());
}
