//! Negotiation by the tools, as agents do it who want to know where they stand, and as those do it who pass anything.
use crate::{
    agents::ByHand,
    daemon::{Daemon, LONG},
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ONE_CORE: &str = "[node.capacity]\ncpu = \"1\"\n";
/// Bytes of an answer with all that the protocol puts around it: 300 tokens of 3.5 bytes.
const RESULT_BYTES_MAX: usize = 1050;

fn hand(daemon: &Daemon) -> ByHand {
    ByHand::start(daemon, &["--hold", "200ms", "--refusals", "1000000"])
}

/// Stands in line for one core in a scope of its own; its claim and its place.
fn stand(hand: &mut ByHand, class: &str, scope: &str) -> (String, String) {
    let ask = json!({ "cpu": 1, "wait": "10m", "class": class, "scope": scope });
    let queued = hand.call("resource_allocate", ask);
    assert_eq!(queued["status"], "QUEUED", "{queued}");
    let text = |key: &str| queued[key].as_str().expect("text").to_owned();
    (text("claim"), text("position"))
}

/// Where a claim stands, by every way there is to see it.
fn places(daemon: &Daemon, hand: &mut ByHand, claim: &str) -> Vec<String> {
    let told = |place: &Value| place.as_u64().map_or_else(|| "none".to_owned(), |place| place.to_string());
    let listed = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
    let listed = listed.into_iter().find(|other| other["id"] == claim).expect("the claim");
    let table = daemon.tell(&["explain", claim]).out;
    let table = table.split("at place ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or("none");
    let tools = ["resource_monitor", "resource_explain"].map(|tool| {
        let answer = hand.call(tool, json!({ "claim": claim }));
        answer["position"].as_str().map_or_else(|| "none".to_owned(), str::to_owned)
    });
    let explained = daemon.ask(&["explain", claim]);
    [vec![told(&listed["position"]), told(&explained["position"]), table.to_owned()], tools.to_vec()].concat()
}

#[test]
fn the_place_in_line_is_the_true_one_whoever_is_asked() {
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = hand(&daemon);
    let held = hand.call("resource_allocate", json!({ "cpu": 1, "scope": "first" }));
    let asked = [("burstable", "a"), ("best-effort", "b"), ("burstable", "c"), ("guaranteed", "d")];
    let stood = asked.map(|(class, scope)| stand(&mut hand, class, scope));
    let told = stood.each_ref().map(|(_, place)| place.as_str());
    assert_eq!(told, ["1", "2", "2", "1"], "at the time of each answer");
    let [a, b, c, d] = stood.map(|(claim, _)| claim);
    for (claim, place) in [(&d, "1"), (&a, "2"), (&c, "3"), (&b, "4")] {
        assert_eq!(places(&daemon, &mut hand, claim), [place; 5], "claim {claim}");
    }
    // One gives up, and whoever stands behind it moves up.
    assert_eq!(hand.call("resource_release", json!({ "claim": a }))["status"], "RELEASED");
    assert_eq!(places(&daemon, &mut hand, &b), ["3"; 5]);
    // They are served in that order.
    let mut lease = json!({ "claim": held["claim"], "fence": held["fence"] });
    for claim in [&d, &c, &b] {
        assert_eq!(hand.call("resource_release", lease)["status"], "RELEASED");
        let granted = hand.call("resource_monitor", json!({ "claim": claim, "wait": "10s" }));
        assert_eq!(granted["status"], "GRANTED", "claim {claim}: {granted}");
        lease = json!({ "claim": granted["claim"], "fence": granted["fence"] });
    }
    assert_eq!(places(&daemon, &mut hand, &b)[..3], ["none"; 3], "whoever holds stands nowhere");
    // The daemon comes back, and everybody stands where it stood.
    let mut daemon = daemon;
    let (e, place) = stand(&mut hand, "burstable", "e");
    assert_eq!(place, "1");
    daemon.kill();
    daemon.start();
    let (f, _) = stand(&mut hand, "burstable", "f");
    assert_eq!(
        (places(&daemon, &mut hand, &e), places(&daemon, &mut hand, &f)),
        (vec!["1".into(); 5], vec!["2".into(); 5])
    );
}

#[test]
fn an_offer_of_a_lock_is_the_lock_that_was_asked_for() {
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = hand(&daemon);
    assert_eq!(hand.call("resource_allocate", json!({ "locks": ["q3:shared"] }))["status"], "GRANTED");
    let right = json!([{ "resource": "lock", "amount": "shared", "pool": "q3" }]);
    for ask in [json!({ "locks": ["q3"] }), json!({ "locks": ["q3"], "wait": "10m" })] {
        let offered = hand.call("resource_allocate", ask);
        assert_eq!((&offered["status"], &offered["offers"][0]["lines"]), (&"COUNTER_OFFER".into(), &right));
        if let Some(claim) = offered["claim"].as_str() {
            // Whoever looks at a claim may be another than who asked for it, so the name is not told again.
            let explained = hand.call("resource_explain", json!({ "claim": claim }));
            let lines = json!([{ "resource": "lock", "amount": "shared" }]);
            assert_eq!(explained["offers"][0]["lines"], lines, "{explained}");
            assert_eq!(hand.call("resource_allocate", json!({ "needs": lines }))["reason"], "BadRequest");
            assert_eq!(hand.call("resource_release", json!({ "claim": claim }))["status"], "RELEASED");
        }
        let granted = hand.call("resource_allocate", json!({ "needs": offered["offers"][0]["lines"] }));
        assert_eq!(granted["status"], "GRANTED", "{granted}");
        let lock = &daemon.claim(granted["claim"].as_str().expect("a claim"))["lines"][0];
        assert_eq!((&lock["pool"], &lock["amount"]), (&"q3".into(), &"1".into()), "{lock}");
    }
    // What is to be held alone stays so in an offer of less of something else.
    assert_eq!(hand.call("resource_allocate", json!({ "cpu": "0.5" }))["status"], "GRANTED");
    let offered = hand.call("resource_allocate", json!({ "cpu": 1, "locks": ["other"] }));
    let lines = offered["offers"][0]["lines"].as_array().expect("an offer").clone();
    assert!(
        lines.contains(&json!({ "resource": "lock", "amount": "exclusive", "pool": "other" })),
        "{offered}"
    );
}

#[test]
fn signs_of_progress_tell_the_place_in_line() {
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = ByHand::start(&daemon, &[]);
    hand.call("resource_allocate", json!({ "cpu": 1 }));
    assert_eq!(daemon.tell(&["claim", "--detach", "--wait", "1h", "--cpu", "1"]).code, 0);
    let call = json!({ "name": "resource_allocate", "arguments": { "cpu": 1, "wait": "10m" },
        "_meta": { "progressToken": "p" } });
    hand.send("tools/call", call);
    let sign = hand.read();
    assert_eq!(
        (&sign["method"], &sign["params"]["message"]),
        (&json!("notifications/progress"), &json!("waiting in line, place 2")),
        "{sign}"
    );
    // Whoever stood before it leaves.
    assert_eq!(daemon.tell(&["cancel", "2"]).code, 0);
    let since = Instant::now();
    while hand.read()["params"]["message"] != "waiting in line, place 1" {
        assert!(since.elapsed() < LONG, "it does not move up");
    }
    // Called off by its number, as any client may: nothing is held, and nobody waits.
    hand.notify("notifications/cancelled", json!({ "requestId": hand.last(), "reason": "no more" }));
    daemon.await_phase("3", "closed");
    assert_eq!(daemon.claim("3")["ending"], "cancelled");
    assert_eq!(hand.call("resource_monitor", json!({ "resource": "cpu" }))["status"], "OK", "it goes on");
}

#[test]
fn what_is_no_scope_is_no_filter() {
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = hand(&daemon);
    hand.call("resource_allocate", json!({ "cpu": "1m", "scope": "team" }));
    for tool in ["resource_analytics", "resource_optimize"] {
        for scope in ["//", "/", "a//b", ".."] {
            let told = hand.call(tool, json!({ "scope": scope }));
            assert_eq!(
                (&told["status"], &told["reason"]),
                (&"DENIED".into(), &"BadRequest".into()),
                "{told}"
            );
            assert!(told["fix"].as_str().is_some_and(|fix| fix.starts_with("scope: ")), "{told}");
        }
        assert_eq!(hand.call(tool, json!({ "scope": "team" }))["status"], "OK");
    }
}

/// Whatever may stand for a value.
fn odd() -> Vec<Value> {
    let nested = (0..60).fold(json!(1), |inner, _| json!([inner]));
    vec![
        json!(null),
        json!(true),
        json!(-1),
        json!(1.5e300),
        json!(u64::MAX),
        json!(""),
        json!(" "),
        json!("\u{0}\u{202e}\u{1f980}"),
        json!("x".repeat(100_000)),
        json!("99999999999999999999999999"),
        json!("-0.0.1m"),
        json!([]),
        json!({}),
        json!([null, 1, "a", {}]),
        json!(vec![json!({ "resource": "cpu", "amount": "1" }); 200]),
        json!({ "resource": { "amount": [] } }),
        nested,
    ]
}

#[test]
fn whatever_is_passed_is_answered_shortly_and_holds_nothing() {
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = hand(&daemon);
    hand.send("tools/list", json!({}));
    let tools = hand.read()["result"]["tools"].as_array().expect("tools").clone();
    let (mut calls, mut leases) = (0, Vec::new());
    for tool in &tools {
        let name = tool["name"].as_str().expect("a name");
        let mut keys: Vec<&str> =
            tool["inputSchema"]["properties"].as_object().expect("some").keys().map(String::as_str).collect();
        keys.push("surprise");
        for (key, value) in keys.iter().flat_map(|key| odd().into_iter().map(move |value| (key, value))) {
            // Beside what is needed, so that it is looked at.
            let mut arguments = match name {
                "resource_allocate" => json!({ "cpu": "1m" }),
                "resource_release" | "resource_settle" => json!({ "claim": "1", "fence": "1" }),
                _ => json!({}),
            };
            arguments[*key] = value;
            hand.send("tools/call", json!({ "name": name, "arguments": arguments }));
            let answer = hand.read();
            let bytes = answer["result"].to_string();
            assert!(bytes.len() < RESULT_BYTES_MAX, "{name} {key}: {} bytes: {bytes}", bytes.len());
            let told = &answer["result"]["structuredContent"];
            assert!(told["status"].is_string(), "{name} {key}: {answer}");
            calls += 1;
            if told["fence"].is_string() && name == "resource_allocate" {
                leases.push(json!({ "claim": told["claim"], "fence": told["fence"] }));
            }
            if *key == "surprise" {
                assert_eq!(told["reason"], "BadRequest", "{told}");
            }
        }
    }
    for lease in leases {
        hand.call("resource_release", lease);
    }
    assert!(calls > 400, "{calls}");
    daemon.eventually("nothing is held", || daemon.taken() == 0);
    // No object at all, no name, and a method that is not there.
    for params in [json!({ "name": "resource_monitor", "arguments": [1] }), json!({ "name": 7 }), json!("x")]
    {
        hand.send("tools/call", params.clone());
        assert!(hand.read()["error"]["code"].is_i64(), "{params}");
    }
    assert_eq!(hand.call("resource_monitor", json!({ "resource": "cpu" }))["status"], "OK", "it goes on");
}

#[test]
fn a_request_that_is_too_long_is_answered_shortly_by_both_transports() {
    let daemon = Daemon::configured(ONE_CORE);
    let long = "x".repeat(bursar_mcp::limits::REQUEST_BYTES_MAX);
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": "resource_allocate", "arguments": { "cpu": long } } });
    let headers = [("Accept", "application/json, text/event-stream"), ("MCP-Protocol-Version", "2025-11-25")];
    let mut client = daemon.client();
    let answer = client.request("POST", "/mcp", Some(message.to_string().as_bytes()), &headers);
    assert!(answer.is_ok_and(|answer| answer.status == 413));
    let mut hand = hand(&daemon);
    hand.send("tools/call", message["params"].clone());
    let answer = hand.read()["result"].to_string();
    assert!(answer.contains("at most 512 bytes") && answer.len() < RESULT_BYTES_MAX, "{answer}");
    assert_eq!(hand.call("resource_monitor", json!({ "resource": "cpu" }))["status"], "OK", "it goes on");
}

#[test]
fn all_who_wait_and_are_called_off_give_everything_back() {
    const WAITING: usize = 20;
    let daemon = Daemon::configured(ONE_CORE);
    let mut hand = ByHand::start(&daemon, &[]);
    let held = hand.call("resource_allocate", json!({ "cpu": 1 }));
    let first = hand.last() + 1;
    for _ in 0..WAITING {
        hand.send(
            "tools/call",
            json!({ "name": "resource_allocate", "arguments": { "cpu": 1, "wait": "10m" } }),
        );
    }
    let waiting = || {
        let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
        claims.iter().filter(|claim| claim["phase"] == "pending").count()
    };
    daemon.eventually("all of them wait", || waiting() == WAITING);
    // They are called off while what they wait for comes back: some may have it in their hands at this moment.
    for number in 0..WAITING as u64 {
        hand.notify("notifications/cancelled", json!({ "requestId": first + number }));
        if number == WAITING as u64 / 2 {
            let lease = json!({ "name": "resource_release",
                "arguments": { "claim": held["claim"], "fence": held["fence"] } });
            hand.send("tools/call", lease);
        }
    }
    daemon.eventually("nobody waits and nothing is held", || waiting() == 0 && daemon.taken() == 0);
    std::thread::sleep(Duration::from_millis(100));
    assert_eq!((waiting(), daemon.taken()), (0, 0));
}
