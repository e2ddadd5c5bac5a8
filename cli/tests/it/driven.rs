//! Leases over driven kinds: what their processes find, what is measured and limited, and what is taken back of
//! whatever no lease has.
use crate::daemon::{Daemon, Setup};
use bursar_conformance::badly_behaved;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

const OFTEN: &str = "[enforce]\nreconcile-ms = 100\ngrace-ms = 100\n";

fn found(daemon: &Daemon, kind: &str) -> Option<Value> {
    let findings = daemon.ask(&["get", "findings"]);
    let all = findings["findings"].as_array().expect("findings");
    all.iter().find(|finding| finding["kind"] == kind).cloned()
}

fn pool(daemon: &Daemon, kind: &str) -> Value {
    let pools = daemon.ask(&["get", "pools"]);
    let all = pools["pools"].as_array().expect("pools");
    all.iter().find(|pool| pool["resource"] == kind).cloned().unwrap_or_default()
}

/// The scratch folders that are there.
fn folders(daemon: &Daemon) -> Vec<PathBuf> {
    let entries = fs::read_dir(daemon.state().join("scratch")).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// A figure of `doctor`, if it is known.
fn figure(daemon: &Daemon, name: &str) -> Option<f64> {
    let told = daemon.tell(&["doctor", "-o", "json"]).json();
    let all = told["findings"].as_array().expect("findings").iter();
    all.filter(|row| row["what"] == name).find_map(|row| row["detail"].as_str()?.parse().ok())
}

#[test]
fn a_command_has_a_scratch_folder_for_as_long_as_it_runs() {
    let daemon = Daemon::configured(OFTEN);
    assert!(pool(&daemon, "disk")["capacity"].as_str().is_some_and(|bytes| bytes.len() > 6));
    let told = daemon.scratch.path().join("told");
    let script = format!(
        "head -c 3000000 /dev/zero > $BURSAR_SCRATCH/file; echo $BURSAR_SCRATCH > {}; while [ ! -e {0}2 ]; do sleep 0.02; done",
        told.display()
    );
    let mut command = daemon.command(&["run", "--need", "disk=64M", "--", "sh", "-c", &script]);
    let mut run = command.spawn().expect("run");
    daemon.eventually("its room is measured", || {
        let line = daemon.claim("1")["lines"][0].clone();
        line["used"].as_str().and_then(|used| used.parse::<u64>().ok()).is_some_and(|used| used >= 3_000_000)
    });
    let path = fs::read_to_string(&told).expect("a path");
    assert_eq!(daemon.claim("1")["environment"]["BURSAR_SCRATCH"], path.trim());
    assert!(Path::new(path.trim()).starts_with(daemon.state().canonicalize().expect("a folder")));
    fs::write(format!("{}2", told.display()), "").expect("written");
    assert!(run.wait().expect("ended").success());
    daemon.eventually("it is given back", || daemon.taken() == 0);
    assert_eq!(folders(&daemon), Vec::<PathBuf>::new());
    let claim = daemon.claim("1");
    assert!(
        claim["evidence"].as_str().is_some_and(|text| text.contains("scratch folder gone with 2")),
        "{claim}"
    );
}

#[test]
fn a_lease_that_takes_more_room_than_it_holds_is_told_and_ended() {
    for policy in ["stop", "warn"] {
        let daemon = Daemon::configured(&format!("{OFTEN}over = \"{policy}\"\n"));
        let go = daemon.scratch.path().join("go");
        let script = format!(
            "head -c 8000000 /dev/zero > $BURSAR_SCRATCH/file; while [ ! -e {} ]; do sleep 0.02; done",
            go.display()
        );
        let mut command = daemon.command(&["run", "--need", "disk=1M", "--", "sh", "-c", &script]);
        let mut run = command.stderr(Stdio::null()).spawn().expect("run");
        if policy == "warn" {
            daemon.eventually("it is told", || {
                found(&daemon, "over-limit").is_some_and(|found| found["subject"] == "claim 1")
            });
            fs::write(&go, "").expect("written");
        }
        assert_eq!(run.wait().expect("ended").success(), policy == "warn");
        daemon.eventually("it is given back", || daemon.taken() == 0);
        assert_eq!(daemon.claim("1")["ending"] == "over_limit", policy == "stop");
        assert!(folders(&daemon).is_empty());
    }
}

#[test]
fn what_a_killed_daemon_left_is_taken_back_and_what_leases_have_is_not() {
    let mut daemon = Daemon::configured(OFTEN);
    let claim = daemon.ask(&["claim", "--need", "disk=1M"])["claim"].clone();
    let id = claim["id"].as_str().expect("an id").to_owned();
    daemon.await_phase(&id, "held");
    let kept = folders(&daemon).remove(0);
    fs::write(kept.join("file"), "words").expect("written");
    let pid = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {0}.new; mv {0}.new {0}; exec sleep 600", pid.display());
    let mut command = daemon.command(&["run", "--need", "disk=1M", "--", "sh", "-c", &script]);
    let mut run = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("run");
    daemon.eventually("it runs", || pid.exists());
    assert_eq!(folders(&daemon).len(), 2);
    daemon.kill();
    run.kill().expect("killed");
    run.wait().expect("ended");
    let pid: i32 = fs::read_to_string(&pid).ok().and_then(|pid| pid.trim().parse().ok()).expect("its pid");
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("killed");
    // One of a life of which nothing is written down, and one that is nobody's business.
    let strange = daemon.state().join("scratch/4000000-7");
    fs::create_dir(&strange).and_then(|()| fs::write(strange.join("file"), "x")).expect("written");
    let other = daemon.state().join("scratch/notes");
    fs::create_dir(&other).expect("made");
    daemon.start();
    daemon.eventually("what no lease has is gone", || {
        let mut left = folders(&daemon);
        left.sort();
        left == [kept.clone(), other.clone()]
    });
    assert!(kept.join("file").exists() && daemon.claim(&id)["phase"] == "held");
    daemon.eventually("nothing is left over", || figure(&daemon, "left_disk") == Some(0.0));
    assert_eq!(figure(&daemon, "left_names"), Some(0.0));
}

#[test]
fn a_cell_that_no_lease_has_is_taken_away() {
    let daemon = Daemon::configured(OFTEN);
    let claim = daemon.ask(&["claim", "--memory", "16M"])["claim"].clone();
    let (id, fence) = (claim["id"].as_str().expect("an id"), claim["fence"].as_str().expect("a fence"));
    let mut sleeper = std::process::Command::new("sleep").arg("600").spawn().expect("sleep");
    assert_eq!(daemon.tell(&["attach", id, "--fence", fence, "--pid", &sleeper.id().to_string()]).code, 0);
    daemon.await_phase(id, "held");
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", sleeper.id())).expect("its groups");
    let cell =
        groups.lines().filter_map(|line| line.splitn(3, ':').nth(2)).find(|path| path.contains("/lease-"));
    let folder = cell.and_then(|cell| {
        let above = cell.split("/lease-").next()?.trim_start_matches('/');
        let roots =
            ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids"];
        roots
            .iter()
            .map(|root| Path::new(root).join(above))
            .find(|folder| folder.join(format!("lease-{id}")).is_dir())
    });
    let Some(folder) = folder else {
        eprintln!("skipped: no control groups here");
        sleeper.kill().expect("killed");
        sleeper.wait().expect("ended");
        return;
    };
    let strange = folder.join("lease-4000000");
    fs::create_dir(&strange).expect("made");
    daemon.eventually("it is gone", || !strange.exists());
    assert!(folder.join(format!("lease-{id}")).exists() && sleeper.try_wait().expect("a look").is_none());
    assert_eq!(daemon.tell(&["release", id, "--fence", fence]).code, 0);
    sleeper.wait().expect("ended with its lease");
}

#[test]
fn a_driver_is_held_to_what_it_says_and_its_faults_are_told() {
    let config = format!("{OFTEN}[plugins]\ndeadline-ms = 500\n");
    let daemon = Daemon::with(Setup { plugins: vec![badly_behaved()], config, ..Setup::default() });
    // What it holds for nobody, and for a claim of an earlier life, is had back, though it does not let go at once.
    daemon.eventually("all of it is back", || {
        figure(&daemon, "left_sticky") == Some(0.0) && daemon.log().contains("what no lease had is back")
    });
    daemon.eventually("what nobody held is back", || daemon.log().matches("nobody held it").count() == 2);
    let told = daemon.tell(&["run", "--need", "sticky=2", "--", "sh", "-c", "echo $STICKY_PIECES"]);
    assert_eq!((told.code, told.out.trim()), (0, "2"), "{told:?}");
    // It panics over three.
    assert_ne!(daemon.tell(&["run", "--need", "sticky=3", "--", "true"]).code, 0);
    let events = daemon.ask(&["get", "events"]);
    let mut events = events["events"].as_array().expect("events").iter();
    let fault = events.find(|event| event["kind"] == "plugin_fault").expect("a fault")["detail"].clone();
    assert_eq!(
        (&fault["role"], &fault["plugin"], &fault["fault"]),
        (&"driver".into(), &"sticky".into(), &"panicked".into())
    );
    // However soon it did better.
    daemon.eventually("it is shown", || daemon.tell(&["get", "events"]).out.contains("driver-fault"));
    daemon.eventually("it has done better since", || found(&daemon, "driver-fault").is_none());
    assert_eq!(figure(&daemon, "driver_sticky_faults"), Some(1.0));
}

#[test]
fn a_lease_reads_and_writes_no_faster_than_it_holds() {
    let daemon = Daemon::configured("[node.capacity]\nio = \"100M\"\nnetwork = \"10M\"\n");
    let told = daemon.tell(&["doctor", "-o", "json"]).json();
    let limit = told["findings"].as_array().expect("findings").iter().find(|row| row["what"] == "io limit");
    let file = daemon.scratch.path().join("file");
    let write = |line: &[&str]| {
        let of = format!("of={}", file.display());
        let dd = ["--", "dd", "if=/dev/zero", &of, "bs=1M", "count=6", "oflag=direct", "status=none"];
        let since = std::time::Instant::now();
        let told = daemon.tell(&[&["run"], line, &dd].concat());
        (told.code, since.elapsed())
    };
    if limit.is_none_or(|row| row["state"] == "missing") || write(&["--pids", "9"]).0 != 0 {
        eprintln!("skipped: no disk can be throttled here");
        return;
    }
    let (code, took) = write(&["--need", "io=4M", "--need", "network=1M"]);
    assert_eq!(code, 0);
    assert!(took.as_millis() >= 1000, "6 MiB at 4 MiB a second in {took:?}");
}
