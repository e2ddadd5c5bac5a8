//! The contract over the socket and over TCP.
use crate::daemon::{Daemon, Lasting, Setup};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

fn lines(lines: Value) -> String {
    json!({ "lines": lines }).to_string()
}

fn cpu(milli: u64) -> String {
    lines(json!([{ "resource": "cpu", "amount": milli.to_string() }]))
}

#[test]
fn a_claim_by_hand_from_ask_to_return() {
    let daemon = Daemon::plain();
    let (status, answer) = daemon.http("POST", "/v1/claims", &cpu(500));
    assert_eq!(status, 201, "{answer}");
    let claim = &answer["claim"];
    let (id, fence) = (claim["id"].as_str().expect("a string"), claim["fence"].as_str().expect("a string"));
    assert_eq!(
        (&claim["phase"], &claim["lines"][0]["amount"], &claim["class"]),
        (&"held".into(), &"500".into(), &"burstable".into())
    );
    assert!(claim["asked_at"].as_str().is_some_and(|at| at.ends_with('Z')));
    let body = json!({ "fence": fence }).to_string();
    let renewed = daemon.http(
        "POST",
        &format!("/v1/claims/{id}/renew"),
        &json!({ "fence": fence, "ttl": "2h" }).to_string(),
    );
    assert_eq!(renewed.0, 200, "{renewed:?}");
    let used = json!({ "fence": fence, "used": [{ "resource": "cpu", "amount": "123" }] }).to_string();
    assert_eq!(
        daemon.http("POST", &format!("/v1/claims/{id}/settle"), &used).1["claim"]["lines"][0]["used"],
        "123"
    );
    let stale = daemon.http("POST", &format!("/v1/claims/{id}/release"), r#"{"fence":"1"}"#);
    assert_eq!((stale.0, &stale.1["error"]["reason"]), (409, &"StaleFence".into()));
    let released = daemon.http("POST", &format!("/v1/claims/{id}/release"), &body);
    assert_eq!((released.0, &released.1["claim"]["ending"]), (200, &"released".into()));
    assert_eq!(daemon.http("POST", &format!("/v1/claims/{id}/release"), &body).0, 410);
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn the_same_key_is_the_same_claim() {
    let daemon = Daemon::plain();
    let ask = || {
        daemon.keyed("POST", "/v1/claims", &cpu(100), &[("Idempotency-Key", "once")]).1["claim"]["id"].clone()
    };
    assert_eq!(ask(), ask());
    // Who asks for something else with it is not given that claim for what was asked.
    let (status, other) = daemon.keyed("POST", "/v1/claims", &cpu(300), &[("Idempotency-Key", "once")]);
    assert_eq!((status, &other["error"]["reason"]), (400, &"BadRequest".into()), "{other}");
    assert!(other["error"]["message"].as_str().is_some_and(|why| why.contains("\"once\"")), "{other}");
    let later = json!({ "lines": [{ "resource": "cpu", "amount": "100" }], "wait": "5s", "ttl": "9m" });
    let (_, later) = daemon.keyed("POST", "/v1/claims", &later.to_string(), &[("Idempotency-Key", "once")]);
    assert_eq!(later["claim"]["id"], ask(), "how long may change from one try to the next");
    let two = daemon.keyed(
        "POST",
        "/v1/claims",
        &cpu(100),
        &[("Idempotency-Key", "once"), ("Idempotency-Key", "b")],
    );
    assert_eq!(two.0, 400, "{}", two.1);
    assert_eq!(daemon.ask(&["get", "claims"])["claims"].as_array().map(Vec::len), Some(1));
}

#[test]
fn a_refusal_is_the_same_for_the_same_key_and_judged_anew_for_another() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let held = daemon.http("POST", "/v1/claims", &cpu(1000)).1["claim"].clone();
    let ask = |key: &str| daemon.keyed("POST", "/v1/claims", &cpu(1000), &[("Idempotency-Key", key)]);
    let (status, refused) = ask("first");
    assert_eq!((status, &refused["error"]["reason"]), (409, &"InsufficientCapacity".into()), "{refused}");
    let path = format!("/v1/claims/{}/release", held["id"].as_str().expect("an id"));
    assert_eq!(daemon.http("POST", &path, &json!({ "fence": held["fence"] }).to_string()).0, 200);
    let (status, again) = ask("first");
    assert_eq!((status, &again["error"]["reason"]), (409, &refused["error"]["reason"]), "{again}");
    assert_eq!(ask("second").0, 201);
    let said = daemon.http("GET", "/v1/openapi.json", "").1.to_string();
    assert!(said.contains("judged anew"), "whoever reads of the key is told");
}

#[test]
fn whoever_waits_is_told_what_would_be_granted_now_and_when_its_turn_comes() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"4\"\n");
    let hold = |amount: u64| daemon.http("POST", "/v1/claims", &cpu(amount)).1["claim"].clone();
    let give_back = |claim: &Value| {
        let path = format!("/v1/claims/{}/release", claim["id"].as_str().expect("an id"));
        assert_eq!(daemon.http("POST", &path, &json!({ "fence": claim["fence"] }).to_string()).0, 200);
    };
    let first = hold(2500);
    let wait = json!({ "wait": "1h", "detach": true, "lines": [{ "resource": "cpu", "amount": "3000" }] })
        .to_string();
    let waiting =
        daemon.http("POST", "/v1/claims", &wait).1["claim"]["id"].as_str().expect("an id").to_owned();
    let told = daemon.ask(&["explain", &waiting]);
    assert_eq!(told["eta_ms"], Value::Null, "nobody has ended yet: {told}");
    let change = &told["would_admit"][0];
    assert_eq!((&change["change"], &change["options"]), (&"less".into(), &"--cpu 1.5".into()), "{told}");
    assert_eq!(change["lines"][0]["amount"], "1500");
    assert!(daemon.tell(&["explain", &waiting]).out.contains("would be granted now: --cpu 1.5 (less)"));

    assert_eq!(daemon.tell(&["cancel", &waiting]).code, 0);
    let more = daemon.tell(&["claim", "--cpu", "1.501", "-o", "json"]);
    let hint = more.json()["error"]["hint"].as_str().expect("a hint").to_owned();
    assert!(more.code == 4 && hint.contains("--cpu 1.5;"), "one unit more is not: {more:?}");
    let second = daemon.ask(&["claim", "--cpu", "1.5"])["claim"].clone();
    assert_eq!(second["phase"], "held", "and that much is");
    [&first, &second].into_iter().for_each(&give_back);

    for _ in 0..6 {
        let short = hold(100);
        std::thread::sleep(Duration::from_millis(300));
        give_back(&short);
    }
    // Where its like never lasted so long, its own estimate speaks.
    let held = json!({ "expect": "1h", "lines": [{ "resource": "cpu", "amount": "4000" }] });
    assert_eq!(daemon.http("POST", "/v1/claims", &held.to_string()).0, 201);
    let waiting =
        daemon.http("POST", "/v1/claims", &wait).1["claim"]["id"].as_str().expect("an id").to_owned();
    let eta = daemon.ask(&["explain", &waiting])["eta_ms"].clone();
    let (p50, p90) = (eta["p50"].as_u64().expect("p50"), eta["p90"].as_u64().expect("p90"));
    assert!(p50 <= p90 && p90 > 0, "{eta}");
}

#[test]
fn waiting_is_one_long_answer() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"1\"\n");
    let held = daemon.http("POST", "/v1/claims", &cpu(1000)).1;
    let fence = held["claim"]["fence"].as_str().expect("a fence").to_owned();
    let since = Instant::now();
    let waiting = {
        let mut client = daemon.client();
        let body = json!({ "wait": "20s", "lines": [{ "resource": "cpu", "amount": "1000" }] });
        std::thread::spawn(move || {
            client.send::<Value>("POST", "/v1/claims", &body, None).expect("granted at last")
        })
    };
    daemon.await_phase("2", "pending");
    let explained = daemon.ask(&["explain", "2"]);
    assert_eq!(
        (&explained["reason"], &explained["waiting_on"][0]["short_by"]),
        (&"InsufficientCapacity".into(), &"1000".into())
    );
    assert_eq!(explained["waiting_on"][0]["holders"][0]["claim"], "1");
    let told = daemon.tell(&["explain", "2"]);
    assert!(told.out.contains("short of 1 cpu") && told.out.contains("claim 1"), "{told:?}");
    std::thread::sleep(Duration::from_millis(200));
    daemon.http("POST", "/v1/claims/1/release", &json!({ "fence": fence }).to_string());
    let granted = waiting.join().expect("an answer");
    assert_eq!(granted["claim"]["phase"], "held");
    assert!(since.elapsed() >= Duration::from_millis(200));
    // An asker who leaves takes the claim along; one who detaches does not.
    let body = json!({ "wait": "1h", "lines": [{ "resource": "cpu", "amount": "1000" }] }).to_string();
    let mut leaver = UnixStream::connect(daemon.socket()).expect("connected");
    write!(leaver, "POST /v1/claims HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len()).expect("sent");
    daemon.await_phase("3", "pending");
    drop(leaver);
    assert_eq!(daemon.await_phase("3", "closed")["ending"], "cancelled");
    let detached =
        json!({ "wait": "1h", "detach": true, "lines": [{ "resource": "cpu", "amount": "1000" }] })
            .to_string();
    let (status, answer) = daemon.http("POST", "/v1/claims", &detached);
    assert_eq!((status, &answer["claim"]["phase"]), (202, &"pending".into()));
    let looked = daemon.http("GET", "/v1/claims/4?wait=100ms", "").1;
    assert_eq!(looked["claim"]["phase"], "pending");
}

#[test]
fn a_process_is_attached_and_ends_with_the_lease() {
    let daemon = Daemon::configured("[enforce]\ngrace-ms = 100\n");
    let answer =
        daemon.http("POST", "/v1/claims", &lines(json!([{ "resource": "memory", "amount": "67108864" }]))).1;
    let fence = answer["claim"]["fence"].as_str().expect("a fence");
    let mut child = std::process::Command::new("sleep").arg("300").spawn().expect("sleep");
    let pid = child.id();
    let attached = daemon.tell(&["attach", "1", "--fence", fence, "--pid", &pid.to_string()]);
    assert_eq!(attached.code, 0, "{attached:?}");
    assert_eq!(daemon.claim("1")["pids"], json!([pid]));
    // Whoever lost the answer attaches again, and is in at once.
    let again = Instant::now();
    assert_eq!(daemon.tell(&["attach", "1", "--fence", fence, "--pid", &pid.to_string()]).code, 0);
    assert!(again.elapsed() < Duration::from_secs(8) && daemon.claim("1")["pids"] == json!([pid]));
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("/proc");
    assert!(
        groups.contains("lease-1") || daemon.ask(&["doctor"])["findings"][0]["state"] == "weak",
        "{groups}"
    );
    let gone = daemon.tell(&["attach", "1", "--fence", fence, "--pid", "4194303"]);
    assert!(gone.code == 2 && gone.err.contains("no process"), "{gone:?}");
    assert_eq!(daemon.tell(&["release", "1", "--fence", fence]).code, 0);
    assert!(!child.wait().expect("ended").success());
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "released");
    // One whose process ends by itself is over.
    let answer = daemon.http("POST", "/v1/claims", &cpu(100)).1;
    let fence = answer["claim"]["fence"].as_str().expect("a fence");
    let short = Lasting::start(std::process::Command::new("cat"));
    assert_eq!(daemon.tell(&["attach", "2", "--fence", fence, "--pid", &short.pid().to_string()]).code, 0);
    assert!(short.end());
    assert_eq!(daemon.await_phase("2", "closed")["ending"], "process_gone");
}

#[test]
fn requests_that_are_wrong_are_told_so_and_nothing_breaks() {
    let daemon = Daemon::plain();
    let deep = format!("{{\"lines\":{}1{}}}", "[".repeat(500), "]".repeat(500));
    let oversize = format!("{{\"scope\":\"{}\"}}", "x".repeat(400_000));
    for (method, path, body, status) in [
        ("POST", "/v1/claims", "{", 400),
        ("POST", "/v1/claims", "[]", 400),
        ("POST", "/v1/claims", "{\"lines\":[]}", 400),
        ("POST", "/v1/claims", "{\"lines\":[],\"colour\":\"red\"}", 400),
        ("POST", "/v1/claims", "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"0\"}]}", 400),
        ("POST", "/v1/claims", "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"-1\"}]}", 400),
        (
            "POST",
            "/v1/claims",
            "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"99999999999999999999999\"}]}",
            400,
        ),
        ("POST", "/v1/claims", "{\"lines\":[{\"resource\":\"cpu\",\"amount\":\"9999999\"}]}", 422),
        ("POST", "/v1/claims", "{\"lines\":[{\"resource\":\"mana\",\"amount\":\"1\"}]}", 404),
        ("POST", "/v1/claims", deep.as_str(), 400),
        ("POST", "/v1/claims", oversize.as_str(), 413),
        ("POST", "/v1/claims", "\u{0}", 400),
        ("GET", "/v1/claims/99", "", 404),
        ("GET", "/v1/claims/one", "", 400),
        ("POST", "/v1/claims/99/release", "{\"fence\":\"1\"}", 404),
        ("POST", "/v1/claims/99/cancel", "", 404),
        ("DELETE", "/v1/claims", "", 405),
        ("GET", "/v2/claims", "", 404),
        ("PUT", "/v1/strategies/taste", "{\"plugin\":\"x\"}", 400),
        ("GET", "/v1/events?since=x", "", 400),
    ] {
        let (got, answer) = daemon.http(method, path, body);
        assert_eq!(got, status, "{method} {path} {:.80}: {answer}", body);
        assert!(answer["error"]["reason"].is_string() && answer["error"]["message"].is_string(), "{answer}");
    }
    let garbage = |bytes: &[u8]| {
        let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
        // Whoever is refused before all of it was read finds the way shut.
        let _ = stream.write_all(bytes).and_then(|()| stream.shutdown(std::net::Shutdown::Write));
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
    };
    garbage(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    garbage(&[b'x'; 100_000]);
    assert_eq!(daemon.http("GET", "/healthz", "").0, 200);
    assert_eq!(daemon.http("GET", "/readyz", "").0, 200);
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn events_are_paged_followed_and_taken_up_again() {
    let daemon = Daemon::plain();
    for _ in 0..3 {
        daemon.http("POST", "/v1/claims", &cpu(100));
    }
    let all = daemon.ask(&["get", "events"]);
    let all = all["events"].as_array().expect("events").clone();
    let granted = all.iter().filter(|event| event["kind"] == "granted").count();
    assert_eq!(granted, 3);
    let last: u64 = all.last().and_then(|event| event["seq"].as_str()?.parse().ok()).expect("a sequence");
    let page = daemon.http("GET", &format!("/v1/events?since={}&limit=1", last - 1), "").1;
    assert!(
        page["events"].as_array().is_some_and(|page| !page.is_empty()
            && page.iter().all(|event| event["seq"].as_str() == Some(&last.to_string())))
    );
    let mut stream = daemon.client().events(last).expect("a stream");
    daemon.http("POST", "/v1/claims", &cpu(100));
    let next = stream.next().expect("an event");
    assert!(next.seq > last && next.claim == Some(4), "{next:?}");
    // With a limit a stream ends, here and there.
    let ask = "GET /v1/events?since=0&limit=2 HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\nConnection: close\r\n\r\n";
    let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
    stream.set_read_timeout(Some(Duration::from_secs(10))).expect("set");
    stream.write_all(ask.as_bytes()).expect("sent");
    let mut told = String::new();
    stream.read_to_string(&mut told).expect("it ends");
    assert_eq!(told.matches("data: {").count(), 2, "{told}");
    for what in ["events", "audit"] {
        assert_eq!(daemon.tell(&["cordon", "nowhere"]).code, 3);
        let told = daemon.tell(&["get", what, "-w", "--limit", "1", "-o", "jsonl"]);
        assert_eq!((told.code, told.out.lines().count()), (0, 1), "{told:?}");
    }
    let contract = daemon.http("GET", "/v1/openapi.json", "").1;
    let params = contract["paths"]["/v1/events"]["get"]["parameters"].as_array().expect("parameters").clone();
    let limit = params.iter().find(|param| param["name"] == "limit").expect("it takes one");
    assert!(limit["description"].as_str().is_some_and(|told| told.contains("stream ends")), "{limit}");
}

#[test]
fn what_happened_at_once_is_streamed_as_a_whole_and_each_once() {
    let daemon = Daemon::configured("[node.capacity]\ncpu = \"64\"\n");
    let operations =
        vec![json!({ "ask": { "ttl": "1h", "lines": [{ "resource": "cpu", "amount": "1" }] } }); 300];
    assert_eq!(daemon.http("POST", "/v1/batch", &json!({ "operations": operations }).to_string()).0, 200);
    let told = |rows: &mut dyn Iterator<Item = bursar_wire::EventRow>| -> Vec<(u64, String, Option<u64>)> {
        rows.map(|row| (row.seq, row.kind, row.claim)).collect()
    };
    let page = daemon.client().events_page(0, 10_000).expect("a page").events;
    let paged = told(&mut page.into_iter());
    let streamed = told(&mut daemon.client().events(0).expect("a stream").take(paged.len()));
    assert!(paged.len() > 600, "{}", paged.len());
    assert!(paged == streamed, "{:?}", paged.iter().zip(&streamed).find(|(a, b)| a != b));
}

#[test]
fn over_tcp_only_with_the_token() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its number")
        .to_string();
    let daemon = Daemon::with(Setup { args: vec!["--http".into(), free.clone()], ..Setup::default() });
    let token = std::fs::read_to_string(daemon.state().join("http-token")).expect("a token");
    let ask = |headers: &str| {
        let mut stream = TcpStream::connect(&free).expect("connected");
        write!(stream, "GET /v1/pools HTTP/1.1\r\nHost: {free}\r\nConnection: close\r\n{headers}\r\n")
            .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        answer
    };
    assert!(ask("").starts_with("HTTP/1.1 401"));
    assert!(ask("Authorization: Bearer wrong\r\n").starts_with("HTTP/1.1 401"));
    assert!(
        ask(&format!("Authorization: Bearer {}\r\nOrigin: http://evil.example\r\n", token.trim()))
            .starts_with("HTTP/1.1 403")
    );
    let answer = ask(&format!("Authorization: Bearer {}\r\n", token.trim()));
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("\"pools\""), "{answer}");
}
