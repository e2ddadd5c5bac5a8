//! What waits were for, as anybody would look: in tables, in documents, with the end of a claim, and after a restart.
use crate::daemon::Daemon;
use serde_json::Value;
use std::{thread::sleep, time::Duration};

/// All of it is held, three by one and one by another.
const CONFIG: &str = "[node.capacity]\ncpu = \"4\"\n";

fn number(value: &Value) -> u64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("{value} is no number"))
}

fn claim(daemon: &Daemon, args: &[&str]) -> (String, String) {
    let claim = daemon.ask(&[&["claim"], args].concat())["claim"].clone();
    let text = |key: &str| claim[key].as_str().unwrap_or_default().to_owned();
    (text("id"), text("fence"))
}

/// The parts of a wait, which add up to it, each with its holders and the rest.
fn parts(claim: &Value) -> Vec<Value> {
    let parts = claim["blame"].as_array().unwrap_or_else(|| panic!("unknown: {claim}")).clone();
    let sum: u64 = parts.iter().map(|part| number(&part["waited_ns"])).sum();
    assert_eq!(Some(sum / 1_000_000), claim["waited_ms"].as_u64(), "{claim}");
    for part in &parts {
        let holders = part["holders"].as_array().expect("holders").iter();
        let held: u64 = holders.map(|holder| number(&holder["waited_ns"])).sum();
        assert_eq!(held + number(&part["others_ns"]), number(&part["waited_ns"]), "{part}");
    }
    parts
}

fn holders(part: &Value) -> Vec<String> {
    let holders = part["holders"].as_array().expect("holders").iter();
    holders.map(|holder| holder["scope"].as_str().expect("a scope").to_owned()).collect()
}

fn end_of(daemon: &Daemon, id: &str) -> Value {
    let events = daemon.ask(&["get", "events"])["events"].as_array().expect("events").clone();
    let closed = events.into_iter().find(|event| event["kind"] == "closed" && event["claim"] == id);
    closed.unwrap_or_else(|| panic!("claim {id} has not ended"))["detail"].clone()
}

#[test]
fn a_wait_is_told_with_its_parts_and_who_held_them() {
    let mut daemon = Daemon::configured(CONFIG);
    let (first, fence) = claim(&daemon, &["--cpu", "3", "--lock", "tree", "--scope", "team/a"]);
    let (other, _) = claim(&daemon, &["--cpu", "1", "--scope", "rest"]);
    let (waits, _) = claim(&daemon, &["--cpu", "2", "--scope", "team/b", "--detach", "--wait", "1h"]);
    let (locked, _) = claim(&daemon, &["--lock", "tree", "--scope", "rest", "--detach", "--wait", "1h"]);
    sleep(Duration::from_millis(300));
    let so_far = parts(&daemon.claim(&waits));
    assert_eq!((so_far.len(), so_far[0]["resource"].as_str()), (1, Some("cpu")), "{so_far:?}");
    assert_eq!(holders(&so_far[0]), ["rest", "team/a"]);
    let [rest, team] = [0, 1].map(|at| number(&so_far[0]["holders"][at]["waited_ns"]));
    assert!(team.abs_diff(3 * rest) <= 4, "three times as much is held: {so_far:?}");
    assert_eq!(parts(&daemon.claim(&first)), [] as [Value; 0], "it did not wait");

    // Whatever happens to the daemon, nothing of it is lost: nor of what goes on.
    daemon.kill();
    daemon.start();
    daemon.stop();
    daemon.start();
    let reasons = |parts: &[Value]| parts.iter().all(|part| part["reason"].is_string());
    let later = parts(&daemon.claim(&waits));
    assert!(reasons(&later) && number(&later[0]["waited_ns"]) > number(&so_far[0]["waited_ns"]), "{later:?}");

    assert_eq!(daemon.tell(&["release", &first, "--fence", &fence, "--wait", "5s"]).code, 0);
    daemon.await_phase(&waits, "held");
    let (waited, locked_for) = (daemon.claim(&waits), daemon.claim(&locked));
    assert!(reasons(&parts(&waited)), "{waited}");
    let lock = parts(&locked_for);
    assert_eq!((lock[0]["resource"].as_str(), holders(&lock[0])), (Some("lock"), vec!["team".to_owned()]));
    sleep(Duration::from_millis(20));
    assert_eq!(daemon.claim(&waits)["blame"], waited["blame"], "the wait is over");

    wide(&daemon);
    let (team, rest) = (scope(&daemon, "team"), scope(&daemon, "rest"));
    let cpu: u64 = parts(&waited).iter().map(|part| number(&part["waited_ns"])).sum();
    assert_eq!(
        (number(&team["waits"][0]["waited_ns"]), team["waits"][0]["resource"].as_str()),
        (cpu, Some("cpu"))
    );
    assert!(number(&team["caused_ns"]) > number(&rest["caused_ns"]), "{team} {rest}");
    for id in [&other, &waits, &locked] {
        assert_eq!(daemon.tell(&["cancel", id]).code, 0);
    }
    assert_eq!(end_of(&daemon, &waits)["blame"], waited["blame"]);
    assert_eq!(end_of(&daemon, &other)["blame"], Value::Array(Vec::new()), "it did not wait");
    assert_eq!(daemon.claim(&waits)["blame"], waited["blame"]);
    let root = scope(&daemon, "");
    assert!(
        root["waits"].as_array().is_some_and(|waits| waits.len() == 2),
        "of scopes that are gone as well: {root}"
    );
}

fn scope(daemon: &Daemon, path: &str) -> Value {
    let scopes = daemon.ask(&["get", "scopes"])["scopes"].as_array().expect("scopes").clone();
    scopes.into_iter().find(|scope| scope["path"] == path).unwrap_or_else(|| panic!("no scope {path:?}"))
}

fn wide(daemon: &Daemon) {
    let claims = daemon.tell(&["get", "claims", "-o", "wide"]).out;
    assert!(claims.contains("WAITED FOR") && claims.contains("(team/a "), "{claims}");
    let scopes = daemon.tell(&["get", "scopes", "-o", "wide"]).out;
    assert!(scopes.contains("CAUSED") && scopes.contains("cpu "), "{scopes}");
    for list in ["pools", "nodes", "quotas", "plugins", "events"] {
        let [wide, plain] = ["wide", "table"].map(|how| daemon.tell(&["get", list, "-o", how]));
        assert_eq!((wide.code, wide.out), (0, plain.out), "{list} has no more columns");
    }
}
