//! The rungs between a grace and the end, on real processes: who borrowed is told at once, by event, by signal and
//! by its own `bursar run`; holds less, by the kernel's own limit; is frozen, and does nothing at all; goes on when
//! there is room; or ends.
use crate::daemon::{Daemon, LONG};
use serde_json::Value;
use std::{
    fs,
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Stdio},
    sync::mpsc::{Receiver, channel},
    thread::{sleep, spawn},
    time::{Duration, Instant},
};

/// Long enough for a process that is not frozen to be seen at work, on a busy machine.
const A_WHILE: Duration = Duration::from_millis(600);

/// A daemon whose node has two cpus and 64 MB, and that takes back without a grace.
fn daemon(rungs: &str, enforce: &str) -> Daemon {
    Daemon::configured(&format!(
        "[node.capacity]\ncpu = \"2\"\nmemory = \"64M\"\n[enforce]\ngrace-ms = 200\n{enforce}\n[preemption]\n\
         grace = \"0s\"\nmin-runtime = \"0s\"\nsignal = \"SIGUSR1\"\n{rungs}\n"
    ))
}

/// A command that runs in a lease of the worst class, and what its `bursar run` says.
struct Worker {
    run: Child,
    said: Receiver<String>,
    beats: std::path::PathBuf,
}

impl Worker {
    /// Writes to a file for as long as it runs, and says which signals it hears.
    fn start(daemon: &Daemon, name: &str, options: &[&str]) -> Worker {
        let beats = daemon.scratch.path().join(name);
        let file = beats.display();
        let script = format!(
            "trap 'echo told >> {file}.heard' USR1; trap 'echo on >> {file}.heard' CONT; \
             while :; do echo >> {file}; sleep 0.02; done"
        );
        let fixed = ["run", "--class", "best-effort", "--scope", "secret/one"];
        let command = [&fixed, options, &["--", "sh", "-c", &script]].concat();
        let mut run =
            daemon.command(&command).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
        let (tell, said) = channel();
        let stderr = run.stderr.take().expect("piped");
        spawn(move || BufReader::new(stderr).lines().map_while(Result::ok).try_for_each(|l| tell.send(l)));
        let worker = Worker { run, said, beats };
        daemon.eventually("the command runs", || worker.beats() > 2);
        worker
    }

    fn beats(&self) -> u64 {
        fs::metadata(&self.beats).map_or(0, |meta| meta.len())
    }

    fn heard(&self) -> String {
        fs::read_to_string(self.beats.with_extension("heard")).unwrap_or_default()
    }

    /// Waits until its `bursar run` says something, and gives the line.
    fn says(&self, words: &str) -> String {
        let since = Instant::now();
        loop {
            let line = self.said.recv_timeout(LONG.saturating_sub(since.elapsed()));
            let line = line.unwrap_or_else(|_| panic!("nobody says {words:?}"));
            if line.contains(words) {
                return line;
            }
        }
    }

    fn is_still(&self) -> bool {
        let before = self.beats();
        sleep(A_WHILE);
        self.beats() == before
    }

    fn end(mut self) -> Option<i32> {
        let _ = self.run.kill();
        self.run.wait().expect("it ends").code()
    }
}

/// The one lease of the worst class.
fn lease(daemon: &Daemon) -> Value {
    let claims = daemon.ask(&["get", "claims"]);
    let of_worker = |claim: &&Value| claim["scope"] == "secret/one" && claim["phase"] != "closed";
    claims["claims"].as_array().expect("claims").iter().find(of_worker).cloned().unwrap_or_default()
}

fn kinds(daemon: &Daemon) -> Vec<String> {
    let events = daemon.ask(&["get", "events"]);
    let kinds = events["events"].as_array().expect("events").iter();
    kinds.filter_map(|event| event["kind"].as_str().map(str::to_owned)).collect()
}

/// What somebody of a better class gets, as soon as it does.
fn take(daemon: &Daemon, options: &[&str]) -> Value {
    let fixed = ["claim", "--class", "guaranteed", "--scope", "team", "--wait", "60s", "--ttl", "1h"];
    daemon.ask(&[&fixed, options].concat())["claim"].clone()
}

fn give_back(daemon: &Daemon, claim: &Value) {
    let (id, fence) = (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
    let told = daemon.tell(&["release", id, "--fence", fence]);
    assert_eq!(told.code, 0, "{told:?}");
}

#[test]
fn where_less_is_enough_a_lease_shrinks_and_has_it_back_later() {
    let daemon = daemon("shrink = \"60s\"", "");
    let worker = Worker::start(&daemon, "shrunk", &["--cpu", "2", "--memory", "40M"]);
    let id = lease(&daemon)["id"].as_str().expect("an id").to_owned();
    let taken = take(&daemon, &["--cpu", "500m", "--memory", "30M"]);
    let said = worker.says("holds less");
    assert!(said.contains("cpu=1.5 of 2") && !said.contains("team"), "{said}");
    let claim = daemon.claim(&id);
    assert_eq!(claim["lessened"]["state"], "shrunk", "{claim}");
    let amount = |kind: &str| {
        let lines = daemon.claim(&id)["lines"].as_array().expect("lines").clone();
        lines.iter().find(|line| line["resource"] == kind).map(|line| line["amount"].clone())
    };
    assert_eq!(amount("cpu"), Some("1500".into()));
    assert_eq!(limit(claim["pids"][0].as_u64()), limited("150000"), "the kernel holds it to that");
    let shown = daemon.tell(&["get", "claims"]).out;
    assert!(shown.contains("shrunk"), "{shown}");
    daemon.eventually("its command hears the signal", || worker.heard().contains("told"));
    give_back(&daemon, &taken);
    daemon.eventually("it has all back", || amount("cpu") == Some("2000".into()));
    worker.says("holds again what it did");
    daemon.eventually("and by the kernel as well", || limit(claim["pids"][0].as_u64()) == limited("200000"));
    assert!(daemon.claim(&id)["lessened"].is_null());
    worker.end();
}

/// The quota for processor time of a process's group, where the kernel has one.
fn limit(pid: Option<u64>) -> Option<String> {
    let text = fs::read_to_string(format!("/proc/{}/cgroup", pid?)).ok()?;
    let path = text.lines().find(|line| line.contains(":cpu:") || line.contains(":cpu,"))?;
    let path = path.splitn(3, ':').nth(2)?;
    let file = Path::new("/sys/fs/cgroup/cpu").join(path.trim_start_matches('/')).join("cpu.cfs_quota_us");
    Some(fs::read_to_string(file).ok()?.trim().to_owned())
}

/// What [`limit`] must say here.
fn limited(quota: &str) -> Option<String> {
    let there = Path::new("/sys/fs/cgroup/cpu/cpu.cfs_quota_us").exists()
        || Path::new("/sys/fs/cgroup/cpu/cpu.shares").exists();
    if !there {
        eprintln!("skipped: the kernel's own quota is not looked at, no v1 cpu controller is here");
    }
    there.then(|| quota.to_owned())
}

fn frozen_and_thawed(enforce: &str) {
    let daemon = daemon("suspend = \"10m\"", enforce);
    let worker = Worker::start(&daemon, "frozen", &["--cpu", "2"]);
    let id = lease(&daemon)["id"].as_str().expect("an id").to_owned();
    let used = || cpu_ticks(daemon.claim(&id)["pids"][0].as_u64());
    let taken = take(&daemon, &["--cpu", "2"]);
    let said = worker.says("suspended");
    assert!(!said.contains("team"), "{said}");
    let claim = daemon.claim(&id);
    assert_eq!(
        (claim["lessened"]["state"].as_str(), claim["phase"].as_str()),
        (Some("suspended"), Some("held"))
    );
    assert!(claim["lessened"]["until"].is_string() && !claim.to_string().contains("team"), "{claim}");
    let before = used();
    assert!(worker.is_still(), "a frozen command does nothing");
    assert_eq!(used(), before, "and uses no processor time");
    let shown = daemon.tell(&["get", "claims"]).out;
    assert!(shown.contains("suspended until"), "{shown}");
    give_back(&daemon, &taken);
    worker.says("goes on");
    daemon.eventually("it works again", || !worker.is_still());
    daemon.eventually("it hears that it goes on", || worker.heard().contains("on"));
    assert!(daemon.claim(&id)["lessened"].is_null());
    for kind in ["preempting", "rung", "suspended", "spared", "resumed"] {
        assert!(kinds(&daemon).iter().any(|known| known == kind), "{kind} in {:?}", kinds(&daemon));
    }
    worker.end();
}

/// Processor time that a process has used, in the kernel's ticks.
fn cpu_ticks(pid: Option<u64>) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid?)).ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields[11].parse::<u64>().ok()? + fields[12].parse::<u64>().ok()?)
}

#[test]
fn where_processor_time_is_enough_a_lease_is_frozen_and_goes_on_when_there_is_room() {
    frozen_and_thawed("");
}

#[test]
fn where_there_are_no_control_groups_it_is_stopped_by_signal_and_its_run_does_not_stop_with_it() {
    frozen_and_thawed("cgroups = false");
}

#[test]
fn what_a_freeze_does_not_give_back_ends_the_lease() {
    let daemon = daemon("suspend = \"10m\"", "");
    let mut worker = Worker::start(&daemon, "ended", &["--cpu", "1", "--memory", "50M"]);
    let taken = take(&daemon, &["--memory", "30M"]);
    assert_eq!(taken["phase"], "held");
    worker.says("preempted");
    assert_eq!(worker.run.wait().expect("it ends").code(), Some(125));
    assert!(!kinds(&daemon).iter().any(|kind| kind == "suspended"), "nobody is frozen for nothing");
}

#[test]
fn a_lease_that_is_frozen_for_too_long_ends_and_its_run_says_so() {
    let daemon = daemon("suspend = \"2s\"", "");
    let mut worker = Worker::start(&daemon, "late", &["--cpu", "2"]);
    take(&daemon, &["--cpu", "2"]);
    worker.says("suspended");
    worker.says("preempted");
    assert_eq!(worker.run.wait().expect("it ends").code(), Some(125));
    daemon.eventually("nothing of it is left", || lease(&daemon).is_null());
}

#[test]
fn a_frozen_lease_stays_frozen_over_a_crash_of_the_daemon_and_ends_when_it_is_released() {
    let mut daemon = daemon("suspend = \"10m\"", "");
    let mut worker = Worker::start(&daemon, "crashed", &["--cpu", "2"]);
    let id = lease(&daemon)["id"].as_str().expect("an id").to_owned();
    take(&daemon, &["--cpu", "2"]);
    worker.says("suspended");
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.claim(&id)["lessened"]["state"], "suspended");
    assert!(worker.is_still(), "it is frozen yet");
    let told = daemon.tell(&["cancel", &id]);
    assert_eq!(told.code, 0, "{told:?}");
    let ended = worker.run.wait().expect("it ends");
    assert!(!ended.success(), "{ended}");
    daemon.await_phase(&id, "closed");
}

#[test]
fn who_waits_is_told_how_far_the_taking_has_come() {
    let daemon = Daemon::configured(
        "[node.capacity]\ncpu = \"2\"\nmemory = \"64M\"\n[preemption]\ngrace = \"2m\"\nmin-runtime = \"0s\"\n",
    );
    let worker = Worker::start(&daemon, "asked", &["--cpu", "2"]);
    let asked = ["claim", "--class", "guaranteed", "--scope", "team", "--cpu", "2", "--wait", "10m"];
    let mut waits =
        daemon.command(&asked).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    let pending = || {
        let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
        claims.into_iter().find(|claim| claim["phase"] == "pending")
    };
    daemon.eventually("it waits", || pending().is_some());
    let id = pending().expect("it waits")["id"].as_str().expect("an id").to_owned();
    let taking = || daemon.ask(&["explain", &id])["waiting_on"][0]["holders"][0]["preempting"].clone();
    daemon.eventually("its holder is told", || taking()["rung"] == "told" && taking()["why"] == "band");
    let shown = daemon.tell(&["explain", &id]).out;
    assert!(shown.contains("to end for another (band, told so far)"), "{shown}");
    waits.kill().and_then(|()| waits.wait()).expect("it ends");
    worker.end();
}
