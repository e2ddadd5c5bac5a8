//! A live lease holds more or less, and the kernel knows; one of several sets of lines is enough.
use crate::daemon::{Daemon, LONG, number_in};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{fs, process::Child, time::Instant};

const MIB: u64 = 1 << 20;

/// A command that runs in its lease, with what it prints its pid to.
struct Running {
    child: Child,
    pid: u32,
    id: String,
    fence: String,
}

impl Running {
    fn start(daemon: &Daemon, options: &[&str], script: &str) -> Running {
        let file = daemon.scratch.path().join(format!("pid-{}", options.join("")));
        let script = format!("{script}; echo $$ > {}; while :; do sleep 1; done", file.display());
        let child = daemon.command(&[&["run"], options, &["--", "sh", "-c", &script]].concat()).spawn();
        let (child, pid) = (child.expect("the program"), number_in(&file));
        let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
        let inside = |claim: &&Value| claim["pids"].as_array().is_some_and(|pids| pids.contains(&json!(pid)));
        let claim = claims.iter().find(inside).expect("the command's claim").clone();
        let text = |key: &str| claim[key].as_str().expect("digits").to_owned();
        Running { child, pid, id: text("id"), fence: text("fence") }
    }

    /// `bursar extend` or `bursar shrink` with these sizes: exit code, and the answer or what was said.
    fn resize(&self, daemon: &Daemon, verb: &str, sizes: &[&str]) -> (i32, String) {
        let told = daemon.tell(&[&[verb, &self.id, "--fence", &self.fence, "-o", "json"], sizes].concat());
        (told.code, told.out + &told.err)
    }

    /// The number in the first of these files that its control groups have: `controller/file`.
    fn limit(&self, files: &[&str]) -> Option<u64> {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", self.pid)).expect("it runs");
        let path = |controller: &str| {
            let parts = groups.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
            let of = |(names, _): &(&str, &str)| names.split(',').any(|name| name == controller);
            parts.into_iter().find(of).map(|(_, path)| path.to_owned())
        };
        files.iter().find_map(|file| {
            let (controller, name) = file.split_once('/').expect("controller/file");
            let roots = match controller {
                "" => vec!["/sys/fs/cgroup".to_owned(), "/sys/fs/cgroup/unified".to_owned()],
                other => vec![format!("/sys/fs/cgroup/{other}")],
            };
            let inside = path(controller)?;
            let text =
                roots.iter().find_map(|root| fs::read_to_string(format!("{root}{inside}/{name}")).ok())?;
            text.split_whitespace().next()?.parse().ok()
        })
    }

    fn memory(&self) -> Option<u64> {
        self.limit(&["memory/memory.limit_in_bytes", "/memory.max"])
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // The command is ended by way of `run`, which gives the lease back.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        let _ = self.child.wait();
    }
}

fn held(daemon: &Daemon, id: &str, kind: &str) -> u64 {
    let claim = daemon.claim(id);
    let lines = claim["lines"].as_array().expect("lines").clone();
    let line = lines.iter().find(|line| line["resource"] == kind).expect("the line").clone();
    line["amount"].as_str().and_then(|text| text.parse().ok()).expect("digits")
}

#[test]
fn the_kernels_limit_follows_and_what_is_in_use_is_not_taken() {
    let daemon = Daemon::plain();
    let fill = "x=$(head -c 48000000 /dev/zero | tr '\\0' x)";
    let running = Running::start(&daemon, &["--memory", "256M", "--pids", "40", "--cpu", "0.5"], fill);
    if running.memory() != Some(256 * MIB) {
        eprintln!("skipped: no limits on memory here");
        return;
    }
    let (code, out) = running.resize(&daemon, "extend", &["memory=320M", "cpu=0.6"]);
    assert_eq!((code, running.memory()), (0, Some(320 * MIB)), "{out}");
    assert_eq!(running.limit(&["cpu/cpu.cfs_quota_us", "/cpu.max"]), Some(60_000));
    let (code, out) = running.resize(&daemon, "shrink", &["memory=160M", "pids=20"]);
    assert_eq!((code, running.memory()), (0, Some(160 * MIB)), "{out}");
    assert_eq!(running.limit(&["pids/pids.max", "/pids.max"]), Some(20));
    assert_eq!((held(&daemon, &running.id, "memory"), held(&daemon, &running.id, "pids")), (160 * MIB, 20));
    // Said again, after a lost answer.
    assert_eq!(running.resize(&daemon, "shrink", &["memory=160M", "pids=20"]).0, 0);
    // Some 48 MB are in use: nobody is killed, and all of it stays as it was.
    let (code, out) = running.resize(&daemon, "shrink", &["memory=8M", "cpu=0.3", "pids=10"]);
    assert!(code == 4 && out.contains("InUse") && out.contains("in use"), "{code} {out}");
    assert_eq!((running.memory(), held(&daemon, &running.id, "memory")), (Some(160 * MIB), 160 * MIB));
    assert_eq!(held(&daemon, &running.id, "cpu"), 600);
    assert!(crate::daemon::runs(running.pid), "the command lives on");
    let events = daemon.ask(&["get", "events"])["events"].as_array().expect("events").clone();
    let kinds = |kind: &str| events.iter().filter(|event| event["kind"] == kind).count();
    assert_eq!((kinds("resizing"), kinds("resized"), kinds("resize_failed")), (3, 2, 1));
}

#[test]
fn what_a_shrink_frees_goes_to_who_waits_once_the_kernel_has_it_back() {
    let daemon = Daemon::plain();
    let pools = daemon.ask(&["get", "pools"])["pools"].as_array().expect("pools").clone();
    let cpu = pools.iter().find(|pool| pool["resource"] == "cpu").expect("cpu")["capacity"].clone();
    let all: u64 = cpu.as_str().and_then(|text| text.parse().ok()).expect("digits");
    let running = Running::start(&daemon, &["--cpu", &format!("{all}m")], ":");
    let half = (all / 2).to_string();
    let waiting = json!({ "wait": "60s", "lines": [{ "resource": "cpu", "amount": half }] }).to_string();
    let (granted, shrunk) = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| daemon.http("POST", "/v1/claims", &waiting));
        let pending = || daemon.ask(&["get", "claims"]).to_string().contains("pending");
        daemon.eventually("it waits", pending);
        let shrunk = running.resize(&daemon, "shrink", &[&format!("cpu={}m", all / 2)]);
        (waiter.join().expect("no panic"), shrunk)
    });
    assert_eq!((granted.0, shrunk.0), (201, 0), "{granted:?} {shrunk:?}");
    let (code, out) = running.resize(&daemon, "extend", &[&format!("cpu={all}m")]);
    assert!(code == 4 && out.contains("InsufficientCapacity"), "{out}");
}

#[test]
fn a_change_under_way_outlives_the_daemon() {
    let mut daemon = Daemon::plain();
    let running = Running::start(&daemon, &["--memory", "128M"], ":");
    if running.memory() != Some(128 * MIB) {
        eprintln!("skipped: no limits on memory here");
        return;
    }
    assert_eq!(running.resize(&daemon, "extend", &["memory=192M"]).0, 0);
    daemon.kill();
    daemon.start();
    assert_eq!((running.memory(), held(&daemon, &running.id, "memory")), (Some(192 * MIB), 192 * MIB));
    assert_eq!(running.resize(&daemon, "shrink", &["memory=96M"]).0, 0);
    assert_eq!(running.memory(), Some(96 * MIB));
}

#[test]
fn the_first_set_of_lines_that_fits_is_granted() {
    let daemon = Daemon::plain();
    let claim = daemon.ask(&["claim", "--cpu", "9999", "--or", "memory=1M,lock:build", "--or", "memory=2M"]);
    let claim = &claim["claim"];
    assert_eq!((&claim["alternative"], &claim["phase"]), (&json!(1), &json!("held")), "{claim}");
    assert_eq!(
        (&claim["lines"][0]["amount"], &claim["lines"][1]["pool"]),
        (&json!("1048576"), &json!("build"))
    );
    let second = daemon.ask(&["claim", "--lock", "build", "--or", "memory=2M"]);
    assert_eq!(second["claim"]["alternative"], 1);
    // It waits with both, and gets what comes back first.
    let since = Instant::now();
    let body = json!({
        "wait": "60s",
        "lines": [{ "resource": "cpu", "amount": "1" }, { "resource": "lock", "pool": "build", "whole": true }],
        "alternatives": [{ "lines": [{ "resource": "lock", "pool": "build" }] }],
    });
    let granted = std::thread::scope(|scope| {
        let waiter = scope.spawn(|| daemon.http("POST", "/v1/claims", &body.to_string()));
        daemon.eventually("it waits", || daemon.ask(&["get", "claims"]).to_string().contains("pending"));
        let (id, fence) = (claim["id"].as_str().expect("id"), claim["fence"].as_str().expect("fence"));
        assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
        waiter.join().expect("no panic").1
    });
    assert_eq!(granted["claim"]["alternative"], 0, "{granted}");
    assert!(since.elapsed() < LONG);
    for (set, code, told) in [("memory", 2, "no amount"), ("memory=1M,tpu=1", 3, "alternative 1")] {
        let told_so = daemon.tell(&["claim", "--cpu", "1", "--or", set]);
        assert!(told_so.code == code && told_so.err.contains(told), "{set}: {told_so:?}");
    }
    assert_eq!(daemon.tell(&["run", "--cpu", "9999", "--or", "memory=64M", "--", "true"]).code, 0);
}

#[test]
fn sizes_are_told_in_batches_and_wrong_ones_by_name() {
    let daemon = Daemon::plain();
    let claim = daemon.ask(&["claim", "--memory", "4M", "--lock", "a"])["claim"].clone();
    let (id, fence) = (claim["id"].clone(), claim["fence"].clone());
    let resize = |verb: &str, amount: u64| {
        let lines = json!([{ "resource": "memory", "amount": amount.to_string() }]);
        json!({ verb: { "id": id, "fence": fence, "lines": lines } })
    };
    let body = json!({ "operations": [resize("shrink", MIB), resize("extend", 2 * MIB)] }).to_string();
    let (status, answer) = daemon.http("POST", "/v1/batch", &body);
    // The extension comes after all that gives back, so both are answered with what holds then.
    assert_eq!(
        (status, &answer["answers"][1]["claim"]["lines"][0]["amount"]),
        (200, &json!("2097152")),
        "{answer}"
    );
    let path = |verb: &str| format!("/v1/claims/{}/{verb}", id.as_str().expect("digits"));
    for (verb, lines, status, told) in [
        ("extend", json!([{ "resource": "lock", "amount": "9" }]), 400, "held as it is"),
        ("extend", json!([{ "resource": "gpu", "amount": "9" }]), 400, "holds no gpu"),
        ("shrink", json!([{ "resource": "memory", "amount": "9G" }]), 400, "base units"),
        ("shrink", json!([]), 400, "nothing"),
    ] {
        let body = json!({ "fence": fence, "lines": lines }).to_string();
        let (found, answer) = daemon.http("POST", &path(verb), &body);
        assert!(found == status && answer.to_string().contains(told), "{verb} {lines}: {found} {answer}");
    }
    let stale = json!({ "fence": "1", "lines": [{ "resource": "memory", "amount": "1048576" }] }).to_string();
    assert_eq!(daemon.http("POST", &path("shrink"), &stale).1["error"]["reason"], "StaleFence");
}
