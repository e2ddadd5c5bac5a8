//! What one tenant hears of another: nothing. Two daemons live through the same, but for what the other tenant is
//! called, holds and may hold, while it presses as much in all: whatever the first one reads is the same in both, and
//! holds nothing of the other. What it may not see is answered as what is not there.
use crate::{
    access::{House, token},
    daemon::{Daemon, Lasting, program},
};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Two processors, of which all is wanted, and less memory and disk than any machine has left: how much that is,
/// everybody may read. Whether a lease was looked at when it is told of is a matter of the moment.
const CONFIG: &str = "[node.capacity]\ncpu = \"2\"\nmemory = \"1G\"\ndisk = \"64M\"\n[analysis]\nevery = \"1h\"\n\
                      [memory]\nanalytics-interval = \"1h\"\n";
/// Lines of the stream that are compared: more come, and the last may be cut off.
const STREAMED: usize = 5;
/// No claim has this number.
const ABSENT: &str = "4711";

/// What the other tenant is called, holds, and may hold.
struct Other {
    names: [&'static str; 2],
    milli: [&'static str; 2],
    limits: [&'static str; 2],
}

const OTHERS: [Other; 2] = [
    Other { names: ["canary-one", "canary-two"], milli: ["733m", "417m"], limits: ["3119m", "2927m"] },
    Other { names: ["canary-six", "canary-ten"], milli: ["417m", "733m"], limits: ["2927m", "3119m"] },
];

/// What the daemon says to the first tenant, by what was asked.
type Heard = BTreeMap<String, String>;

fn detached(daemon: &Daemon, scope: &str, ask: &[&str]) {
    let told = daemon.tell(&[&["claim", "--detach", "--wait", "1h", "--scope", scope], ask].concat());
    assert_eq!(told.code, 0, "{told:?}");
}

/// The other tenant holds and waits, under names of its own wherever it may choose one.
fn press(daemon: &Daemon, other: &Other) {
    for at in 0..2 {
        let (name, scope) = (other.names[at], format!("{}/agent", other.names[at]));
        assert_eq!(daemon.tell(&["set", "quota", name, "cpu", "--limit", other.limits[at]]).code, 0);
        let lock = format!("{name}-lock");
        let held = ["--cpu", other.milli[at], "--lock", &lock, "--key", name];
        assert_eq!(daemon.tell(&[&["claim", "--scope", &scope], &held[..]].concat()).code, 0);
        detached(daemon, &scope, &["--cpu", "1900m", "--gang", &format!("{name}:1")]);
    }
    assert_eq!(daemon.tell(&["claim", "--scope", other.names[0], "--lock", "shared"]).code, 0);
}

/// The first tenant holds a little, and waits for what the other holds.
fn ask(daemon: &Daemon) {
    assert_eq!(daemon.tell(&["claim", "--scope", "alpha/own", "--cpu", "250m"]).code, 0);
    assert_eq!(daemon.tell(&["set", "quota", "alpha/few", "memory", "--limit", "96M"]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--scope", "alpha/few", "--memory", "64M"]).code, 0);
    detached(daemon, "alpha/cpu", &["--cpu", "1"]);
    detached(daemon, "alpha/lock", &["--lock", "shared"]);
    detached(daemon, "alpha/few", &["--memory", "64M"]);
    detached(daemon, "alpha/or", &["--cpu", "1500m", "--or", "cpu=1200m,memory=64M"]);
}

/// All that there is to read and to be refused, from inside of a lease of the first tenant.
fn script() -> String {
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"x","version":"1"}}}"#;
    let mut told = vec![hello.to_owned(), r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#.into()];
    let calls = [
        ("resource_explain", r#"{"claim":8}"#),
        ("resource_explain", r#"{"claim":9}"#),
        ("resource_monitor", r#"{"claim":8}"#),
        ("resource_monitor", "{}"),
        ("resource_optimize", "{}"),
        ("resource_analytics", "{}"),
        ("resource_allocate", r#"{"cpu":"1"}"#),
        ("resource_explain", r#"{"claim":1}"#),
    ];
    told.extend((2..).zip(calls).map(|(id, (tool, arguments))| {
        format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"tools/call","params":{{"name":"{tool}","arguments":{arguments}}}}}"#)
    }));
    let lists = ["claims", "pools", "nodes", "scopes", "quotas", "plugins", "events"];
    let lists = lists.map(|list| format!("say get {list} -o jsonl; say get {list} -o wide;"));
    let explained = ["8", "9", "10", "11"].map(|id| format!("say explain {id} -o jsonl; say explain {id};"));
    let refused = ["1", ABSENT].map(|id| {
        let fenced = format!("{id} --fence 1099511627777");
        let verbs = [
            format!("release {fenced}"),
            format!("renew {fenced}"),
            format!("settle {fenced} cpu=1"),
            format!("extend {fenced} cpu=2"),
            format!("shrink {fenced} cpu=1m"),
            format!("attach {fenced} --pid 77"),
            format!("cancel {id}"),
            format!("explain {id}"),
            format!("claim --cpu 1m --within {id}"),
        ];
        verbs.map(|verb| format!("say {verb} -o jsonl;")).concat()
    });
    format!(
        // That its own lease is true is written down within a quarter of a second.
        r#"b={}
sleep 1
say() {{ echo "== $*"; "$b" "$@" 2>&1; echo "code $?"; }}
{}{}{}
say claim --cpu 1 -o jsonl; say claim --cpu 1 --wait 50ms; say apply -f /dev/null -o jsonl; say doctor -o jsonl; say strategy show;
echo "== stream"; timeout 3 "$b" get events -w -o jsonl
echo "== mcp"; (printf '%s\n' '{}'; sleep 2) | "$b" mcp
"#,
        program().display(),
        lists.concat(),
        explained.concat(),
        refused.concat(),
        told.join("\n")
    )
}

/// What depends on the moment, and on where the daemon keeps its files.
fn mask(value: &mut Value) {
    const MOMENTS: [&str; 8] = ["at", "seq", "until", "asked_at", "lease_until", "pids", "evidence", "eta"];
    match value {
        Value::Object(fields) => {
            // What was measured of this machine.
            let measured = fields.get("what").is_some_and(|what| what == "memory pressure");
            // Whether its own lease has been looked at yet, and what it used just then.
            let lease = fields.contains_key("phase");
            for (key, value) in fields {
                let timed = ["_ms", "_ns", "p50", "p90"].iter().any(|end| key.ends_with(end));
                match MOMENTS.contains(&key.as_str())
                    || timed
                    || measured && key == "detail"
                    || lease && key == "usage"
                {
                    true => *value = Value::Null,
                    false => mask(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(mask),
        // Answers of tools hold a document as text.
        Value::String(text) => {
            if let Ok(mut inner @ Value::Object(_)) = serde_json::from_str(text) {
                mask(&mut inner);
                *value = inner;
            }
        }
        _ => {}
    }
}

/// A line as it is but for its moment: of a document all other figures stay, of a table only the words.
fn masked(line: &str) -> String {
    match serde_json::from_str::<Value>(line) {
        Ok(mut document) => {
            mask(&mut document);
            document.to_string()
        }
        Err(_) => {
            let words = line.split_whitespace().map(|word| {
                let digits = |c: char| c.is_ascii_digit() || c == '.';
                word.split(digits).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
            });
            words
                .filter(|word| !["ms", "s", "m#s", "ms)", "s)"].contains(&word.as_str()))
                .collect::<Vec<_>>()
                .join(" ")
        }
    }
}

fn heard(other: &Other) -> Heard {
    let daemon = Daemon::configured(CONFIG);
    press(&daemon, other);
    ask(&daemon);
    // What it and its drivers find at their first look is told from then on.
    daemon.eventually("all have looked", || {
        let doctor = daemon.tell(&["doctor"]).out;
        ["left_cells", "left_disk", "left_gpu", "left_host", "left_port"]
            .iter()
            .all(|name| doctor.contains(name))
    });
    let told = daemon.tell(&["run", "--scope", "alpha", "--", "sh", "-c", &script()]);
    assert_eq!(told.code, 0, "{told:?}");
    let place = daemon.scratch.path().display().to_string();
    let mut heard: Heard = BTreeMap::new();
    for section in told.out.split("== ").skip(1) {
        let (asked, answer) = section.split_once('\n').expect("a line");
        let answer = answer.replace(&place, "PLACE").replace(&program().display().to_string(), "PROGRAM");
        assert!(!answer.contains("canary"), "{asked}: {answer}");
        let mut lines: Vec<String> = answer.lines().map(masked).collect();
        match asked {
            // Tools are called at once, and answer as they are done.
            "mcp" => lines.sort(),
            // It is cut off, be it in the middle of a line or early.
            "stream" => lines.truncate(STREAMED),
            _ => {}
        }
        let answer = lines.join("\n");
        for figure in other.milli.iter().chain(&other.limits) {
            let digits = figure.trim_end_matches('m');
            assert!(!answer.contains(digits), "{asked}: {figure} in {answer}");
        }
        heard.insert(asked.to_owned(), answer);
    }
    let more = told.err.contains("canary");
    assert!(!more, "{}", told.err);
    heard
}

#[test]
fn whatever_the_other_tenant_is_called_and_holds_the_first_one_hears_the_same() {
    let [first, second] = OTHERS.each_ref().map(heard);
    assert_eq!(first.len(), second.len());
    for (asked, answer) in &first {
        assert_eq!(Some(answer), second.get(asked), "{asked}");
    }
    // It did hear what is its own, and that there are others.
    let claims = &first["get claims -o jsonl"];
    assert!(claims.contains("alpha/cpu") && claims.contains("\"blame\""), "{claims}");
    assert!(first["explain 8 -o jsonl"].contains("InsufficientCapacity"), "{first:?}");
    assert!(first["mcp"].contains("WAITING") && first["stream"].contains("queued"), "{first:?}");
    // What is not for it is as what is not there, but for the number.
    let about = |id: &str| {
        let names = |asked: &str| {
            let words: Vec<&str> = asked.split(' ').collect();
            words.get(1) == Some(&id) || words.windows(2).any(|pair| pair == ["--within", id])
        };
        let all = first.iter().filter(|(asked, _)| names(asked));
        let text =
            |text: &str| text.replace(&format!("claim {id}"), "claim N").replace(&format!(" {id} "), " N ");
        all.map(|(asked, answer)| (text(&format!("{asked} ")), text(answer))).collect::<BTreeMap<_, _>>()
    };
    let (hidden, absent) = (about("1"), about(ABSENT));
    assert_eq!(hidden.len(), 9, "{hidden:?}");
    assert_eq!(hidden, absent);
    assert!(hidden.values().all(|answer| answer.contains("UnknownClaim")), "{hidden:?}");
}

/// Everything that there is to read for whoever comes with this token.
fn all_read(house: &House, secret: &str, waits: &str) -> BTreeMap<String, Value> {
    let lists = ["claims", "pools", "nodes", "scopes", "quotas", "plugins", "strategies", "keys"];
    let more = ["doctor", "findings", "metrics", "audit", "events?since=0&limit=1000"];
    let own = [format!("claims/{waits}"), format!("claims/{waits}/explain")];
    let paths = lists.iter().chain(&more).map(|path| (*path).to_owned()).chain(own);
    let read = paths.map(|path| {
        let (status, body) = house.ask("GET", &format!("/v1/{path}"), Some(secret), "");
        assert_eq!(status, 200, "{path}: {body}");
        let mut document = serde_json::from_str(&body).expect("JSON");
        mask(&mut document);
        (path, document)
    });
    read.collect()
}

#[test]
fn how_many_leases_others_have_is_told_nowhere() {
    let tokens = ["one", "two"].map(|name| token(name, name, &["read", "claim"], "")).concat();
    let often = CONFIG.replace("analytics-interval = \"1h\"", "analytics-interval = \"1s\"");
    let house = House::with(&format!("{often}{tokens}"));
    let post = |secret: &str, body: &Value| {
        let (status, answer) = house.ask("POST", "/v1/claims", Some(secret), &body.to_string());
        assert!((200..300).contains(&status), "{status} {answer}");
        serde_json::from_str::<Value>(&answer).expect("JSON")["claim"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let lock = |name: &str| json!([{ "resource": "lock", "pool": name, "whole": true }]);
    post("one", &json!({ "lines": lock("mine") }));
    let waits = post("one", &json!({ "lines": lock("mine"), "detach": true, "wait": "1h" }));
    let before = all_read(&house, "one", &waits);
    // Locks, so that nothing of what is everybody's is taken; one of them with a process, which is looked at.
    for name in ["a", "b", "c"] {
        post("two", &json!({ "lines": lock(name) }));
    }
    let running = house.daemon.command(&["run", "--scope", "two", "--lock", "d", "--", "cat"]);
    let running = Lasting::start(running);
    // Who sees everything is told all of it.
    let told = ["\"reclaim\"", "\"1 leases are looked at", "\"leases_ending\"", "\"host_load1\""];
    house.daemon.eventually("all is counted", || {
        let report = house.daemon.ask(&["doctor"]).to_string();
        told.iter().all(|word| report.contains(word))
    });
    let after = all_read(&house, "one", &waits);
    for (path, document) in &before {
        assert_eq!(Some(document), after.get(path), "{path}");
    }
    assert!(running.end());
    let report = after["doctor"].to_string();
    assert!(!told.iter().any(|word| report.contains(word)), "{report}");
}
