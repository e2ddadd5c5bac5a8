//! Time that stands still, jumps and ends: no lease ends early, none lives on for ever, no token comes twice.
use crate::{
    daemon::{Daemon, LONG, Lasting},
    strained::Strained,
};
use rustix::process::{Pid, Signal, kill_process};
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
    a_slow_disk(Duration::from_secs(2));
}

#[test]
#[ignore = "slow: takes half a minute"]
fn a_disk_that_takes_half_a_minute_delays_answers_and_nothing_else() {
    a_slow_disk(Duration::from_secs(30));
}

/// With a disk that takes so long for every sync.
fn a_slow_disk(takes: Duration) {
    let daemon = Daemon::plain();
    let (long, short) = (ask(&daemon, "1h"), ask(&daemon, "2500ms"));
    let Some(slow) = Strained::slow(&daemon, takes) else { return };
    let since = Instant::now();
    let body = json!({ "ttl": "1h", "lines": [{ "resource": "memory", "amount": "4096" }] });
    // Longer than one sync that is under way, and its own.
    let mut client = bursar_wire::Client::new(&daemon.socket()).patience(takes * 3);
    let late = client.send::<Value>("POST", "/v1/claims", &body, None).expect("granted")["claim"].clone();
    assert_eq!(late["phase"], "held", "{late}");
    assert!(since.elapsed() > takes * 3 / 4, "the answer waits for the disk");
    drop(slow);
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

#[test]
fn restart_after_restart_a_lease_has_one_grace() {
    let mut daemon = Daemon::plain();
    let claim = id(&ask(&daemon, "3s"));
    let since = Instant::now();
    let held = |daemon: &Daemon| daemon.claim(&claim)["phase"] == "held";
    while held(&daemon) {
        // Its own length, and as much again as its grace; then the start that finds it over.
        assert!(since.elapsed() < Duration::from_secs(6 + 3), "each restart made it longer");
        std::thread::sleep(Duration::from_secs(1));
        daemon.kill();
        daemon.start();
    }
    assert!(since.elapsed() > Duration::from_millis(2900), "it ended early");
    assert_eq!(daemon.await_phase(&claim, "closed")["ending"], "lease_expired");
}

fn fence(claim: &Value) -> u64 {
    claim["fence"].as_str().and_then(|fence| fence.parse().ok()).expect("a fence")
}

fn id(claim: &Value) -> String {
    claim["id"].as_str().expect("an id").to_owned()
}

/// The year in which a lease will end, as it is shown.
fn year(daemon: &Daemon, claim: &Value) -> i32 {
    let until = daemon.claim(&id(claim))["lease_until"].as_str().expect("a time").to_owned();
    until.split('-').next().and_then(|year| year.parse().ok()).expect("a year")
}

/// Whether this machine lets the program be started behind these words.
fn can(words: &[&str]) -> bool {
    let done = Command::new(words[0]).args(&words[1..]).arg("true").stdin(Stdio::null()).output();
    done.is_ok_and(|output| output.status.success())
}

#[test]
fn a_wall_clock_that_jumps_is_only_shown() {
    let library = "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1";
    if !std::path::Path::new(library).exists() {
        eprintln!("skipped: libfaketime is not installed");
        return;
    }
    let mut daemon = Daemon::plain();
    let file = daemon.scratch.path().join("wall");
    // Put in place at once: half a file would be a clock of its own.
    let jump = |offset: &str| {
        std::fs::write(file.with_extension("new"), offset).expect("written");
        std::fs::rename(file.with_extension("new"), &file).expect("in place");
    };
    jump("+0");
    let (preload, wall) =
        (format!("LD_PRELOAD={library}"), format!("FAKETIME_TIMESTAMP_FILE={}", file.display()));
    let within = ["env", &preload, &wall, "FAKETIME_NO_CACHE=1", "FAKETIME_DONT_FAKE_MONOTONIC=1"];
    daemon.kill();
    daemon.start_within(&within);
    let long = ask(&daemon, "1h");
    let (now, mut fences) = (year(&daemon, &long), vec![fence(&long)]);
    for (offset, years) in [("+3650d", 10), ("-3650d", -10), ("+0", 0)] {
        let (since, short) = (Instant::now(), ask(&daemon, "2s"));
        fences.push(fence(&short));
        jump(offset);
        daemon.eventually("it is shown", || (year(&daemon, &long) - now - years).abs() <= 1);
        while since.elapsed() < Duration::from_millis(1800) {
            let before = Instant::now();
            let phase = daemon.claim(&id(&short))["phase"].clone();
            assert!(phase == "held" || before.elapsed() > Duration::from_millis(100), "{offset}: {phase}");
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(daemon.await_phase(&id(&short), "closed")["ending"], "lease_expired", "{offset}");
        let renew = json!({ "fence": long["fence"] }).to_string();
        assert_eq!(daemon.http("POST", &format!("/v1/claims/{}/renew", id(&long)), &renew).0, 200);
        // A restart is no moment for it to be believed either.
        daemon.kill();
        daemon.start();
        assert_eq!(daemon.claim(&id(&long))["phase"], "held", "{offset}");
        fences.push(fence(&ask(&daemon, "1h")));
    }
    assert!(fences.is_sorted_by(|before, after| before < after), "tokens rise: {fences:?}");
}

#[test]
fn time_that_a_machine_slept_through_is_time() {
    let within = ["unshare", "--time", "--boottime", "7200", "--"];
    if !can(&within) {
        eprintln!("skipped: no time of one's own here");
        return;
    }
    let mut daemon = Daemon::plain();
    let (hour, three) = (ask(&daemon, "1h"), ask(&daemon, "3h"));
    daemon.kill();
    // As after two hours of sleep: boot time has gone on, and nothing else has.
    daemon.start_within(&within);
    let back = Instant::now();
    // It has one grace to be renewed in, and that is all.
    assert_eq!(daemon.claim(&id(&hour))["phase"], "held");
    std::thread::sleep(Duration::from_secs(20));
    assert_eq!(daemon.claim(&id(&hour))["phase"], "held", "not before its grace is over");
    daemon.eventually("it runs out", || daemon.claim(&id(&hour))["ending"] == "lease_expired");
    assert!(back.elapsed() < GRACE + Duration::from_secs(10));
    assert_eq!(daemon.claim(&id(&three))["phase"], "held");
    assert!(fence(&ask(&daemon, "1h")) > fence(&three));
}

/// What leases that ran out meanwhile get at most.
const GRACE: Duration = Duration::from_secs(30);

#[test]
fn another_boot_ends_what_had_processes_and_nothing_else() {
    let mut daemon = Daemon::plain();
    let boot = daemon.scratch.path().join("boot");
    std::fs::write(&boot, "6ba7b810-9dad-11d1-80b4-00c04fd430c8\n").expect("written");
    let script =
        format!("mount --bind {} /proc/sys/kernel/random/boot_id && exec \"$0\" \"$@\"", boot.display());
    let uptime = std::fs::read_to_string("/proc/uptime").expect("/proc");
    let uptime: f64 = uptime.split(' ').next().and_then(|seconds| seconds.parse().ok()).expect("seconds");
    // The machine was up for half a minute.
    let earlier = format!("{}", 30 - uptime as i64);
    let within = ["unshare", "--mount", "--time", "--boottime", &earlier, "--", "sh", "-c", &script];
    if !can(&within) {
        eprintln!("skipped: no boot of one's own here");
        return;
    }
    let mut child = Command::new("sleep").arg("300").spawn().expect("sleep");
    let (bodied, plain, short) = (ask(&daemon, "1h"), ask(&daemon, "1h"), ask(&daemon, "3s"));
    let attach = json!({ "fence": bodied["fence"], "pid": child.id() }).to_string();
    assert_eq!(daemon.http("POST", &format!("/v1/claims/{}/attach", id(&bodied)), &attach).0, 200);
    daemon.kill();
    daemon.start_within(&within);
    let back = Instant::now();
    daemon.eventually("its process is of another boot", || {
        let ending = daemon.claim(&id(&bodied))["ending"].clone();
        ending == "rebooted"
    });
    assert_eq!(daemon.claim(&id(&plain))["phase"], "held");
    daemon.eventually("the short one runs out", || daemon.claim(&id(&short))["ending"] == "lease_expired");
    // Its time and one grace of the same length.
    assert!(
        (Duration::from_secs(1)..Duration::from_secs(10)).contains(&back.elapsed()),
        "{:?}",
        back.elapsed()
    );
    let next = ask(&daemon, "1h");
    assert!([&bodied, &plain, &short].into_iter().all(|before| fence(before) < fence(&next)));
    assert_eq!(daemon.await_phase(&id(&bodied), "closed")["ending"], "rebooted");
    let _ = child.kill();
    child.wait().expect("ended");
}

#[test]
fn a_daemon_that_was_stopped_for_longer_than_leases_last_hears_their_holders_first() {
    let daemon = Daemon::plain();
    let run = || Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--ttl", "2s", "--", "cat"]));
    let runs = [run(), run(), run()];
    for id in ["1", "2", "3"] {
        daemon.await_phase(id, "held");
    }
    let nobodys = ask(&daemon, "2s")["id"].as_str().expect("an id").to_owned();
    for _ in 0..2 {
        let pid = Pid::from_raw(daemon.pid() as i32).expect("a pid");
        kill_process(pid, Signal::STOP).expect("stopped");
        std::thread::sleep(Duration::from_secs(4));
        kill_process(pid, Signal::CONT).expect("it goes on");
        // Long enough for a grace to end.
        std::thread::sleep(Duration::from_millis(3000));
        for id in ["1", "2", "3"] {
            assert_eq!(daemon.claim(id)["phase"], "held", "{}", daemon.log());
        }
    }
    assert!(runs.into_iter().all(Lasting::end), "whoever kept its lease ends when it wants to");
    assert_eq!(daemon.claim(&nobodys)["ending"], "lease_expired", "one grace, and no more");
}
