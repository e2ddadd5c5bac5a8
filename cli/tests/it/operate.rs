//! What operators do while everything goes on: applied, set, cordoned, drained; nobody loses what is held.
use crate::daemon::{Daemon, LONG, Told, number_in, runs, told};
use serde_json::{Value, json};
use std::{fs, io::Write, path::PathBuf, process::Stdio, time::Instant};

const FILE: &str = r#"
[[pool]]
resource = "usd"
name = "acct"
capacity = "2usd/d"

[[scope]]
path = "team"
weight = 3

[[quota]]
scope = "team"
resource = "memory"
guaranteed = "64M"
limit = "256M"
"#;

fn file(daemon: &Daemon, name: &str, text: &str) -> String {
    let path: PathBuf = daemon.scratch.path().join(name);
    fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// The only node there is.
fn node(daemon: &Daemon) -> String {
    daemon.ask(&["get", "nodes"])["nodes"][0]["id"].as_str().expect("a node").to_owned()
}

fn row(daemon: &Daemon, list: &str, is: impl Fn(&Value) -> bool) -> Value {
    let rows = daemon.ask(&["get", list])[list].as_array().expect("rows").clone();
    rows.into_iter().find(|row| is(row)).unwrap_or(Value::Null)
}

fn pool(daemon: &Daemon, resource: &str) -> Value {
    row(daemon, "pools", |pool| pool["resource"] == resource)
}

fn outcomes(told: &Value) -> Vec<&str> {
    told["changes"].as_array().expect("changes").iter().filter_map(|row| row["outcome"].as_str()).collect()
}

#[track_caller]
fn says(told: &Told, code: i32, what: &str) {
    assert!(told.code == code && told.err.contains(what), "{what}: {told:?}");
}

#[test]
fn a_file_is_applied_as_a_whole_and_twice_is_as_once() {
    let mut daemon = Daemon::configured("[[scope]]\npath = \"fixed\"\nweight = 2\n");
    let path = file(&daemon, "live.toml", FILE);
    let dry = daemon.ask(&["apply", "-f", &path, "--dry-run"]);
    assert_eq!((outcomes(&dry), &dry["dry_run"]), (vec!["created"; 3], &json!(true)));
    assert_eq!(row(&daemon, "quotas", |_| true), Value::Null, "nothing was done");
    assert_eq!(outcomes(&daemon.ask(&["apply", "-f", &path])), ["created"; 3]);
    assert_eq!(outcomes(&daemon.ask(&["apply", "-f", &path])), ["unchanged"; 3]);
    // Only what differs changes, and standard input is a file.
    let mut child = daemon.command(&["apply", "-f", "-", "-o", "json"]);
    let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the program");
    let changed = FILE.replace("weight = 3", "weight = 5");
    child.stdin.take().expect("a pipe").write_all(changed.as_bytes()).expect("written");
    let output = child.wait_with_output().expect("ended");
    let answer: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(outcomes(&answer), ["unchanged", "changed", "unchanged"]);
    // One thing is wrong, by the file or by the engine: nothing of it is done.
    let worse = FILE.replace("weight = 3", "weight = 9").replace("\"256M\"", "\"16M\"");
    says(&daemon.tell(&["apply", "-f", &file(&daemon, "worse.toml", &worse)]), 2, "below the guarantee");
    let weight =
        |daemon: &Daemon, path: &str| row(daemon, "scopes", |scope| scope["path"] == path)["weight"].clone();
    assert_eq!(weight(&daemon, "team"), 5);
    let events = daemon.ask(&["get", "events"]);
    let applied =
        events["events"].as_array().expect("events").iter().filter(|event| event["kind"] == "applied");
    let applied: Vec<&Value> = applied.collect();
    assert_eq!((applied.len(), outcomes(&applied[0]["detail"])), (3, vec!["created"; 3]), "{applied:?}");
    // It is in the journal; the config is applied again at each start, and wins for what it names.
    assert_eq!(daemon.tell(&["set", "scope", "fixed", "--weight", "7"]).code, 0);
    daemon.kill();
    daemon.start();
    assert_eq!((weight(&daemon, "team"), weight(&daemon, "fixed")), (json!(5), json!(2)));
    assert_eq!(row(&daemon, "quotas", |_| true)["limit"], (256_u64 << 20).to_string());
    assert_eq!(
        (&pool(&daemon, "usd")["capacity"], &pool(&daemon, "usd")["period_ms"]),
        (&json!("2000000"), &json!(86_400_000))
    );
}

#[test]
fn only_what_is_named_changes_and_nothing_that_is_held_is_lost() {
    let mut daemon = Daemon::configured("[node.capacity]\ncpu = \"4\"\n");
    let set =
        |daemon: &Daemon, args: &[&str]| outcomes(&daemon.ask(&[&["set"], args].concat()))[0].to_owned();
    assert_eq!(set(&daemon, &["quota", "team", "cpu", "--guaranteed", "1", "--limit", "3"]), "created");
    assert_eq!(set(&daemon, &["quota", "team", "cpu", "--borrow-limit", "1500m"]), "changed");
    let quota = |daemon: &Daemon| row(daemon, "quotas", |quota| quota["scope"] == "team");
    let bounds =
        |quota: &Value| ["guaranteed", "limit", "borrow_limit", "lend_limit"].map(|key| quota[key].clone());
    assert_eq!(bounds(&quota(&daemon)), [json!("1000"), json!("3000"), json!("1500"), Value::Null]);
    assert_eq!(
        set(&daemon, &["quota", "team", "cpu", "--limit", "none", "--borrow-limit", "none"]),
        "changed"
    );
    assert_eq!(bounds(&quota(&daemon)), [json!("1000"), Value::Null, Value::Null, Value::Null]);
    // A supply below what is held: its holder keeps it, and nobody gets more until there is more.
    assert_eq!(daemon.tell(&["claim", "--cpu", "3", "--scope", "team"]).code, 0);
    assert_eq!(set(&daemon, &["pool", "cpu", "2"]), "changed");
    let cpu = pool(&daemon, "cpu");
    let amounts = ["offered", "held", "free"].map(|key| cpu[key].clone());
    assert_eq!(amounts, [json!("2000"), json!("3000"), json!("0")]);
    says(&daemon.tell(&["claim", "--cpu", "1"]), 4, "InsufficientCapacity");
    assert_eq!(daemon.claim("1")["phase"], "held");
    // A bound below what is held, the same.
    assert_eq!(set(&daemon, &["pool", "cpu", "4"]), "changed");
    assert_eq!(set(&daemon, &["quota", "team", "cpu", "--limit", "2"]), "changed");
    says(&daemon.tell(&["claim", "--cpu", "0.5", "--scope", "team/a"]), 4, "InsufficientQuota");
    assert_eq!(daemon.claim("1")["phase"], "held");
    // A supply that was found and set lower stays so, whatever is found at the next start; what the
    // config names is as the config says.
    assert_eq!(set(&daemon, &["pool", "memory", "64M"]), "changed");
    assert_eq!(set(&daemon, &["pool", "cpu", "3"]), "changed");
    daemon.kill();
    daemon.start();
    assert_eq!(pool(&daemon, "memory")["capacity"], (64_u64 << 20).to_string());
    assert_eq!(
        (pool(&daemon, "cpu")["capacity"].clone(), daemon.claim("1")["phase"].clone()),
        (json!("4000"), json!("held"))
    );
    // A file may say the same of this node.
    let path = file(&daemon, "node.toml", "[node]\ncapacity = { memory = \"128M\", cpu = \"4\" }\n");
    let mut told =
        outcomes(&daemon.ask(&["apply", "-f", &path])).into_iter().map(str::to_owned).collect::<Vec<_>>();
    told.sort();
    assert_eq!(told, ["changed", "unchanged"]);
    // Guarantees that could not be kept are refused with the sum.
    says(
        &daemon.tell(&["set", "quota", "other", "cpu", "--guaranteed", "3500m"]),
        2,
        "come to 4500 millicores of cpu",
    );
}

#[test]
fn a_drained_node_is_empty_and_stays_closed() {
    let mut daemon = Daemon::configured(&format!("[enforce]\ngrace-ms = 5000\n{FILE}"));
    let (name, pid) = (node(&daemon), daemon.scratch.path().join("pid"));
    let heard = daemon.scratch.path().join("heard");
    let script = format!(
        "trap 'echo 1 > {}; exit 3' TERM; echo $$ > {}; while :; do sleep 0.05; done",
        heard.display(),
        pid.display()
    );
    let run = daemon
        .command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script])
        .stderr(Stdio::piped())
        .spawn()
        .expect("run");
    let pid = number_in(&pid);
    assert_eq!(daemon.tell(&["claim", "--need", "usd:acct=1"]).code, 0, "what floats");
    assert_eq!(daemon.ask(&["cordon", &name])["node"]["state"], "cordoned");
    assert_eq!(daemon.claim("1")["phase"], "held", "what is there stays");
    says(&daemon.tell(&["claim", "--cpu", "0.1"]), 4, "Cordoned");
    let waits = daemon.tell(&["claim", "--cpu", "0.1", "--detach", "--wait", "1h"]);
    assert_eq!(waits.code, 0, "{waits:?}");
    assert_eq!(daemon.ask(&["explain", "4"])["reason"], "Cordoned");
    let drained = daemon.ask(&["drain", &name, "--grace", "1s", "--wait", "25s"]);
    assert_eq!((&drained["node"]["state"], &drained["node"]["leases"]), (&json!("draining"), &json!(0)));
    assert!(heard.exists() && !runs(pid), "it was asked to end, and did");
    let output = run.wait_with_output().expect("ended");
    let err = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && err.contains("the node was drained"), "{output:?}");
    let claim = daemon.claim("1");
    assert_eq!((&claim["phase"], &claim["ending"]), (&json!("closed"), &json!("drained")));
    assert_eq!(daemon.claim("2")["phase"], "held", "what floats is on no node");
    let events = daemon.ask(&["get", "events"]);
    let of = |kind: &str| {
        events["events"].as_array().expect("events").iter().find(|event| event["kind"] == kind).cloned()
    };
    let leaving = of("leaving").expect("its holder was told");
    assert!(leaving["claim"] == "1" && leaving["detail"]["until"].is_string(), "{leaving}");
    assert_eq!(of("draining").expect("taken back")["detail"]["ending"], "drained");
    // A start opens nothing.
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.ask(&["get", "nodes"])["nodes"][0]["state"], "draining");
    assert_eq!(daemon.claim("4")["phase"], "pending");
    assert_eq!(daemon.ask(&["uncordon", &name])["node"]["state"], "open");
    daemon.await_phase("4", "held");
}

#[test]
fn who_waits_for_an_empty_node_hears_that_it_is_not() {
    let daemon = Daemon::configured("[enforce]\ngrace-ms = 4000\n");
    let (name, file) = (node(&daemon), daemon.scratch.path().join("pid"));
    let script = format!("trap '' TERM; echo $$ > {}; while :; do sleep 0.05; done", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.2", "--", "sh", "-c", &script]).spawn().expect("run");
    number_in(&file);
    let since = Instant::now();
    let late = daemon.tell(&["drain", &name, "--grace", "0s", "--wait", "300ms"]);
    says(&late, 1, "1 leases are on node");
    assert!(since.elapsed() < LONG);
    // Somebody who renews does not stay longer than the grace.
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "drained");
    run.wait().expect("ended");
    assert_eq!(daemon.tell(&["uncordon", &name]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--ttl", "1h"]).code, 0);
    let fence = daemon.claim("2")["fence"].as_str().expect("a fence").to_owned();
    assert_eq!(daemon.tell(&["drain", &name, "--grace", "3s"]).code, 0);
    let until = daemon.ask(&["get", "nodes"])["nodes"][0]["until"].clone();
    let renewed = daemon.ask(&["renew", "2", "--fence", &fence, "--ttl", "2h"]);
    let at = |time: &Value| {
        time.as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok()).expect("a time").as_millisecond()
    };
    // Both are told by the wall clock, which is not that exact.
    let after = at(&renewed["claim"]["lease_until"]) - at(&until);
    assert!(after.abs() < 1000, "no longer than the grace: {renewed}");
    assert_eq!(daemon.await_phase("2", "closed")["ending"], "drained");
}

#[test]
fn what_cannot_be_set_is_named_and_nothing_comes_of_it() {
    let daemon = Daemon::plain();
    let name = node(&daemon);
    let before =
        (daemon.ask(&["get", "pools"]), daemon.ask(&["get", "scopes"]), daemon.ask(&["get", "nodes"]));
    for (args, code, what) in [
        (&["set", "quota", "team", "mana", "--limit", "1"][..], 3, "no resource \"mana\""),
        (&["set", "quota", "team", "cpu"], 2, "nothing is set"),
        (&["set", "quota", "a//b", "cpu", "--limit", "1"], 2, "\"a//b\" is no scope"),
        (&["set", "quota", "team", "cpu", "--limit", "-1"], 2, "--limit: \"-1\" is no amount"),
        (&["set", "quota", "team", "cpu", "--limit", "9999999999999"], 2, "more than can be counted"),
        (
            &["set", "quota", "team", "cpu", "--limit", "1", "--guaranteed", "2"],
            2,
            "below the guarantee of 2000",
        ),
        (&["set", "quota", "team", "cpu", "--limit", "1/m"], 2, "comes back by no time"),
        (&["set", "quota", "team", "tokens", "--limit", "1"], 2, "write it as 50k/m"),
        (&["set", "quota", "1/2/3/4/5/6/7/8/9", "cpu", "--limit", "1"], 4, "9 levels deep"),
        (&["set", "pool", "mana", "3"], 3, "no resource \"mana\""),
        (&["set", "pool", "cpu", "lots"], 2, "\"lots\" is no amount"),
        (&["set", "pool", "cpu", "-2"], 2, "\"-2\" is no amount"),
        (&["set", "pool", "cpu:extra", "2"], 2, "no node is named"),
        (&["set", "pool", "cpu", "2", "--node", "mars"], 3, "no node \"mars\""),
        (&["set", "pool", "lock:mine", "2"], 2, "spring from their names"),
        (&["set", "pool", "usd:acct", "5usd/y"], 2, "s, m, h, d or w"),
        (&["set", "scope", "team", "--weight", "0"], 2, "0 is no weight"),
        (&["set", "scope", "team", "--weight", "-1"], 2, "-1"),
        (&["cordon", "mars"], 3, "there are: "),
        (&["uncordon", "mars"], 3, "no node \"mars\""),
        (&["drain", "mars"], 3, "no node \"mars\""),
        (&["drain", &name, "--grace", "soon"], 2, "\"soon\" is no duration"),
        (&["drain", &name, "--grace", "60days"], 2, "at most 30 days"),
        (&["drain", &name, "--wait", "soon"], 2, "\"soon\" is no duration"),
        (&["apply", "-f", "/nowhere.toml"], 2, "/nowhere.toml"),
        (&["apply", "-f", "/etc/passwd"], 2, "/etc/passwd: it is no TOML"),
        (&["apply"], 2, "--file"),
    ] {
        says(&daemon.tell(args), code, what);
    }
    let typo = file(&daemon, "typo.toml", "[[quota]]\nscope = \"a\"\nresource = \"cpu\"\nlimt = \"1\"\n");
    says(
        &daemon.tell(&["apply", "-f", &typo]),
        2,
        "quota 1: there is no key \"limt\" (did you mean \"limit\"?)",
    );
    for (method, path, body, status, what) in [
        ("PUT", "/v1/quotas/cpu/team", json!({ "limit": "1G" }), 400, "1G"),
        ("PUT", "/v1/quotas/cpu/team", json!({ "limti": "1" }), 400, "limti"),
        ("PUT", "/v1/quotas/cpu/team", json!({ "scope": "other" }), 400, "the path \"team\""),
        ("PUT", "/v1/pools/cpu/cpu", json!({ "capacity": "1", "node": "mars" }), 404, "mars"),
        ("PUT", "/v1/nodes/mars", json!({ "state": "open" }), 404, "mars"),
        ("PUT", "/v1/nodes/mars", json!({ "state": "shut" }), 400, "shut"),
        ("POST", "/v1/apply", json!({}), 400, "nothing to set"),
        ("POST", "/v1/apply", json!({ "pols": [] }), 400, "pols"),
    ] {
        let (told, answer) = daemon.http(method, path, &body.to_string());
        assert!(
            told == status && answer["error"]["message"].as_str().is_some_and(|told| told.contains(what)),
            "{path}: {answer}"
        );
    }
    let after =
        (daemon.ask(&["get", "pools"]), daemon.ask(&["get", "scopes"]), daemon.ask(&["get", "nodes"]));
    assert_eq!(before, after, "nothing came of any of it");
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0, "it lives on");
}

#[test]
fn the_same_over_http_and_for_operators_only() {
    let daemon = Daemon::plain();
    let name = node(&daemon);
    let put = |path: &str, body: Value| daemon.http("PUT", path, &body.to_string());
    let (status, told) = put("/v1/quotas/cpu/team/a", json!({ "limit": "500", "guaranteed": "100" }));
    assert_eq!((status, &told["changes"][0]["outcome"]), (200, &json!("created")), "{told}");
    let (_, told) = put("/v1/quotas/cpu/team/a", json!({ "limit": null }));
    assert_eq!(told["changes"][0], json!({ "what": "quota", "id": "\"team/a\" cpu", "outcome": "changed" }));
    let quota = row(&daemon, "quotas", |quota| quota["scope"] == "team/a");
    assert_eq!((&quota["limit"], &quota["guaranteed"]), (&Value::Null, &json!("100")));
    assert_eq!(put("/v1/quotas/cpu", json!({ "limit": "100000" })).0, 200, "the root's");
    assert_eq!(put("/v1/scopes/team/a", json!({ "weight": 4 })).0, 200);
    let (status, told) = put("/v1/nodes/nowhere", json!({ "state": "draining" }));
    assert_eq!((status, &told["error"]["reason"]), (404, &json!("NotFound")), "{told}");
    let told = daemon.tell(&["drain", "nowhere"]);
    assert!(told.code == 3 && told.err.contains(&name), "{told:?}");
    assert_eq!(row(&daemon, "scopes", |scope| scope["path"] == "team/a")["weight"], 4);
    let (_, told) = put("/v1/pools/tokens/acct/model", json!({ "capacity": "60", "period_ms": 60_000 }));
    assert_eq!(told["changes"][0]["id"], "tokens:acct/model", "{told}");
    let (_, told) = put(&format!("/v1/nodes/{name}?wait=1s"), json!({ "state": "draining", "grace": "0s" }));
    assert_eq!((&told["node"]["state"], &told["node"]["leases"]), (&json!("draining"), &json!(0)));
    assert_eq!(put(&format!("/v1/nodes/{name}"), json!({ "state": "open" })).1["node"]["state"], "open");
    let bursar = crate::daemon::program().display().to_string();
    let inside = |args: &str| {
        daemon.tell(&[
            "run",
            "--cpu",
            "0.1",
            "--scope",
            "team",
            "--",
            "sh",
            "-c",
            &format!("{bursar} {args}"),
        ])
    };
    for args in [
        "set scope team --weight 9",
        "set quota team cpu --limit none",
        "set pool tokens:acct/model 9/m",
        &format!("cordon {name}"),
        &format!("drain {name}"),
    ] {
        says(&inside(args), 4, "Forbidden");
    }
    let path = file(&daemon, "live.toml", FILE);
    says(&inside(&format!("apply -f {path}")), 4, "Forbidden");
    says(&inside(&format!("apply -f {path} --dry-run")), 4, "Forbidden");
    let help = told_help(&daemon);
    assert!(["apply", "set", "cordon", "uncordon", "drain"].iter().all(|verb| help.contains(verb)), "{help}");
}

fn told_help(daemon: &Daemon) -> String {
    told(daemon.command(&["--help"])).out
}

#[test]
fn guarantees_that_cannot_be_kept_are_refused_at_the_start_as_they_are_when_applied() {
    let quota = |scope: &str, bounds: &str| {
        format!("[[quota]]\nscope = \"{scope}\"\nresource = \"memory\"\n{bounds}\n")
    };
    let limited = quota("team", "limit = \"64M\"");
    let above = limited.clone() + &quota("team/a", "guaranteed = \"65M\"");
    let assured = quota("team", "guaranteed = \"64M\"");
    let together = ["a", "b"].map(|name| quota(&format!("team/{name}"), "guaranteed = \"33M\"")).concat();
    let below = quota("team", "guaranteed = \"65M\"\nlimit = \"64M\"");
    let wrong = [
        (
            above,
            "the guarantees below \"team\" come to 68157440 bytes of memory (\"team/a\" 68157440), and \"team\" may hold 67108864",
        ),
        (
            assured + &together,
            "(\"team/a\" 34603008 + \"team/b\" 34603008), and \"team\" is itself guaranteed 67108864",
        ),
        (
            below,
            "quota of \"team\" on memory: the limit of 67108864 bytes is below the guarantee of 68157440",
        ),
        (limited.repeat(2), "quota of \"team\" on memory: it is set twice"),
    ];
    let mut daemon = Daemon::plain();
    let paths: Vec<String> =
        (0..).zip(&wrong).map(|(n, (config, _))| file(&daemon, &format!("{n}.toml"), config)).collect();
    for (path, (_, what)) in paths.iter().zip(&wrong) {
        says(&daemon.tell(&["apply", "-f", path]), 2, what);
    }
    daemon.stop();
    for (path, (_, what)) in paths.iter().zip(&wrong) {
        let mut serve = daemon.command(&["serve", "--config", path, "--state"]);
        serve.arg(daemon.state()).arg("--socket").arg(daemon.socket());
        says(&told(serve), 2, what);
    }
    daemon.start();
    assert_eq!(row(&daemon, "quotas", |_| true), Value::Null, "nothing of what was refused was kept");
}
