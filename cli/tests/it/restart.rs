//! The daemon dies at any moment and comes back: same leases, same fences, same state.
use crate::daemon::{Daemon, Lasting, number_in, runs};
use bursar_engine::Engine;
use bursar_journal::Follower;
use std::{fs, time::Duration};

fn fence(claim: &serde_json::Value) -> u64 {
    claim["fence"].as_str().and_then(|fence| fence.parse().ok()).expect("a fence")
}

#[test]
fn after_a_kill_the_work_goes_on_under_the_same_lease() {
    let mut daemon = Daemon::plain();
    let script = "cat; echo done";
    let run = daemon
        .command(&["run", "--cpu", "0.2", "--port", "--", "sh", "-c", script])
        // It ends when its input does, after all that is to happen before.
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn();
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let before = daemon.await_phase("1", "held");
    daemon.kill();
    assert!(runs(before["pids"][0].as_u64().expect("a pid") as u32), "the work goes on");
    daemon.start();
    let after = daemon.claim("1");
    for key in ["id", "fence", "pids", "phase", "lines", "waited_ms"] {
        assert_eq!(before[key], after[key], "{key}");
    }
    assert!(after["waited_ms"].is_number(), "{after}");
    let output = run.expect("run").wait_with_output().expect("ended");
    assert!(output.status.success() && output.stdout == b"done\n", "{output:?}");
    let closed = daemon.await_phase("1", "closed");
    assert_eq!((&closed["ending"], &closed["waited_ms"]), (&"released".into(), &before["waited_ms"]));
    assert_eq!(daemon.taken(), 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    assert!(fence(&daemon.claim("2")) > fence(&before), "fences rise");
}

#[test]
fn what_ended_while_the_daemon_was_away_is_taken_back() {
    let mut daemon = Daemon::plain();
    let mut child = std::process::Command::new("sleep").arg("300").spawn().expect("sleep");
    assert_eq!(daemon.tell(&["claim", "--memory", "64M"]).code, 0);
    let fence = daemon.claim("1")["fence"].as_str().expect("a fence").to_owned();
    assert_eq!(daemon.tell(&["attach", "1", "--fence", &fence, "--pid", &child.id().to_string()]).code, 0);
    daemon.kill();
    child.kill().expect("killed");
    child.wait().expect("ended");
    daemon.start();
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "process_gone");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn what_was_being_taken_back_still_is() {
    let mut daemon = Daemon::configured("[enforce]\ngrace-ms = 1500\n");
    let file = daemon.scratch.path().join("pid");
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.1; done", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).spawn().expect("run");
    let pid = number_in(&file);
    assert_eq!(daemon.tell(&["cancel", "1"]).code, 0);
    daemon.kill();
    daemon.start();
    let closed = daemon.await_phase("1", "closed");
    assert_eq!(closed["ending"], "cancelled");
    assert!(!runs(pid));
    assert_eq!(run.wait().expect("ended").code(), Some(137));
}

#[test]
fn a_recovered_state_is_the_one_that_was_live() {
    let mut daemon = Daemon::plain();
    for round in 0..5 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--lock", &format!("l{round}")]).code, 0);
    }
    let fence = daemon.claim("2")["fence"].as_str().expect("a fence").to_owned();
    assert_eq!(daemon.tell(&["release", "2", "--fence", &fence]).code, 0);
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0);
    daemon.eventually("it is quiet", || daemon.claim("6")["phase"] == "closed");
    let doctor = daemon.ask(&["doctor"]);
    let journal =
        doctor["findings"].as_array().and_then(|all| all.iter().find(|finding| finding["what"] == "journal"));
    let live = journal
        .and_then(|finding| finding["detail"].as_str()?.rsplit(' ').next())
        .expect("a digest")
        .to_owned();
    daemon.kill();
    let (mut engine, follower) = (Engine::new(), Follower::open(&daemon.state()).expect("a journal"));
    loop {
        let entries = follower.since(engine.next_seq(), 100).expect("rows");
        if entries.is_empty() {
            break;
        }
        entries.iter().for_each(|entry| engine.fold(&entry.batch));
    }
    assert_eq!(format!("{:016x}", engine.digest()), live);
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "held");
}

#[test]
fn an_end_in_good_order_leaves_the_work_alone_too() {
    let mut daemon = Daemon::configured("[journal]\ncheckpoint-batches = 3\n");
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; sleep 3", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).spawn().expect("run");
    let pid = number_in(&file);
    daemon.stop();
    assert!(runs(pid));
    let checkpoints = fs::read_dir(daemon.state()).expect("a folder").flatten();
    assert!(
        checkpoints.into_iter().any(|entry| entry.file_name().to_string_lossy().starts_with("checkpoint-"))
    );
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "held");
    assert!(run.wait().expect("ended").success());
}

#[test]
fn cells_that_no_lease_has_are_swept_away() {
    let mut daemon = Daemon::plain();
    if daemon.ask(&["doctor"])["findings"][0]["state"] != "ok" {
        eprintln!("skipped: no control groups here");
        return;
    }
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; sleep 300", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).spawn().expect("run");
    let pid = number_in(&file);
    daemon.kill();
    run.kill().expect("killed");
    run.wait().expect("ended");
    fs::remove_dir_all(daemon.state()).expect("all is forgotten");
    daemon.start();
    daemon.eventually("nothing of it is left", || !runs(pid));
    assert!(daemon.ask(&["get", "claims"])["claims"].as_array().is_some_and(Vec::is_empty));
}

#[test]
fn waiting_survives_a_restart() {
    let mut daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let holder = Lasting::start(daemon.command(&["run", "--cpu", "1", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let mut waiter =
        daemon.command(&["run", "--cpu", "1", "--wait", "30s", "--", "true"]).spawn().expect("run");
    daemon.await_phase("2", "pending");
    daemon.kill();
    std::thread::sleep(Duration::from_millis(300));
    daemon.start();
    assert!(holder.end());
    assert!(waiter.wait().expect("ended").success(), "it asked again with the same key");
    assert_eq!(daemon.ask(&["get", "claims"])["claims"].as_array().map(Vec::len), Some(2));
}

#[test]
fn a_copy_is_put_away_and_put_back() {
    let mut daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--lock", "kept"]).code, 0);
    let (state, copy) = (daemon.state(), daemon.scratch.path().join("copy"));
    let (state, copy) = (state.display().to_string(), copy.display().to_string());
    let told = daemon.tell(&["backup", &copy, "--state", &state, "-o", "json"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(daemon.tell(&["backup", &copy, "--state", &state]).code, 1, "never over something");
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let latest = fence(&daemon.claim("2"));
    daemon.kill();
    fs::remove_dir_all(daemon.state()).expect("lost");
    let told = daemon.tell(&["restore", &copy, "--state", &state]);
    assert!(told.code == 0 && told.out.contains("batches"), "{told:?}");
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "held");
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    assert!(
        fence(&daemon.claim("2")) > latest,
        "no token is given out twice, though the last grants were lost"
    );
}
