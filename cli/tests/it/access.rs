//! Who may do what over TCP: every route by name, every kind of token, and what one tenant learns of another.
use crate::daemon::{Daemon, Setup};
use serde_json::{Value, json};
use std::{
    io::{BufRead, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// Where routes are written down, and where they are let onto the router.
const SOURCES: [&str; 2] =
    [include_str!("../../../edge/api/src/routes.rs"), include_str!("../../../edge/api/src/contract.rs")];

/// What a route is for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum For {
    Read,
    Claim,
    Operate,
}

/// Every route, with the methods that it has. One that is new belongs here, and is tested with all others.
const ALL: [(&str, &[(&str, For)]); 34] = [
    ("/v1/claims", &[("GET", For::Read), ("POST", For::Claim)]),
    ("/v1/claims/{id}", &[("GET", For::Read)]),
    ("/v1/claims/{id}/explain", &[("GET", For::Read)]),
    ("/v1/claims/{id}/renew", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/settle", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/release", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/cancel", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/attach", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/extend", &[("POST", For::Claim)]),
    ("/v1/claims/{id}/shrink", &[("POST", For::Claim)]),
    ("/v1/batch", &[("POST", For::Claim)]),
    ("/v1/pools", &[("GET", For::Read)]),
    ("/v1/nodes", &[("GET", For::Read)]),
    ("/v1/scopes", &[("GET", For::Read)]),
    ("/v1/quotas", &[("GET", For::Read)]),
    ("/v1/apply", &[("POST", For::Operate)]),
    ("/v1/pools/{resource}/{*name}", &[("PUT", For::Operate), ("DELETE", For::Operate)]),
    ("/v1/nodes/{name}", &[("PUT", For::Operate)]),
    ("/v1/scopes/{*path}", &[("PUT", For::Operate)]),
    ("/v1/quotas/{resource}", &[("PUT", For::Operate), ("DELETE", For::Operate)]),
    ("/v1/quotas/{resource}/{*scope}", &[("PUT", For::Operate), ("DELETE", For::Operate)]),
    ("/v1/plugins", &[("GET", For::Read), ("POST", For::Operate)]),
    ("/v1/keys", &[("GET", For::Read)]),
    ("/v1/strategies", &[("GET", For::Read)]),
    ("/v1/strategies/{role}", &[("PUT", For::Operate)]),
    ("/v1/strategies/{role}/rollback", &[("POST", For::Operate)]),
    ("/v1/doctor", &[("GET", For::Read)]),
    ("/v1/audit", &[("GET", For::Read)]),
    ("/v1/openapi.json", &[("GET", For::Read)]),
    ("/v1/findings", &[("GET", For::Read)]),
    ("/v1/metrics", &[("GET", For::Read)]),
    ("/v1/events", &[("GET", For::Read)]),
    ("/healthz", &[("GET", For::Read)]),
    ("/readyz", &[("GET", For::Read)]),
];

/// A daemon that is reached over TCP as well.
pub(crate) struct House {
    pub(crate) daemon: Daemon,
    pub(crate) address: String,
}

/// Tokens by the words that they are the secret of.
pub(crate) fn token(secret: &str, scope: &str, verbs: &[&str], expires: &str) -> String {
    let sha256: String = bursar_api::digest(secret).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("[[token]]\nsha256 = \"{sha256}\"\nscope = \"{scope}\"\nverbs = {verbs:?}\n{expires}\n")
}

impl House {
    pub(crate) fn with(config: &str) -> House {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = free.local_addr().expect("its number").to_string();
        drop(free);
        let args = vec!["--http".into(), address.clone()];
        let daemon = Daemon::with(Setup { config: config.into(), args, ..Setup::default() });
        House { daemon, address }
    }

    /// Status and body, as whoever has this secret.
    pub(crate) fn ask(&self, method: &str, path: &str, secret: Option<&str>, body: &str) -> (u16, String) {
        let shown = secret.map(|secret| format!("Authorization: Bearer {secret}\r\n")).unwrap_or_default();
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        let mut stream = TcpStream::connect(&self.address).expect("connected");
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{shown}{kind}Content-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("sent");
        let mut answer = String::new();
        let _ = stream.read_to_string(&mut answer);
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
        let (_, body) = answer.split_once("\r\n\r\n").unwrap_or_default();
        (status.unwrap_or_else(|| panic!("{method} {path}: {answer:?}")), body.to_owned())
    }

    fn claim(&self, secret: &str, body: &Value) -> Value {
        let (status, answer) = self.ask("POST", "/v1/claims", Some(secret), &body.to_string());
        assert!((200..300).contains(&status), "{status} {answer}");
        serde_json::from_str::<Value>(&answer).expect("JSON")["claim"].clone()
    }
}

/// A route's path with something in each of its places.
pub(crate) fn filled(path: &str) -> String {
    let fill = |part: &str| if part.starts_with('{') { "7".to_owned() } else { part.to_owned() };
    path.split('/').map(fill).collect::<Vec<_>>().join("/")
}

#[test]
fn every_route_is_known_here_and_asks_for_a_token_that_is_good_for_it() {
    let house = House::with(
        &[
            token("reads", "team", &["read"], ""),
            token("claims", "team", &["claim"], ""),
            token("operates", "", &["operate", "read", "claim"], ""),
            token("late", "", &["operate", "read", "claim"], "expires = \"2020-01-01T00:00:00Z\""),
        ]
        .concat(),
    );
    // Nothing is let onto the router but what stands in the table, and that is what the document is made of.
    assert_eq!(SOURCES.map(|source| source.matches(".route(").count()), [0, 1]);
    let document = house.daemon.http("GET", "/v1/openapi.json", "").1;
    let written = document["paths"].as_object().expect("paths");
    for (path, methods) in written {
        let known = ALL.iter().find(|(known, _)| known.replace("{*", "{") == *path);
        let (_, known) = known.unwrap_or_else(|| panic!("{path} is new: it belongs into this test's list"));
        for (method, operation) in methods.as_object().expect("methods") {
            let verb = known.iter().find(|(known, _)| known.eq_ignore_ascii_case(method));
            let (_, verb) =
                verb.unwrap_or_else(|| panic!("{method} {path} is new: it belongs into this test's list"));
            assert_eq!(operation["x-verb"], format!("{verb:?}").to_lowercase(), "{method} {path}");
        }
    }
    assert_eq!(written.len(), ALL.len(), "what this test knows is there");
    for (path, methods) in ALL.iter().chain(&[("/mcp", &[("POST", For::Claim)][..])]) {
        let path = filled(path);
        for &(method, wants) in *methods {
            for secret in [None, Some("wrong"), Some("read"), Some("late"), Some("")] {
                let (status, body) = house.ask(method, &path, secret, "");
                assert_eq!(status, 401, "{method} {path} as {secret:?}: {body}");
            }
            for (secret, good) in [("reads", For::Read), ("claims", For::Claim)] {
                // A stream of events has no end.
                if good == wants && path != "/v1/events" {
                    let (status, body) = house.ask(method, &path, Some(secret), "");
                    assert!(![401, 403].contains(&status), "{method} {path} as {secret}: {status} {body}");
                } else if good != wants {
                    let (status, body) = house.ask(method, &path, Some(secret), "");
                    assert_eq!(status, 403, "{method} {path} as {secret}: {body}");
                }
            }
            if path != "/v1/events" {
                let (status, body) = house.ask(method, &path, Some("operates"), "");
                assert!(![401, 403].contains(&status), "{method} {path} as an operator: {status} {body}");
            }
        }
    }
}

#[test]
fn a_tenant_sees_nothing_of_another_and_what_is_forbidden_is_as_if_it_were_not_there() {
    let canary = "canary-7c31";
    let house = House::with(
        &[token("one", "one", &["read", "claim"], ""), token("two", "two", &["read", "claim"], "")].concat(),
    );
    let ask = json!({ "scope": format!("{canary}/deep"), "key": canary, "ttl": "1h",
        "lines": [{ "resource": "cpu", "amount": "10" }, { "resource": "lock", "pool": canary, "whole": true }] });
    let theirs = house.claim("two", &ask);
    assert_eq!(theirs["phase"], "held", "{theirs}");
    let own = house.claim("one", &json!({ "ttl": "1h", "lines": [{ "resource": "cpu", "amount": "10" }] }));
    for path in [
        "claims",
        "pools",
        "nodes",
        "scopes",
        "quotas",
        "plugins",
        "keys",
        "strategies",
        "doctor",
        "findings",
        "audit",
    ] {
        let (_, theirs) = house.ask("GET", &format!("/v1/{path}"), Some("two"), "");
        let (status, body) = house.ask("GET", &format!("/v1/{path}"), Some("one"), "");
        assert!(!body.contains(canary), "{path}: {status} {body}");
        // That there is something to be seen is seen by whose it is.
        assert!(!["claims", "scopes"].contains(&path) || theirs.contains(canary), "{path}: {theirs}");
    }
    let (_, events) = house.ask("GET", "/v1/events?since=0&limit=1000", Some("one"), "");
    assert!(!events.contains(canary), "{events}");

    let id = theirs["id"].as_str().expect("an id");
    let fence = theirs["fence"].as_str().expect("a fence");
    let absent = (id.parse::<u64>().expect("a number") + 1000).to_string();
    let bodies = [
        ("GET", "", String::new()),
        ("GET", "/explain", String::new()),
        ("POST", "/renew", json!({ "fence": fence, "ttl": "1h" }).to_string()),
        (
            "POST",
            "/settle",
            json!({ "fence": fence, "used": [{ "resource": "cpu", "amount": "1" }] }).to_string(),
        ),
        (
            "POST",
            "/extend",
            json!({ "fence": fence, "lines": [{ "resource": "cpu", "amount": "20" }] }).to_string(),
        ),
        (
            "POST",
            "/shrink",
            json!({ "fence": fence, "lines": [{ "resource": "cpu", "amount": "5" }] }).to_string(),
        ),
        ("POST", "/attach", json!({ "fence": fence, "pid": std::process::id() }).to_string()),
        ("POST", "/cancel", String::new()),
        ("POST", "/release", json!({ "fence": fence }).to_string()),
    ];
    for (method, verb, body) in &bodies {
        let told = |id: &str| {
            let (status, answer) = house.ask(method, &format!("/v1/claims/{id}{verb}"), Some("one"), body);
            // Only where it is a number of its own, and not within another one.
            let words = answer.split_inclusive(|letter: char| !letter.is_ascii_alphanumeric());
            let masked =
                words.map(|word| match word.trim_end_matches(|c: char| !c.is_ascii_alphanumeric()) {
                    number if number == id => word.replace(id, "ID"),
                    _ => word.to_owned(),
                });
            (status, masked.collect::<String>())
        };
        assert_eq!(told(id), told(&absent), "{method} {verb}");
        // What is one's own is there.
        let own = own["id"].as_str().expect("an id");
        let (status, _) = house.ask(method, &format!("/v1/claims/{own}{verb}"), Some("one"), body);
        assert_ne!(status, 404, "{method} {verb}");
    }
    assert_eq!(house.daemon.claim(id)["phase"], "held", "nothing came of it");
    let within =
        json!({ "within": id, "within_fence": fence, "lines": [{ "resource": "cpu", "amount": "1" }] });
    let (status, _) = house.ask("POST", "/v1/claims", Some("one"), &within.to_string());
    assert!((400..500).contains(&status), "{status}");
}

#[test]
fn a_token_is_made_shown_once_and_let_in_by_what_is_printed() {
    let daemon = Daemon::plain();
    let made = daemon.ask(&["token", "--scope", "team/ci", "--verbs", "read", "--ttl", "1h"]);
    let told = daemon.tell(&["token", "--scope", "team/ci", "--verbs", "read,claim", "--ttl", "1h"]);
    let secret =
        told.out.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a secret").to_owned();
    assert_ne!(made["token"], secret.as_str());
    assert!(
        !told.out.lines().skip(1).any(|line| line.contains(&secret)),
        "only its digest is for the config"
    );
    drop(daemon);
    let house = House::with(&told.out);
    assert_eq!(house.ask("GET", "/v1/claims", Some(&secret), "").0, 200);
    let claim = house.claim(&secret, &json!({ "lines": [{ "resource": "cpu", "amount": "10" }] }));
    assert_eq!(claim["scope"], "team/ci");
    assert_eq!(house.daemon.tell(&["token", "--verbs", "rule"]).code, 2);
    let log = house.daemon.log();
    assert!(!log.contains(&secret), "{log}");
}

#[test]
fn what_is_printed_of_a_token_is_read_as_it_was_said() {
    let daemon = Daemon::plain();
    // The last letter has its accent apart.
    for scope in ["a\"b\\c", "it's/\u{fc}ber", "e\u{301}/\u{200b}x", ""] {
        let told = daemon.tell(&["token", "--scope", scope]);
        let read: toml::Table = told.out.parse().unwrap_or_else(|error| panic!("{error}: {told:?}"));
        let token = &read["token"][0];
        assert_eq!(token["scope"].as_str(), Some(scope), "{told:?}");
        assert_eq!(token["verbs"].as_array().map(Vec::len), Some(2), "{told:?}");
    }
}

#[test]
fn a_token_that_would_let_nobody_in_is_not_made_and_not_read() {
    let daemon = Daemon::plain();
    let state = daemon.scratch.path().join("other");
    let file = daemon.scratch.path().join("wrong.toml");
    for (scope, verbs, word) in [
        ("team", "read,operate", "operate is for the root"),
        ("a/", "read", "is no scope"),
        ("a//b", "read", "is no scope"),
        ("a/..", "read", "is no scope"),
        ("team", "rule", "there are read, claim"),
    ] {
        let told = daemon.tell(&["token", "--scope", scope, "--verbs", verbs]);
        assert_eq!((told.code, told.out.as_str()), (2, ""), "{scope} {verbs}: {told:?}");
        assert!(told.err.contains(word), "{told:?}");
        let verbs: Vec<&str> = verbs.split(',').collect();
        std::fs::write(&file, token("secret", scope, &verbs, "")).expect("written");
        let mut command = daemon.command(&["serve", "--state"]);
        command.arg(&state).arg("--socket").arg(state.with_extension("sock"));
        command.arg("--config").arg(&file).args(["--http", "127.0.0.1:0"]);
        let told = crate::daemon::told(command);
        assert!(
            told.code != 0 && told.err.contains("token 1") && told.err.contains(word),
            "{scope}: {told:?}"
        );
    }
    for ttl in ["0s", "10ms"] {
        let told = daemon.tell(&["token", "--ttl", ttl]);
        assert!(told.code == 2 && told.out.is_empty() && told.err.contains("--ttl"), "{ttl}: {told:?}");
    }
}

#[test]
fn beyond_this_machine_tcp_is_served_only_to_who_says_so() {
    let daemon = Daemon::plain();
    let state = daemon.scratch.path().join("other");
    let socket = daemon.scratch.path().join("other-sock");
    let mut command = daemon.command(&["serve", "--http", "0.0.0.0:0", "--state"]);
    command.arg(&state).arg("--socket").arg(&socket);
    let told = crate::daemon::told(command);
    assert_eq!(told.code, 1, "{told:?}");
    assert!(told.err.contains("in the clear") && told.err.contains("--far"), "{told:?}");
}

/// What a process has computed so far, in hundredths of a second.
fn computed(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, rest) = stat.rsplit_once(')').expect("a name");
    rest.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("a number")).sum()
}

#[test]
fn whoever_follows_while_nothing_concerns_them_costs_nothing() {
    let house = House::with(
        &[token("one", "one", &["read", "claim"], ""), token("two", "two", &["read", "claim"], "")].concat(),
    );
    let mut streams: Vec<TcpStream> =
        (0..2).map(|_| TcpStream::connect(&house.address).expect("connected")).collect();
    for stream in &mut streams {
        let follow = format!(
            "GET /v1/events?since=0 HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer one\r\nAccept: text/event-stream\r\n\r\n",
            house.address
        );
        stream.write_all(follow.as_bytes()).expect("sent");
    }
    let ask = json!({ "ttl": "1h", "lines": [{ "resource": "cpu", "amount": "10" }] });
    house.claim("two", &ask);
    std::thread::sleep(Duration::from_millis(300));
    let before = computed(house.daemon.pid());
    std::thread::sleep(Duration::from_secs(1));
    let ticks = computed(house.daemon.pid()) - before;
    assert!(ticks < 30, "{ticks} of 100 parts of a second, with nothing to tell");
    // And then something does.
    let own = house.claim("one", &ask);
    let id = format!("\"claim\":{}", own["id"]);
    let mut heard = String::new();
    for line in std::io::BufReader::new(&streams[0]).lines().map_while(Result::ok) {
        heard.push_str(&line);
        if line.contains(&id) {
            return;
        }
    }
    panic!("{heard}");
}
