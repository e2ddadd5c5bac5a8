//! When what becomes of a command is written down: that it lives in its lease with whatever comes next, and that all of
//! it came back with its return.
use crate::daemon::{Daemon, Lasting};
use std::time::{Duration, Instant};

/// What happened to a claim.
fn kinds(daemon: &Daemon, claim: &str) -> Vec<String> {
    let all = daemon.ask(&["get", "events"]);
    let own = all["events"].as_array().expect("events").iter().filter(|event| event["claim"] == *claim);
    own.map(|event| event["kind"].as_str().expect("a kind").to_owned()).collect()
}

#[test]
fn what_a_short_command_came_to_is_told_in_order() {
    let daemon = Daemon::plain();
    // The first one may find the edges cold.
    for _ in 0..2 {
        assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
    }
    let closed = daemon.claim("2");
    assert_eq!((&closed["phase"], &closed["ending"]), (&"closed".into(), &"released".into()));
    assert!(closed["evidence"].as_str().is_some_and(|why| why.starts_with("cell was empty")), "{closed}");
    let told = kinds(&daemon, "2");
    // What a processor's kind was measured at is settled before that is told, where it can be measured.
    let told: Vec<&str> = told.iter().map(String::as_str).filter(|kind| *kind != "settled").collect();
    assert_eq!(told, ["queued", "granted", "attached", "enforced", "draining", "measured", "closed"]);
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn that_a_command_lives_in_its_lease_is_written_down_though_nothing_else_happens() {
    let daemon = Daemon::plain();
    let run = Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--", "cat"]));
    daemon.await_phase("1", "held");
    let since = Instant::now();
    daemon.eventually("it is written down", || kinds(&daemon, "1").contains(&"enforced".to_owned()));
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    assert!(run.end());
}

#[test]
fn a_daemon_that_dies_before_it_has_written_that_down_finds_it_out() {
    let mut daemon = Daemon::plain();
    let run = Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "held");
    daemon.eventually("it is written down", || kinds(&daemon, "1").contains(&"enforced".to_owned()));
    assert!(run.end());
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "released");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn whoever_leaves_something_behind_is_taken_back_as_ever() {
    let daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
    let left = "setsid sleep 300 > /dev/null 2>&1 < /dev/null & echo $!";
    let told = daemon.tell(&["run", "--cpu", "0.1", "--", "sh", "-c", left]);
    let pid: u32 = told.out.trim().parse().expect("a pid");
    assert_eq!(daemon.await_phase("2", "closed")["ending"], "released");
    assert!(!crate::daemon::runs(pid), "{told:?}");
    let evidence = daemon.claim("2")["evidence"].clone();
    assert!(evidence.as_str().is_some_and(|why| !why.contains("was empty")), "{evidence}");
    assert_eq!(daemon.taken(), 0);
}
