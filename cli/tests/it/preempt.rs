//! Preemption through the whole program: the holder is told, and ends; who waited is served; nobody learns of
//! the other's names.
use crate::daemon::{Daemon, LONG, program};
use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

fn config(grace: &str) -> String {
    format!(
        "[node.capacity]\ncpu = \"2\"\n[enforce]\ngrace-ms = 200\n[preemption]\ngrace = \"{grace}\"\n\
         min-runtime = \"0s\"\nsignal = \"SIGUSR1\"\n"
    )
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < LONG, "{what}");
        sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_preempted_command_is_told_and_ended_and_its_run_says_so() {
    let daemon = Daemon::configured(&config("1s"));
    let heard = daemon.scratch.path().join("heard");
    let there = daemon.scratch.path().join("there");
    let script = format!(
        "trap 'echo told >> {}' USR1; touch {}; while :; do sleep 0.05; done",
        heard.display(),
        there.display()
    );
    let holder = Command::new(program())
        .args([
            "run",
            "--cpu",
            "2",
            "--class",
            "best-effort",
            "--scope",
            "secret/one",
            "--",
            "sh",
            "-c",
            &script,
        ])
        .env("BURSAR_SOCKET", daemon.socket())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("it starts");
    until("the command runs", || there.exists());
    let served = daemon.tell(&[
        "run",
        "--cpu",
        "1",
        "--class",
        "guaranteed",
        "--scope",
        "team",
        "--wait",
        "30s",
        "--",
        "echo",
        "served",
    ]);
    assert!(served.code == 0 && served.out.contains("served"), "{served:?}\n{}", daemon.log());
    let ended = holder.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert_eq!(ended.status.code(), Some(125), "{said}");
    assert!(said.contains("preempted") && !said.contains("team"), "{said}");
    assert_eq!(
        fs::read_to_string(&heard).unwrap_or_default(),
        "told\n",
        "told once, by the signal of the config"
    );
    let events = daemon.ask(&["get", "events"]);
    let kinds: Vec<&str> = events["events"]
        .as_array()
        .expect("events")
        .iter()
        .filter_map(|event| event["kind"].as_str())
        .collect();
    for kind in ["preemption_set", "promised", "preempting", "draining"] {
        assert!(kinds.contains(&kind), "{kind} in {kinds:?}");
    }
    let claims = daemon.ask(&["get", "claims"]);
    let first = &claims["claims"][0];
    assert_eq!(first["ending"], "preempted", "{claims}");
}

#[test]
fn a_holder_sees_until_when_and_why_and_goes_on_when_nobody_waits_any_more() {
    let daemon = Daemon::configured(&config("60s"));
    let held = daemon.ask(&["claim", "--cpu", "2", "--class", "best-effort", "--scope", "one"]);
    let id = held["claim"]["id"].as_str().expect("an id").to_owned();
    let look = || daemon.http("GET", &format!("/v1/claims/{id}"), "").1["claim"].clone();
    assert!(look()["preempting"].is_null());
    let mut waits = daemon
        .command(&["claim", "--cpu", "1", "--scope", "canary", "--wait", "300s"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("it starts");
    until("the holder is told", || !look()["preempting"].is_null());
    let told = look();
    assert_eq!((told["preempting"]["why"].as_str(), told["phase"].as_str()), (Some("band"), Some("held")));
    assert!(told["preempting"]["until"].is_string() && !told.to_string().contains("canary"), "{told}");
    let waiting = daemon.ask(&["get", "claims"]);
    let waiting =
        waiting["claims"].as_array().expect("claims").iter().find(|claim| claim["phase"] == "pending");
    assert_eq!(waiting.expect("it waits")["reason"], "PreemptionPending");
    waits.kill().expect("killed");
    waits.wait().expect("gone");
    until("the holder is spared", || look()["preempting"].is_null());
    assert_eq!(look()["phase"], "held");
}
