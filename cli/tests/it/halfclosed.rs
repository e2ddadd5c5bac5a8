//! Callers who say all that they have to say, shut down that way, and listen.
use crate::{
    access::{House, token},
    daemon::{Daemon, LONG},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// Longer than nobody has to wait for anything.
const SOON: Duration = Duration::from_secs(4);

fn get(path: &str, more: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n")
}

fn post(path: &str, body: &Value) -> String {
    let body = body.to_string();
    let length = body.len();
    format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
}

/// All of one processor.
fn whole(wait: &str) -> Value {
    json!({ "wait": wait, "lines": [{ "resource": "cpu", "amount": "1000" }] })
}

/// Says this and no more.
fn say(daemon: &Daemon, said: &str) -> UnixStream {
    let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("set");
    stream.write_all(said.as_bytes()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("shut down");
    stream
}

/// The statuses and bodies of all that is answered until the other end hangs up.
fn answers(mut stream: impl Read) -> Vec<(u16, String)> {
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("an end in good order");
    let (mut rest, mut answers) = (told.as_str(), Vec::new());
    while let Some((head, behind)) = rest.split_once("\r\n\r\n") {
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
        let (body, behind) = behind.split_at_checked(length.parse().expect("a number")).expect("all of it");
        answers.push((status, body.to_owned()));
        rest = behind;
    }
    assert_eq!(rest, "", "{told}");
    answers
}

fn answer(stream: impl Read) -> (u16, Value) {
    let (status, body) = answers(stream).pop().expect("an answer");
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

#[test]
fn whoever_has_said_all_is_answered_and_what_was_asked_is_done() {
    let daemon = Daemon::plain();
    let since = Instant::now();
    for more in ["", "Connection: close\r\n"] {
        let (status, contract) = answer(say(&daemon, &get("/v1/openapi.json", more)));
        assert!(status == 200 && contract["paths"].is_object(), "{status}");
        let lines = json!({ "lines": [{ "resource": "cpu", "amount": "10" }] });
        let (status, asked) = answer(say(&daemon, &post("/v1/claims", &lines)));
        assert_eq!(status, 201, "{asked}");
        let (id, fence) = (asked["claim"]["id"].as_str().expect("an id"), &asked["claim"]["fence"]);
        let release = post(&format!("/v1/claims/{id}/release"), &json!({ "fence": fence }));
        let (status, released) = answer(say(&daemon, &release));
        assert_eq!((status, &released["claim"]["ending"]), (200, &"released".into()), "{released}");
    }
    let chunks = "POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n";
    assert_eq!(answer(say(&daemon, chunks)).0, 400, "there are no lines in it");
    assert!(since.elapsed() < SOON, "each connection ends with its last answer: {:?}", since.elapsed());
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn all_that_was_asked_at_a_stretch_is_answered_also_to_one_who_reads_late() {
    let daemon = Daemon::plain();
    assert_eq!(answers(say(&daemon, &get("/healthz", "").repeat(5))).len(), 5);
    let operations = vec![json!({ "ask": { "lines": [{ "resource": "cpu", "amount": "1" }] } }); 1000];
    assert_eq!(daemon.http("POST", "/v1/batch", &json!({ "operations": operations }).to_string()).0, 200);
    // More than there is room for on the way.
    for (path, times) in [("/v1/openapi.json", 20), ("/v1/claims?limit=1000", 1)] {
        let late = say(&daemon, &get(path, "").repeat(times));
        std::thread::sleep(Duration::from_millis(300));
        let told = answers(late);
        let bytes: usize = told.iter().map(|(_, body)| body.len()).sum();
        assert!(told.len() == times && bytes > 300_000, "{path}: {} {bytes}", told.len());
        assert!(told.iter().all(|(status, body)| *status == 200 && *body == told[0].1), "{path}");
    }
}

#[test]
fn whoever_breaks_off_is_not_waited_for() {
    let daemon = Daemon::plain();
    let whole = post("/v1/claims", &whole("1h"));
    let chunks = whole.replace("Content-Length: ", "Transfer-Encoding: chunked\r\nX: ");
    let since = Instant::now();
    for broken in [&whole[..whole.len() - 1], &chunks, &whole[..20], "\r\n", ""] {
        for before in ["", &get("/healthz", "")] {
            let told = answers(say(&daemon, &format!("{before}{broken}")));
            let refused = told.iter().filter(|(status, _)| *status == 400).count();
            assert_eq!(told.len() - refused, usize::from(!before.is_empty()), "{broken:?}: {told:?}");
        }
    }
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(daemon.ask(&["get", "claims"])["claims"], json!([]));
}

#[test]
fn who_listens_waits_in_line_and_who_hangs_up_leaves_it() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let held = answer(say(&daemon, &post("/v1/claims", &whole("0s")))).1;
    // Asked behind another answer on the way, and alone.
    let waits = post("/v1/claims", &whole("30s"));
    let listens = say(&daemon, &format!("{}{waits}", get("/v1/openapi.json", "")));
    daemon.await_phase("2", "pending");
    let leaves = say(&daemon, &waits);
    daemon.await_phase("3", "pending");
    let since = Instant::now();
    drop(leaves);
    assert_eq!(daemon.await_phase("3", "closed")["ending"], "cancelled");
    assert!(since.elapsed() < SOON, "{:?}", since.elapsed());
    assert_eq!(daemon.claim("2")["phase"], "pending", "who listens stays");
    let release = post("/v1/claims/1/release", &json!({ "fence": held["claim"]["fence"] }));
    assert_eq!(answer(say(&daemon, &release)).0, 200);
    let (status, granted) = answer(listens);
    assert_eq!((status, &granted["claim"]["phase"]), (201, &"held".into()), "{granted}");
}

#[test]
fn who_follows_events_hears_them_until_it_hangs_up() {
    let daemon = Daemon::plain();
    let mut follows = say(&daemon, &get("/v1/events?since=0", "Accept: text/event-stream\r\n"));
    let (mut told, mut part) = (String::new(), [0; 4096]);
    for n in 1..=3 {
        let lines = json!({ "lines": [{ "resource": "cpu", "amount": "10" }] });
        assert_eq!(daemon.http("POST", "/v1/claims", &lines.to_string()).0, 201);
        while told.matches("\"granted\"").count() < n {
            let length = follows.read(&mut part).expect("more");
            assert!(length > 0, "it ended: {told}");
            told.push_str(&String::from_utf8_lossy(&part[..length]));
        }
    }
}

#[test]
fn over_tcp_what_does_not_wait_is_answered_and_who_waits_and_says_no_more_is_gone() {
    let house = House::with(&token("good", "team", &["read", "claim"], "[node.capacity]\ncpu = \"1\"\n"));
    let say = |said: &str| {
        let said = said
            .replace("Host: x\r\n", &format!("Host: {}\r\nAuthorization: Bearer good\r\n", house.address));
        let mut stream = TcpStream::connect(&house.address).expect("connected");
        stream.set_read_timeout(Some(LONG)).expect("set");
        stream.write_all(said.as_bytes()).expect("sent");
        stream
    };
    let shut = |stream: TcpStream| {
        stream.shutdown(Shutdown::Write).expect("shut down");
        stream
    };
    let listed = answers(shut(say(&get("/v1/claims", "").repeat(3))));
    assert!(listed.len() == 3 && listed.iter().all(|(status, _)| *status == 200), "{listed:?}");
    let mut asks = whole("0s");
    asks["scope"] = "team".into();
    let held = house.ask("POST", "/v1/claims", Some("good"), &asks.to_string()).1;
    let held: Value = serde_json::from_str(&held).expect("a claim");
    asks["wait"] = "1h".into();
    let waits = say(&post("/v1/claims", &asks));
    house.daemon.await_phase("2", "pending");
    let waits = shut(waits);
    assert_eq!(house.daemon.await_phase("2", "closed")["ending"], "cancelled");
    assert_eq!(answers(waits), []);
    let release = post("/v1/claims/1/release", &json!({ "fence": held["claim"]["fence"] }));
    let (status, released) = answer(shut(say(&release)));
    assert_eq!((status, &released["claim"]["ending"]), (200, &"released".into()), "{released}");
}
