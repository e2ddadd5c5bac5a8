//! Time that stands still, jumps and ends: no lease ends early, none lives on for ever, no token comes twice.
use crate::daemon::{Daemon, LONG};
use serde_json::{Value, json};
use std::{
    collections::BTreeSet,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

fn ask(daemon: &Daemon, ttl: &str) -> Value {
    let body = json!({ "ttl": ttl, "lines": [{ "resource": "memory", "amount": "4096" }] });
    daemon.http("POST", "/v1/claims", &body.to_string()).1["claim"].clone()
}

#[test]
fn a_disk_that_takes_seconds_delays_answers_and_nothing_else() {
    if !Command::new("strace").arg("--version").output().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: strace is not installed");
        return;
    }
    let daemon = Daemon::plain();
    let (long, short) = (ask(&daemon, "1h"), ask(&daemon, "2500ms"));
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        "inject=fdatasync:delay_enter=2000000",
    ]);
    let mut strace =
        strace.args(["-p", &daemon.pid().to_string()]).stderr(Stdio::null()).spawn().expect("strace");
    std::thread::sleep(Duration::from_millis(400));
    if strace.try_wait().expect("a look").is_some() {
        eprintln!("skipped: strace may not trace here");
        return;
    }
    let since = Instant::now();
    let late = ask(&daemon, "1h");
    assert_eq!(late["phase"], "held", "{late}");
    assert!(since.elapsed() > Duration::from_millis(1500), "the answer waits for the disk");
    strace.kill().expect("killed");
    strace.wait().expect("ended");
    let id = |claim: &Value| claim["id"].as_str().expect("an id").to_owned();
    assert_eq!(daemon.await_phase(&id(&short), "closed")["ending"], "lease_expired");
    assert_eq!(daemon.claim(&id(&long))["phase"], "held");
    assert_eq!(daemon.claim(&id(&late))["phase"], "held");
}

/// Leases at a restart, and how many of them run out meanwhile.
const LEASES: usize = 10_000;
const SHORT: usize = 1_000;

#[test]
fn ten_thousand_leases_outlive_a_crash_and_end_when_they_should() {
    let mut daemon = Daemon::plain();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let daemon = &daemon;
            scope.spawn(move || {
                let mut client = daemon.client();
                for number in (thread..LEASES).step_by(8) {
                    let ttl = if number < SHORT { "3s" } else { "1h" };
                    let body = json!({ "ttl": ttl, "lines": [{ "resource": "memory", "amount": "4096" }] });
                    client.send::<Value>("POST", "/v1/claims", &body, None).expect("granted");
                }
            });
        }
    });
    daemon.kill();
    // Longer than the short ones last.
    std::thread::sleep(Duration::from_millis(3200));
    daemon.start();
    let back = Instant::now();
    let listed = daemon.ask(&["get", "claims"]);
    let claims = listed["claims"].as_array().expect("claims").clone();
    let fences: BTreeSet<u64> =
        claims.iter().filter_map(|claim| claim["fence"].as_str()?.parse().ok()).collect();
    assert_eq!(fences.len(), claims.len(), "no token was given out twice");
    let count = |claims: &Value, phase: &str| {
        let claims = claims["claims"].as_array().expect("claims").iter();
        claims.filter(|claim| claim["phase"] == phase).count()
    };
    let held = |daemon: &Daemon| count(&daemon.ask(&["get", "claims"]), "held");
    // Those that ran out while nobody could renew them have one grace, of their own length, and no more.
    daemon.eventually("the short ones end", || held(&daemon) == LEASES - SHORT);
    assert!(back.elapsed() < LONG);
    let next = ask(&daemon, "1h");
    let fence: u64 = next["fence"].as_str().and_then(|fence| fence.parse().ok()).expect("a fence");
    assert!(fences.iter().all(|before| *before < fence), "tokens rise");
}
