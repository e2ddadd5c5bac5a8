//! Requests that are meant to do harm, by the numbers of the design's list of attacks (S-…).
use crate::{
    access::{House, token},
    daemon::Daemon,
};
use serde_json::{Value, json};
use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// Sends bytes over TCP, and reads what comes until the other end hangs up.
fn converse(address: &str, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    // A door that does not want to hear the rest has answered already.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// Status of one request with these headers, and the whole answer.
fn ask(house: &House, method: &str, path: &str, headers: &str, body: &str) -> (u16, String) {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    let request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{headers}{length}\r\n{body}");
    let answer = converse(&house.address, request.as_bytes());
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    (status.unwrap_or(0), answer)
}

const BEARER: &str = "Authorization: Bearer good\r\n";

fn house() -> House {
    House::with(&token("good", "team", &["read", "claim"], ""))
}

#[test]
fn s_01_another_user_does_not_reach_the_socket() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can become somebody else");
        return;
    }
    if Command::new("python3").arg("--version").stdout(Stdio::null()).status().is_err() {
        eprintln!("skipped: python3 is not installed");
        return;
    }
    let daemon = Daemon::plain();
    let socket = daemon.socket().display().to_string();
    let script = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ntry:\n s.connect(sys.argv[1])\n print('in')\n\
                  except OSError as e:\n print(type(e).__name__)\n";
    let reaches = |uid: u32, gid: u32| {
        let mut command = Command::new("python3");
        command.args(["-c", script, &socket]).current_dir("/").uid(uid).gid(gid);
        String::from_utf8_lossy(&command.output().expect("python3").stdout).trim().to_owned()
    };
    assert_eq!(reaches(0, 0), "in");
    for (uid, gid) in [(65534, 65534), (65534, 0), (1, 1)] {
        assert_eq!(reaches(uid, gid), "PermissionError", "uid {uid}, gid {gid}");
    }
}

#[test]
fn s_08_s_09_tokens_that_are_nearly_right_are_wrong_and_none_is_ever_told() {
    let house = house();
    let own = fs::read_to_string(house.daemon.state().join("http-token")).expect("a token");
    let own = own.trim();
    let half = &own[..own.len() / 2];
    let digest: String = bursar_api::digest("good").iter().map(|byte| format!("{byte:02x}")).collect();
    for shown in [half, &format!("{own}0"), &own.to_uppercase(), "goo", "good ", "", &digest, "good\tgood"] {
        let headers = format!("Host: {}\r\nAuthorization: Bearer {shown}\r\n", house.address);
        let (status, answer) = ask(&house, "GET", "/v1/claims", &headers, "");
        // A blank at the end is no part of a header's value.
        let right = shown.trim() == "good";
        assert_eq!(status == 200, right, "{shown:?}: {answer}");
        assert!(right || answer.contains("www-authenticate: Bearer"), "{answer}");
    }
    let host = format!("Host: {}\r\n", house.address);
    for scheme in ["bearer", "BEARER"] {
        let headers = format!("{host}Authorization: {scheme} good\r\n");
        assert_eq!(ask(&house, "GET", "/v1/claims", &headers, "").0, 200, "{scheme}");
    }
    for headers in [
        "Authorization: good\r\n",
        "Authorization: Basic good\r\n",
        "X-Token: good\r\n",
        "Cookie: token=good\r\n",
    ] {
        assert_eq!(ask(&house, "GET", "/v1/claims", &format!("{host}{headers}"), "").0, 401, "{headers}");
    }
    let query = format!("/v1/claims?access_token={own}");
    assert_eq!(ask(&house, "GET", &query, &host, "").0, 401);
    let (status, told) =
        ask(&house, "POST", "/v1/apply", &format!("{host}Authorization: Bearer {own}\r\n"), "{}");
    assert_eq!(status, 415, "{told}");
    let log = house.daemon.log();
    let written = fs::read_to_string(house.daemon.state().join("audit.jsonl")).expect("a log");
    for (place, text) in [("log", &log), ("audit log", &written), ("answer", &told)] {
        assert!(!text.contains(own) && !text.contains(half), "{place}: {text}");
    }
    assert!(written.contains("\"token\":\"own\""), "{written}");
}

#[test]
fn s_10_to_s_16_bodies_beyond_every_bound_are_refused_at_once() {
    let house = house();
    let head = format!(
        "POST /v1/claims HTTP/1.1\r\nHost: {}\r\n{BEARER}Content-Type: application/json\r\n",
        house.address
    );
    let since = Instant::now();
    let big = format!("{{\"lines\":[],\"scope\":\"{}\"}}", "x".repeat(256 * 1024));
    let mut endless = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for _ in 0..70 {
        endless.extend(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).into_bytes());
    }
    for (what, bytes) in [
        ("256 KiB and more", format!("{head}Content-Length: {}\r\n\r\n{big}", big.len()).into_bytes()),
        ("10 GiB announced", format!("{head}Content-Length: 10737418240\r\n\r\n").into_bytes()),
        ("chunks without end", endless),
    ] {
        let answer = converse(&house.address, &bytes);
        assert!(
            answer.starts_with("HTTP/1.1 413") && answer.contains("connection: close"),
            "{what}: {answer}"
        );
    }
    assert!(since.elapsed() < Duration::from_secs(5), "{:?}", since.elapsed());
    let headers = format!("Host: {}\r\n{BEARER}Content-Type: application/json\r\n", house.address);
    let line = |amount: &str| format!("{{\"lines\":[{{\"resource\":\"cpu\",\"amount\":{amount}}}]}}");
    for body in [
        format!("{{\"lines\":{}{}}}", "[".repeat(33), "]".repeat(33)),
        format!("{{{}\"lines\":[]}}", (0..1000).map(|n| format!("\"k{n}\":0,")).collect::<String>()),
        "{\"lines\":[],\"lines\":[]}".into(),
        line("1e400"),
        line("18446744073709551616"),
        line("\"18446744073709551616\""),
        line("-1"),
        line("-0.0"),
        line("1.5"),
        line("\"+1\""),
        line("\"\""),
    ] {
        let (status, answer) = ask(&house, "POST", "/v1/claims", &headers, &body);
        assert_eq!(status, 400, "{body:.80}: {answer}");
    }
    // Nothing is unpacked: what is packed is no JSON.
    let packed = format!("{headers}Content-Encoding: gzip\r\n");
    let (status, answer) = ask(&house, "POST", "/v1/claims", &packed, "\u{1f}\u{8b}\u{8}not json");
    assert!([400, 415].contains(&status), "{answer}");
}

#[test]
fn s_30_to_s_36_web_pages_do_not_get_in() {
    let house = house();
    let port = house.address.rsplit(':').next().expect("a port").to_owned();
    let own = house.address.clone();
    for host in [
        "attacker.com".to_owned(),
        "localhost.attacker.com".into(),
        format!("localhost.attacker.com:{port}"),
        "127.0.0.1:1".into(),
        "127.0.0.1".into(),
        format!("{own}.attacker.com"),
        format!("user@{own}"),
        "".into(),
    ] {
        let (status, answer) = ask(&house, "GET", "/v1/claims", &format!("Host: {host}\r\n{BEARER}"), "");
        assert_eq!(status, 403, "{host:?}: {answer}");
    }
    for hosts in [
        String::new(),
        format!("Host: {own}\r\nHost: {own}\r\n"),
        format!("Host: {own}\r\nHost: attacker.com\r\n"),
    ] {
        let (status, answer) = ask(&house, "GET", "/v1/claims", &format!("{hosts}{BEARER}"), "");
        assert_eq!(status, 400, "{hosts:?}: {answer}");
    }
    // A whole address in the first line is a host as well.
    let (status, answer) =
        ask(&house, "GET", "http://attacker.com/v1/claims", &format!("Host: attacker.com\r\n{BEARER}"), "");
    assert!([400, 403].contains(&status), "{answer}");
    for origin in [
        "null",
        "https://evil.example",
        "http://localhost:1",
        &format!("https://{own}"),
        &format!("http://{own}.evil"),
        "",
    ] {
        let (status, answer) =
            ask(&house, "GET", "/v1/claims", &format!("Host: {own}\r\n{BEARER}Origin: {origin}\r\n"), "");
        assert_eq!(status, 403, "{origin:?}: {answer}");
    }
    assert_eq!(
        ask(&house, "GET", "/v1/claims", &format!("Host: {own}\r\n{BEARER}Origin: http://{own}\r\n"), "").0,
        200
    );
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/jsonx",
    ] {
        let headers = format!("Host: {own}\r\n{BEARER}Content-Type: {kind}\r\n");
        let (status, answer) = ask(&house, "POST", "/v1/claims", &headers, "{\"lines\":[]}");
        assert_eq!(status, 415, "{kind}: {answer}");
    }
    let preflight =
        format!("Host: {own}\r\n{BEARER}Origin: http://{own}\r\nAccess-Control-Request-Method: POST\r\n");
    let (status, answer) = ask(&house, "OPTIONS", "/v1/claims", &preflight, "");
    assert!(status >= 400 && !answer.to_lowercase().contains("access-control-allow"), "{answer}");
}

#[test]
fn s_60_to_s_64_ten_thousand_guesses_find_nothing_and_end_nothing() {
    let house = House::with(
        &[token("one", "one", &["read", "claim"], ""), token("two", "two", &["read", "claim"], "")].concat(),
    );
    let ask = json!({ "ttl": "1h", "lines": [{ "resource": "cpu", "amount": "1" }] }).to_string();
    let theirs: Value =
        serde_json::from_str(&house.ask("POST", "/v1/claims", Some("two"), &ask).1).expect("JSON");
    let (id, fence) = (&theirs["claim"]["id"], &theirs["claim"]["fence"]);
    let theirs: u64 = id.as_str().and_then(|id| id.parse().ok()).expect("a number");
    for begin in (0..10_000).step_by(500) {
        let guess = |id: u64| {
            let id = id.to_string();
            match id.len() % 3 {
                0 => json!({ "release": { "id": id, "fence": fence } }),
                1 => json!({ "renew": { "id": id, "fence": fence } }),
                _ => json!({ "cancel": { "id": id } }),
            }
        };
        let operations: Vec<Value> = (begin..begin + 500).map(guess).collect();
        let body = json!({ "operations": operations }).to_string();
        let (status, answer) = house.ask("POST", "/v1/batch", Some("one"), &body);
        assert_eq!(status, 200, "{answer}");
        let answers: Value = serde_json::from_str(&answer).expect("JSON");
        for (id, answer) in (begin..).zip(answers["answers"].as_array().expect("answers")) {
            let masked = answer.to_string().replace(&format!("claim {id}"), "claim ID");
            let absent = format!("there is no claim {}", "ID");
            assert!(answer["error"]["reason"] == "UnknownClaim" && masked.contains(&absent), "{answer}");
        }
    }
    assert_eq!(house.daemon.claim(&theirs.to_string())["phase"], "held");
}
