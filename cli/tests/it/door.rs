//! The front door under people who are many, slow or gone.
use crate::{
    access::{House, token},
    daemon::{Daemon, LONG, Setup},
    siege::{SIEGE, watched},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    time::{Duration, Instant},
};

/// Sends some bytes and reads what comes until the other end hangs up.
fn converse(daemon: &Daemon, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.write_all(bytes).expect("sent");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("set");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_full_house_says_so_and_takes_the_next_when_one_leaves() {
    // Few files, so that few connections fill it.
    let daemon = Daemon::with(Setup { files: Some(120), ..Setup::default() });
    let (mut crowd, mut answer) = (Vec::new(), String::new());
    daemon.eventually("the house is full", || {
        crowd.push(UnixStream::connect(daemon.socket()).expect("connected"));
        answer = converse(&daemon, b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        answer.starts_with("HTTP/1.1 429")
    });
    assert!(crowd.len() > 60, "{} filled it", crowd.len());
    assert!(answer.contains("too many connections") && answer.contains("retry-after"), "{answer}");
    crowd.clear();
    daemon.eventually("there is room again", || daemon.client().alive());
}

#[test]
fn files_that_run_out_are_survived_and_those_who_administer_are_answered_meanwhile() {
    let daemon = Daemon::with(Setup { files: Some(48), ..Setup::default() });
    let crowd = watched(&daemon, || {
        let crowd: Vec<UnixStream> =
            (0..200).filter_map(|_| UnixStream::connect(daemon.socket()).ok()).collect();
        let until = Instant::now() + SIEGE;
        // More keep coming, and say nothing.
        while Instant::now() < until {
            drop(UnixStream::connect(daemon.socket()));
            std::thread::sleep(Duration::from_millis(2));
        }
        crowd
    });
    assert!(daemon.log().contains("could not be accepted"), "files did not run out\n{}", daemon.log());
    drop(crowd);
    let since = Instant::now();
    daemon.eventually("it answers again", || daemon.client().alive());
    assert!(since.elapsed() < Duration::from_secs(1), "{:?}", since.elapsed());
    assert_eq!(daemon.tell(&["run", "--cpu", "0.1", "--", "true"]).code, 0, "{}", daemon.log());
}

#[test]
fn who_comes_on_an_old_connection_is_told_with_an_answer_that_it_is_the_last() {
    const LIFETIME: Duration = Duration::from_millis(300);
    let daemon = Daemon::configured("[http]\nlifetime = \"300ms\"\n");
    let since = Instant::now();
    let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.set_read_timeout(Some(LONG)).expect("set");
    // As many as there are on one connection: each is answered, and the last one says that it is.
    let last = loop {
        stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n").expect("nobody closed it unsaid");
        let mut answer = [0; 4096];
        let length = stream.read(&mut answer).expect("answered");
        let answer = String::from_utf8_lossy(&answer[..length]).into_owned();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer:?}");
        if answer.contains("connection: close") {
            break since.elapsed();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(last >= LIFETIME, "{last:?}");
    assert_eq!(stream.read(&mut [0; 16]).expect("its end"), 0);
    // Who uses the client need not know.
    let (mut client, since) = (daemon.client(), Instant::now());
    while since.elapsed() < 4 * LIFETIME {
        assert!(client.alive());
    }
}

#[test]
fn slow_heads_and_bodies_are_sent_away() {
    let daemon = Daemon::plain();
    let since = Instant::now();
    let head = std::thread::scope(|scope| {
        let body = scope.spawn(|| {
            converse(&daemon, b"POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{\"lines\":")
        });
        let head = converse(&daemon, b"GET /v1/claims HTTP/1.1\r\nHost: x\r\nX-Slow: ");
        let body = body.join().expect("answered");
        assert!(body.starts_with("HTTP/1.1 408"), "{body}");
        head
    });
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 408"), "{head}");
    assert!(since.elapsed() < Duration::from_secs(20));
}

#[test]
fn odd_requests_are_told_what_is_odd() {
    let daemon = Daemon::plain();
    let post = |headers: &str, body: &str| {
        let request =
            format!("POST /v1/claims HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}");
        converse(&daemon, request.as_bytes())
    };
    let json = "Content-Type: application/json\r\n";
    let empty = post(&format!("{json}Content-Length: 0\r\n"), "");
    assert!(empty.starts_with("HTTP/1.1 400"), "{empty}");
    let plain = post("Content-Type: text/plain\r\nContent-Length: 2\r\n", "{}");
    assert!(plain.starts_with("HTTP/1.1 415") || plain.starts_with("HTTP/1.1 400"), "{plain}");
    let many = format!("{{\"lines\":[],\"need\":[{}]}}", vec!["\"x\""; 500].join(","));
    let many = post(&format!("{json}Content-Length: {}\r\n", many.len()), &many);
    assert!(many.starts_with("HTTP/1.1 400") && many.contains("64"), "{many}");
    let long = format!("{{\"scope\":\"{}\",\"lines\":[]}}", "y".repeat(5000));
    let long = post(&format!("{json}Content-Length: {}\r\n", long.len()), &long);
    assert!(long.starts_with("HTTP/1.1 400"), "{long}");
    let packed = post(&format!("{json}Content-Encoding: gzip\r\nContent-Length: 2\r\n"), "{}");
    assert!(packed.starts_with("HTTP/1.1 415") && packed.contains("gzip"), "{packed}");
    for (path, told) in [
        ("/v1/claims/%ff", "UTF-8"),
        ("/v1/claims?limit=1e3", "1e3"),
        ("/v1/events?since=-1", "-1"),
        ("/v1/claims?colour=red", "openapi.json"),
    ] {
        let odd = converse(
            &daemon,
            format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes(),
        );
        let problem = odd.contains("application/problem+json") && odd.starts_with("HTTP/1.1 400");
        assert!(problem && odd.contains(told), "{path}: {odd}");
    }
    let key = post(&format!("{json}Idempotency-Key: {}\r\nContent-Length: 2\r\n", "k".repeat(300)), "{}");
    assert!(key.starts_with("HTTP/1.1 400") && key.contains("Idempotency-Key"), "{key}");
    let cancel = converse(&daemon, b"POST /v1/claims/1/cancel HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"why\":1}");
    assert!(cancel.starts_with("HTTP/1.1 400"), "{cancel}");
    let headers: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let headers = converse(&daemon, format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{headers}\r\n").as_bytes());
    assert!(headers.starts_with("HTTP/1.1 431") || headers.starts_with("HTTP/1.1 400"), "{headers}");
    assert!(daemon.client().alive());
}

/// Asks with a body that is kept back until the door wants it, and then comes slowly; what is said after the door's word.
fn keep_back(mut stream: impl Read + Write, head: &str, body: &[u8]) -> String {
    let length = body.len();
    let head = format!("{head}Expect: 100-Continue\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    let mut word = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut word).expect("a word");
    assert_eq!(String::from_utf8_lossy(&word), "HTTP/1.1 100 Continue\r\n\r\n");
    for part in body.chunks(length.div_ceil(10)) {
        stream.write_all(part).expect("sent");
        std::thread::sleep(Duration::from_millis(30));
    }
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer
}

#[test]
fn a_body_that_is_kept_back_is_asked_for_and_one_that_is_too_large_is_not() {
    let house = House::with(&token("good", "team", &["read", "claim"], ""));
    let (socket, tcp) = (house.daemon.socket(), &house.address);
    let unix = || UnixStream::connect(&socket).expect("connected");
    let json = "POST /v1/claims HTTP/1.1\r\nContent-Type: application/json\r\n";
    let there = format!("{json}Host: {tcp}\r\nAuthorization: Bearer good\r\n");
    let here = format!("{json}Host: x\r\n");
    let lines = json!({"lines": [{"resource": "cpu", "amount": "10"}]}).to_string();
    // Blanks are no JSON, and are heard to the end all the same.
    let large = format!("{}{lines}", " ".repeat(200 << 10));
    for body in [&lines, &large] {
        let answer = keep_back(unix(), &here, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
        let answer = keep_back(TcpStream::connect(tcp).expect("connected"), &there, body.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    }
    let length = "Content-Length: 9999999\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    let answer = converse(&house.daemon, format!("{here}{length}").as_bytes());
    assert!(answer.starts_with("HTTP/1.1 413 "), "no word before the refusal: {answer}");
}

#[test]
fn a_socket_that_is_removed_is_bound_again_and_what_others_put_there_stays() {
    let mut daemon = Daemon::plain();
    let socket = daemon.socket();
    std::fs::remove_file(&socket).expect("removed");
    daemon.eventually("it is reached again", || daemon.client().alive());
    assert!(daemon.log().contains("bound again"), "{}", daemon.log());
    assert_eq!(std::fs::metadata(&socket).expect("there").permissions().mode() & 0o777, 0o600);
    // Another program that took the path keeps it, also when this one ends.
    std::fs::remove_file(&socket).expect("removed");
    let other = std::os::unix::net::UnixListener::bind(&socket).expect("bound before the daemon looked");
    let found = std::fs::metadata(&socket).expect("there").ino();
    daemon.eventually("it says so", || daemon.log().contains("something else stands"));
    daemon.stop();
    assert_eq!(std::fs::metadata(&socket).expect("there").ino(), found);
    drop(other);
    daemon.start();
}

#[test]
fn every_refusal_is_a_problem_that_says_what_would_be_right() {
    let daemon = Daemon::plain();
    let headers: String = (0..100).map(|n| format!("X-{n}: y\r\n")).collect();
    let (length, long) = ("Content-Length: 2\r\n\r\n{}", "x".repeat(20 << 10));
    for (status, request) in [
        (400, "POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1\r\n\r\n{".into()),
        (400, "\0\r\n\r\n".into()),
        (400, format!("GET /v1/claims HTTP/1.1\r\nX A: y\r\n{length}")),
        (404, "GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (404, "GET /v1/claims/7 HTTP/1.1\r\nHost: x\r\n\r\n".into()),
        (405, format!("PATCH /v1/claims HTTP/1.1\r\nHost: x\r\n{length}")),
        (413, "POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9999999\r\n\r\n".into()),
        (415, format!("POST /v1/claims HTTP/1.1\r\nHost: x\r\n{length}")),
        (415, format!("PUT /v1/pools/usd/a HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n{length}")),
        (417, format!("GET /v1/claims HTTP/1.1\r\nHost: x\r\nExpect: 200-ok\r\n{length}")),
        (417, "POST /v1/claims HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nExpect: more\r\n\r\n".into()),
        (431, format!("GET /v1/claims HTTP/1.1\r\nHost: x\r\n{headers}\r\n")),
        (431, format!("GET /v1/claims HTTP/1.1\r\nHost: x\r\nX-A: {long}\r\n\r\n")),
    ] {
        let request = request.replacen("Host: x", "Host: x\r\nConnection: close", 1);
        let answer = converse(&daemon, request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:.200}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(head.to_lowercase().contains("content-type: application/problem+json"), "{answer}");
        assert_eq!(head.to_lowercase().contains("allow: "), status == 405, "{answer}");
        let told: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"));
        assert_eq!(told["status"], status, "{answer}");
        for (place, member) in [("message", &told["error"]["message"]), ("hint", &told["error"]["hint"])] {
            assert!(member.as_str().is_some_and(|text| text.len() > 5), "{place}: {answer}");
        }
    }
}

#[test]
fn who_waits_at_closing_time_is_told_to_come_back() {
    let mut daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let all = json!({ "lines": [{ "resource": "cpu", "amount": "1000" }], "wait": "1h" });
    assert_eq!(daemon.http("POST", "/v1/claims", &all.to_string()).0, 201);
    let waiting = {
        let (mut client, body) = (daemon.client(), all.to_string());
        std::thread::spawn(move || {
            client.request("POST", "/v1/claims", Some(body.as_bytes()), &[]).expect("an answer")
        })
    };
    let mut stream = daemon.client().events(0).expect("a stream");
    assert!(stream.next().is_some());
    daemon.await_phase("2", "pending");
    daemon.stop();
    let answer = waiting.join().expect("told");
    assert_eq!(answer.status, 503);
    assert!(String::from_utf8_lossy(&answer.body).contains("stopping"));
    assert!(stream.count() > 0, "the stream ends in good order");
    daemon.start();
    assert_eq!(daemon.claim("2")["ending"], "cancelled", "without a key to come back with, it was withdrawn");
}

#[test]
fn who_asks_at_closing_time_whether_it_is_ready_hears_that_it_is_stopping() {
    let daemon = Daemon::plain();
    let stream = daemon.client().events(0).expect("a stream");
    let mut late = UnixStream::connect(daemon.socket()).expect("connected");
    late.write_all(b"GET /readyz HTTP/1.1\r\nHost: x\r\n").expect("sent");
    // It is read by the time that another is answered on the same thread.
    assert_eq!(daemon.http("GET", "/readyz", "").0, 200);
    let pid = rustix::process::Pid::from_raw(daemon.pid() as i32).expect("a pid");
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told to end");
    // It ends when the door closes.
    assert!(stream.count() > 0);
    late.write_all(b"\r\n").expect("sent");
    let mut answer = String::new();
    late.read_to_string(&mut answer).expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("\"Stopping\""), "{answer}");
}

/// Idle connections, and active ones beside them.
const IDLE: usize = 10_000;
const ACTIVE: usize = 500;

/// Connections that stay open; `None` where this process may not have so many files.
fn idle(daemon: &Daemon) -> Option<Vec<UnixStream>> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    // A daemon gives four fifths of its files to connections, and three quarters of those to one user.
    let needed = ((IDLE + ACTIVE) as u64 + 100) * 5 / 3;
    if maximum.is_some_and(|maximum| maximum < needed) {
        eprintln!("skipped: {needed} open files are needed, {maximum:?} are allowed");
        return None;
    }
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }).expect("raised");
    Some((0..IDLE).map(|_| UnixStream::connect(daemon.socket()).expect("connected")).collect())
}

/// Claims and releases by so many clients at once, a few times each.
fn active(daemon: &Daemon) {
    let body = json!({ "lines": [{ "resource": "memory", "amount": "4096" }], "wait": "30s" }).to_string();
    std::thread::scope(|scope| {
        for _ in 0..50 {
            scope.spawn(|| {
                let mut clients: Vec<_> = (0..ACTIVE / 50).map(|_| daemon.client()).collect();
                for client in &mut clients {
                    let answer =
                        client.request("POST", "/v1/claims", Some(body.as_bytes()), &[]).expect("an answer");
                    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
                }
            });
        }
    });
}

#[test]
fn ten_thousand_idle_connections_hold_up_nobody_and_come_back_after_a_crash() {
    let mut daemon = Daemon::plain();
    let crowd = watched(&daemon, || {
        let crowd = idle(&daemon)?;
        active(&daemon);
        Some(crowd)
    });
    let Some(crowd) = crowd else { return };
    let since = Instant::now();
    assert_eq!(daemon.http("GET", "/readyz", "").0, 200);
    assert!(since.elapsed() < Duration::from_secs(5), "the door is open to those who administer");
    let before = daemon.ask(&["get", "claims"]);
    daemon.kill();
    drop(crowd);
    daemon.start();
    // All of them come back at once.
    let crowd = watched(&daemon, || idle(&daemon).expect("as before"));
    let leases = |claims: &serde_json::Value| {
        let claims = claims["claims"].as_array().expect("claims").iter();
        claims.map(|claim| (claim["id"].to_string(), claim["fence"].to_string())).collect::<Vec<_>>()
    };
    let after = daemon.ask(&["get", "claims"]);
    assert_eq!(leases(&before).len(), ACTIVE);
    assert_eq!(leases(&before), leases(&after), "no lease is lost");
    drop(crowd);
}
