//! What was set can be taken away: bounds at any moment, supplies when nobody has any of them; and it stays away.
use crate::daemon::{Daemon, Told};
use serde_json::{Value, json};
use std::fs;

const FILE: &str = r#"
[[pool]]
resource = "usd"
name = "acct"
remove = true

[[quota]]
scope = "team/a"
resource = "cpu"
remove = true
"#;

fn outcomes(told: &Value) -> Vec<String> {
    let changes = told["changes"].as_array().expect("changes");
    changes.iter().map(|change| change["outcome"].as_str().expect("a word").to_owned()).collect()
}

fn says(told: &Told, code: i32, what: &str) {
    assert!(told.code == code && told.err.contains(what), "{}: {}", told.code, told.err);
}

fn count(daemon: &Daemon, list: &str, is: impl Fn(&Value) -> bool) -> usize {
    let rows = daemon.ask(&["get", list]);
    rows[list].as_array().expect("rows").iter().filter(|row| is(row)).count()
}

#[test]
fn a_bound_that_is_lifted_lets_go_who_waited_for_it() {
    let mut daemon = Daemon::plain();
    let set = |daemon: &Daemon, args: &[&str]| outcomes(&daemon.ask(&[&["set"], args].concat()));
    set(&daemon, &["quota", "team", "cpu", "--limit", "100m"]);
    assert_eq!(daemon.tell(&["claim", "--cpu", "100m", "--scope", "team"]).code, 0);
    let body = json!({ "scope": "team", "wait": "600s", "detach": true, "lines": [{ "resource": "cpu", "amount": "100" }] });
    let (_, waits) = daemon.http("POST", "/v1/claims", &body.to_string());
    let id = waits["claim"]["id"].as_str().unwrap_or_else(|| panic!("{waits}")).to_owned();
    assert_eq!(daemon.claim(&id)["phase"], "pending");
    assert_eq!(set(&daemon, &["quota", "team", "cpu", "--remove"]), ["removed"]);
    daemon.await_phase(&id, "held");
    assert_eq!(set(&daemon, &["quota", "team", "cpu", "--remove"]), ["unchanged"], "it is not there");
    daemon.kill();
    daemon.start();
    assert_eq!(count(&daemon, "quotas", |quota| quota["scope"] == "team"), 0, "nor after a restart");
    assert_eq!(daemon.claim(&id)["phase"], "held");
    says(&daemon.tell(&["set", "quota", "team", "cpu", "--remove", "--limit", "1"]), 2, "--remove");
    says(&daemon.tell(&["set", "quota", "team", "mana", "--remove"]), 3, "no resource \"mana\"");
}

#[test]
fn a_supply_goes_when_nobody_has_any_of_it_by_file_and_by_http() {
    let mut daemon = Daemon::plain();
    let set = |daemon: &Daemon, args: &[&str]| outcomes(&daemon.ask(&[&["set"], args].concat()));
    assert_eq!(set(&daemon, &["pool", "usd:acct", "2usd/d"]), ["created"]);
    set(&daemon, &["quota", "team/a", "cpu", "--limit", "1"]);
    let claim = daemon.ask(&["claim", "--need", "usd=1"])["claim"].clone();
    let [id, fence] = ["id", "fence"].map(|key| claim[key].as_str().expect("text").to_owned());
    let stands = format!("leases stand on it: {id}");
    says(&daemon.tell(&["set", "pool", "usd:acct", "--remove"]), 2, &stands);
    let path = daemon.scratch.path().join("gone.toml");
    fs::write(&path, FILE).expect("written");
    let apply = ["apply", "-f", &path.display().to_string()].map(str::to_owned);
    let apply = apply.each_ref().map(String::as_str);
    says(&daemon.tell(&apply), 2, &stands);
    assert_eq!(count(&daemon, "quotas", |_| true), 1, "all or nothing");
    assert_eq!(daemon.tell(&["release", &id, "--fence", &fence]).code, 0);
    assert_eq!(outcomes(&daemon.ask(&[&apply[..], &["--dry-run"]].concat())), ["removed", "removed"]);
    assert_eq!(count(&daemon, "pools", |pool| pool["resource"] == "usd"), 1, "only said");
    assert_eq!(outcomes(&daemon.ask(&apply)), ["removed", "removed"]);
    assert_eq!(outcomes(&daemon.ask(&apply)), ["unchanged", "unchanged"], "twice is as once");
    daemon.kill();
    daemon.start();
    assert_eq!(count(&daemon, "pools", |pool| pool["resource"] == "usd"), 0);
    says(&daemon.tell(&["claim", "--need", "usd=1"]), 4, "NeverFits");
    // Over HTTP, and back again.
    let http = |method: &str, path: &str, body: Value| daemon.http(method, path, &body.to_string());
    assert_eq!(
        http("PUT", "/v1/pools/tokens/acct/model", json!({ "capacity": "60", "period_ms": 60_000 })).0,
        200
    );
    let (status, told) = http("DELETE", "/v1/pools/tokens/acct/model", Value::Null);
    assert_eq!((status, outcomes(&told)), (200, vec!["removed".to_owned()]), "{told}");
    assert_eq!(http("PUT", "/v1/quotas/cpu/team", json!({ "limit": "500" })).0, 200);
    assert_eq!(outcomes(&http("DELETE", "/v1/quotas/cpu/team", Value::Null).1), ["removed"]);
    assert_eq!(outcomes(&http("DELETE", "/v1/quotas/cpu", Value::Null).1), ["unchanged"], "the root's");
    for (method, path, body, what) in [
        ("DELETE", "/v1/pools/cpu/cpu", Value::Null, "cpu is a thing of nodes, and no node is named"),
        ("DELETE", "/v1/quotas/cpu//a", Value::Null, "is no scope"),
        ("PUT", "/v1/quotas/cpu/%2F", json!({ "limit": "1" }), "is no scope"),
        (
            "PUT",
            "/v1/quotas/cpu/team",
            json!({ "remove": true, "limit": "1" }),
            "to be removed and to be set",
        ),
        ("DELETE", "/v1/pools/mana/x", Value::Null, "no resource"),
    ] {
        let (_, told) = http(method, path, body);
        assert!(told.to_string().contains(what), "{path}: {told}");
    }
    says(&daemon.tell(&["set", "pool", "cpu", "--remove"]), 2, "set its capacity to 0");
    says(
        &daemon.tell(&["set", "pool", "cpu:x", "--node", "elsewhere", "--remove"]),
        3,
        "no node \"elsewhere\"",
    );
    says(&daemon.tell(&["set", "quota", "a//b", "cpu", "--remove"]), 2, "\"a//b\" is no scope");
    let wrong = daemon.scratch.path().join("wrong.toml");
    fs::write(&wrong, "[[quota]]\nscope = \"a\"\nresource = \"cpu\"\nremove = true\nlimit = \"1\"\n")
        .expect("written");
    says(
        &daemon.tell(&["apply", "-f", &wrong.display().to_string()]),
        2,
        "quota 1: limit: it is to be removed",
    );
}

#[test]
fn the_root_is_written_as_it_is_shown() {
    let daemon = Daemon::plain();
    let set = |args: &[&str]| outcomes(&daemon.ask(&[&["set"], args].concat()));
    assert_eq!(set(&["quota", "/", "cpu", "--limit", "1"]), ["created"]);
    assert_eq!(daemon.tell(&["get", "quotas", "-o", "name"]).out.trim(), "/ cpu");
    assert_eq!(set(&["quota", "", "cpu", "--limit", "1"]), ["unchanged"], "it is the same one");
    assert_eq!(set(&["quota", "/", "cpu", "--remove"]), ["removed"]);
    assert_eq!(set(&["scope", "/", "--weight", "1"]), ["unchanged"]);
    assert_eq!(daemon.ask(&["claim", "--cpu", "0.1", "--scope", "/"])["claim"]["scope"], "");
    for scope in [&["--scope", "/"][..], &["--scope=/"]] {
        let ran = daemon.tell(&[&["run"], scope, &["--pids", "9", "--", "true"]].concat());
        assert_eq!(ran.code, 0, "{ran:?}");
    }
    says(&daemon.tell(&["set", "quota", "//", "cpu", "--limit", "1"]), 2, "\"//\" is no scope");
}
