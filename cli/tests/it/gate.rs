//! The proxy for model providers, with a real daemon behind it and a provider before it that streams, errs,
//! throttles and breaks off.
mod bound;
mod cut;
pub(crate) mod provider;
mod secured;

use crate::daemon::{Daemon, LONG};
use provider::{Answer, Heard, Provider, Says, call, header};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    process::{Child, ChildStdout, Stdio},
    time::{Duration, Instant},
};

/// Micro-dollars that there are for a day.
const BUDGET: u64 = 40_000;

/// The daemon's config and the gate's: one file. `gate` is what stands in `[gate]` besides.
fn config(provider: &Provider, gate: &str) -> String {
    let at = provider.address;
    format!(
        r#"
[[pool]]
resource = "usd"
name = "acct"
capacity = "0.04/d"

[[pool]]
resource = "requests"
name = "acct/model"
capacity = "600/m"
burst = "20"

[[pool]]
resource = "tokens"
name = "acct/model"
capacity = "60M/m"

[gate]
listen = "127.0.0.1:0"
{gate}

[[gate.provider]]
name = "anthropic"
shape = "anthropic"
url = "http://{at}"

[[gate.provider]]
name = "openai"
shape = "openai"
url = "http://{at}/base/"

[[gate.model]]
provider = "anthropic"
model = "dear-*"
max-output = 1000
usd = "acct"
[gate.model.price]
input = "3"
output = "15"
cache-read = "0.30"

[[gate.model]]
provider = "openai"
model = "gpt"
max-output = 1000
tokens = "acct/model"
usd = "acct"
[gate.model.price]
input = "2"
output = "8"
cache-read = "0.5"

[[gate.model]]
provider = "anthropic"
model = "quick"
max-output = 1000
requests = "acct/model"
"#
    )
}

/// `bursar gate` beside a daemon; killed when dropped.
struct Gate {
    child: Child,
    address: SocketAddr,
    log: std::path::PathBuf,
    _out: BufReader<ChildStdout>,
}

impl Gate {
    fn beside(daemon: &Daemon, args: &[&str]) -> Gate {
        let config = daemon.scratch.path().join("bursar.toml");
        let log = daemon.scratch.path().join("gate.log");
        let mut command = daemon.command(&["gate", "--no-autostart", "--config"]);
        command.arg(config).args(args).env("BURSAR_LOG", "trace");
        command.stdout(Stdio::piped()).stderr(File::create(&log).expect("a log"));
        let mut child = command.spawn().expect("the program");
        let mut out = BufReader::new(child.stdout.take().expect("its output"));
        let mut line = String::new();
        out.read_line(&mut line).expect("its address");
        let told = fs::read_to_string(&log).unwrap_or_default();
        let address = line.trim().parse().unwrap_or_else(|error| panic!("{error}: {line:?}\n{told}"));
        Gate { child, address, log, _out: out }
    }

    fn call(&self, path: &str, body: &Value) -> Answer {
        call(self.address, path, &[("x-api-key", "k")], &body.to_string())
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Ends it in good order.
    fn stop(&mut self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).expect("signalled");
        assert!(self.child.wait().expect("ended").success(), "{}", self.log());
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn message(max_tokens: u64) -> Value {
    json!({ "model": "dear-1", "max_tokens": max_tokens, "messages": [{ "role": "user", "content": "héllo" }] })
}

/// What a call of [`message`] reserves, in micro-dollars.
fn reserved(max_tokens: u64) -> u64 {
    message(max_tokens).to_string().len() as u64 * 3 + max_tokens * 15
}

fn pool(daemon: &Daemon, resource: &str) -> (u64, u64, u64) {
    let pools = daemon.ask(&["get", "pools"]);
    let pools = pools["pools"].as_array().expect("pools").clone();
    let pool = pools.into_iter().find(|pool| pool["resource"] == resource).expect("the pool");
    let number = |key: &str| pool[key].as_str().and_then(|text| text.parse().ok()).expect("digits");
    (number("held"), number("spent"), number("capacity"))
}

/// Waits until nothing is held and so much is spent.
fn await_spent(daemon: &Daemon, resource: &str, spent: u64) {
    let mut seen = (0, 0, 0);
    daemon.eventually(&format!("{spent} of {resource} spent"), || {
        seen = pool(daemon, resource);
        (seen.0, seen.1) == (0, spent)
    });
}

fn used(input: u64, output: u64) -> Vec<u8> {
    json!({ "type": "message", "content": [{ "type": "text", "text": "…" }],
        "usage": { "input_tokens": input, "output_tokens": output, "cache_read_input_tokens": 0 } })
    .to_string()
    .into_bytes()
}

#[test]
fn sixty_four_callers_on_a_budget_that_fits_one_never_overspend() {
    // What is reserved for one is more than half of all there is; what it uses is a tenth of that.
    let provider = Provider::who(|_| {
        std::thread::sleep(Duration::from_millis(5));
        Says::Document(200, Vec::new(), used(40, 133))
    });
    let daemon = Daemon::configured(&config(&provider, "wait = \"4s\""));
    let gate = Gate::beside(&daemon, &[]);
    let max_tokens = 1500;
    assert!(reserved(max_tokens) * 2 > BUDGET && reserved(max_tokens) <= BUDGET);
    let answers: Vec<Answer> = std::thread::scope(|scope| {
        let callers: Vec<_> = (0..64)
            .map(|caller| {
                let (gate, path) = (&gate, format!("/anthropic/team/agent-{caller}/v1/messages"));
                scope.spawn(move || gate.call(&path, &message(max_tokens)))
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    let (served, refused): (Vec<&Answer>, Vec<&Answer>) =
        answers.iter().partition(|answer| answer.status == 200);
    let each = 40 * 3 + 133 * 15;
    // They go one after the other for as long as another worst case fits.
    let fit = (BUDGET - reserved(max_tokens)) / each + 1;
    assert_eq!(served.len() as u64, fit, "{}", gate.log());
    assert_eq!(provider.heard().len() as u64, fit, "nobody else reached the provider");
    assert_eq!(provider.peak.load(std::sync::atomic::Ordering::SeqCst), 1);
    for answer in refused {
        assert_eq!((answer.status, &answer.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    }
    await_spent(&daemon, "usd", fit * each);
    assert!(fit * each <= BUDGET);
}

#[test]
fn what_passes_is_the_same_byte_for_byte_and_what_a_stream_tells_is_settled() {
    let events = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25,\
        \"cache_read_input_tokens\":100,\"output_tokens\":1}}}\n\nevent: ping\r\ndata: {\"type\":\"ping\"}\r\n\r\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"h\u{e9}\\u0000\"}}\n\n\
        data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":15}}\n\ndata: {\"type\":\"message_stop\"}\n\n";
    let chat = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}],\"usage\":null}\n\n\
        data: {\"choices\":[],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":10,\
        \"prompt_tokens_details\":{\"cached_tokens\":20}}}\n\ndata: [DONE]\n\n";
    let provider = Provider::who(move |heard| {
        let text = if heard.head.contains("/chat/") { chat } else { events };
        // Cut where it hurts: within characters, lines and ends of lines.
        Says::Stream(text.as_bytes().chunks(7).map(<[u8]>::to_vec).collect(), Duration::ZERO)
    });
    let daemon = Daemon::configured(&config(&provider, ""));
    let gate = Gate::beside(&daemon, &[]);
    let body = "{ \"model\":\"dear-1\",\n\"max_tokens\": 10, \"stream\" :true}";
    let headers = [
        ("x-api-key", "k"),
        ("anthropic-version", "2023-06-01"),
        ("x-bursar-scope", "a"),
        ("Accept-Encoding", "br"),
    ];
    let answer = call(gate.address, "/anthropic/v1/messages?beta=true", &headers, body);
    assert_eq!((answer.status, answer.whole), (200, true));
    assert_eq!(String::from_utf8_lossy(&answer.body), events);
    assert_eq!(header(&answer.head, "content-type").as_deref(), Some("text/event-stream; charset=utf-8"));
    let first = 25 * 3 + 30 + 15 * 15;
    await_spent(&daemon, "usd", first);
    let heard = &provider.heard()[0];
    assert!(heard.head.starts_with("POST /v1/messages?beta=true HTTP/1.1\r\n"), "{}", heard.head);
    assert_eq!(heard.body, body.as_bytes());
    assert_eq!(header(&heard.head, "host"), Some(provider.address.to_string()));
    assert_eq!(header(&heard.head, "anthropic-version").as_deref(), Some("2023-06-01"));
    assert_eq!(header(&heard.head, "x-api-key").as_deref(), Some("k"));
    assert_eq!(header(&heard.head, "accept-encoding").as_deref(), Some("identity"));
    assert_eq!(header(&heard.head, "x-bursar-scope"), None, "what is the gate's stays there");

    let body = json!({ "model": "gpt", "stream": true, "stream_options": { "include_usage": true } });
    let answer = gate.call("/openai/v1/chat/completions", &body);
    assert_eq!(String::from_utf8_lossy(&answer.body), chat);
    await_spent(&daemon, "usd", first + 10 * 2 + 10 + 10 * 8);
    assert!(provider.heard()[1].head.starts_with("POST /base/v1/chat/completions "));
}

#[test]
fn an_outcome_that_is_not_known_counts_as_spent_and_one_that_never_was_does_not() {
    let start =
        b"data: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":25}}}\n\n".to_vec();
    let provider = Provider::who(move |heard: &Heard| match heard.json()["max_tokens"].as_u64() {
        Some(11) => Says::Cut(vec![start.clone()]),
        Some(12) => Says::Document(400, Vec::new(), br#"{"type":"error"}"#.to_vec()),
        Some(13) => Says::Document(500, Vec::new(), br#"{"type":"error"}"#.to_vec()),
        Some(14) => Says::Nothing,
        _ => Says::Document(200, Vec::new(), b"{}".to_vec()),
    });
    let daemon = Daemon::configured(&config(&provider, ""));
    let gate = Gate::beside(&daemon, &[]);
    let mut spent = 0;
    for (max_tokens, status, counted) in
        [(11, 200, true), (12, 400, false), (13, 500, true), (14, 504, true), (15, 200, true)]
    {
        let answer = gate.call("/anthropic/v1/messages", &message(max_tokens));
        assert_eq!((answer.status, answer.whole), (status, max_tokens != 11), "{max_tokens}: {answer:?}");
        spent += if counted { reserved(max_tokens) } else { 0 };
        await_spent(&daemon, "usd", spent);
    }
}

#[test]
fn a_provider_that_throttles_is_waited_for_in_line_and_cut_for_once() {
    // For a second from its first call on it will have nobody.
    let started: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
    let provider = Provider::who(move |_| {
        std::thread::sleep(Duration::from_millis(100));
        match started.get_or_init(Instant::now).elapsed() < Duration::from_millis(900) {
            true => Says::Document(429, vec![("retry-after", "1".into())], b"{}".to_vec()),
            false => Says::Document(200, Vec::new(), used(1, 1)),
        }
    });
    let daemon = Daemon::configured(&config(&provider, "wait = \"60s\""));
    let mut gate = Gate::beside(&daemon, &[]);
    let body = json!({ "model": "quick", "max_tokens": 10 });
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..16).map(|_| scope.spawn(|| gate.call("/anthropic/v1/messages", &body).status)).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    assert_eq!(statuses, [200; 16], "{}", gate.log());
    let (heard, first) = (provider.heard().len(), 16);
    assert!(heard <= first + 16 + 2, "{heard}: whoever waits does not ask the provider");
    assert_eq!(pool(&daemon, "requests").2, 540, "one cut of a tenth\n{}", gate.log());
    gate.stop();
    assert_eq!(pool(&daemon, "requests").2, 600, "as the operator had it");
}

#[test]
fn no_call_is_lost_below_capacity_and_what_headers_tell_sets_the_pool() {
    let provider = Provider::who(|_| {
        let limit = ("anthropic-ratelimit-requests-limit", "300".into());
        Says::Document(200, vec![limit], used(1, 1))
    });
    let daemon = Daemon::configured(&config(&provider, "wait = \"60s\""));
    let gate = Gate::beside(&daemon, &[]);
    let body = json!({ "model": "quick", "max_tokens": 10 });
    let since = Instant::now();
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let callers: Vec<_> =
            (0..30).map(|_| scope.spawn(|| gate.call("/anthropic/v1/messages", &body).status)).collect();
        callers.into_iter().map(|caller| caller.join().expect("no panic")).collect()
    });
    assert_eq!(statuses, [200; 30], "{}", gate.log());
    // Twenty at once, the rest as they come back.
    assert!(since.elapsed() > Duration::from_millis(900), "{:?}", since.elapsed());
    daemon.eventually("the pool is as the provider says", || pool(&daemon, "requests").2 == 300);
}

#[test]
fn without_a_daemon_calls_pass_or_do_not_as_configured_and_at_once() {
    let provider = Provider::who(|_| Says::Document(200, Vec::new(), used(1, 1)));
    let mut daemon = Daemon::configured(&config(&provider, ""));
    let (closed, open) = (Gate::beside(&daemon, &[]), Gate::beside(&daemon, &["--fail", "open"]));
    daemon.kill();
    let since = Instant::now();
    let answer = closed.call("/anthropic/v1/messages", &message(1));
    assert_eq!(
        (answer.status, header(&answer.head, "retry-after").as_deref()),
        (503, Some("1")),
        "{answer:?}"
    );
    assert!(answer.json()["error"]["message"].as_str().expect("a message").contains("no daemon answers"));
    assert_eq!(provider.heard().len(), 0);
    assert_eq!(open.call("/anthropic/v1/messages", &message(1)).status, 200);
    assert!(since.elapsed() < LONG / 6, "{:?}", since.elapsed());
    daemon.start();
    assert_eq!(closed.call("/anthropic/v1/messages", &message(1)).status, 200, "{}", closed.log());
}

#[test]
fn keys_pass_through_and_stay_nowhere() {
    let canary = "sk-canary-3f9b1d";
    let provider = Provider::who(|heard| match heard.number {
        1 => Says::Document(401, Vec::new(), br#"{"type":"error"}"#.to_vec()),
        2 => Says::Nothing,
        _ => Says::Document(200, Vec::new(), used(1, 1)),
    });
    let daemon = Daemon::configured(&config(&provider, ""));
    let mut gate = Gate::beside(&daemon, &[]);
    let bearer = format!("Bearer {canary}");
    let headers = [("x-api-key", canary), ("authorization", &bearer)];
    for number in 0..4 {
        let body = match number {
            3 => "no JSON".to_owned(),
            _ => message(1).to_string(),
        };
        call(gate.address, "/anthropic/v1/messages", &headers, &body);
    }
    let provider_saw = provider.heard().iter().filter(|heard| heard.head.contains(canary)).count();
    assert_eq!(provider_saw, 3);
    gate.stop();
    let mut looked = 0;
    let mut folders = vec![daemon.scratch.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            let path = entry.path();
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(path);
            } else if let Ok(bytes) = fs::read(&path) {
                looked += 1;
                let found = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
                assert!(!found, "{}", path.display());
            }
        }
    }
    assert!(looked >= 4 && gate.log().contains("DEBUG"), "the journal and both logs are there: {looked}");
}

#[test]
fn who_may_not_call_is_told_so_in_the_providers_own_words() {
    let provider = Provider::who(|_| Says::Document(200, Vec::new(), used(1, 1)));
    // The sha256 of "token".
    let caller = "[[gate.caller]]\ntoken-sha256 = \"3c469e9d6c5875d37a43f353d4f88e61fcf812c66eee3457465a40b0da4153e0\"\n\
                  scope = \"team\"\n";
    let daemon = Daemon::configured(&config(&provider, caller));
    let gate = Gate::beside(&daemon, &[]);
    let body = message(1).to_string();
    let token = ("x-bursar-token", "token");
    for (path, headers, body, status, told) in [
        ("/anthropic/v1/messages", vec![], body.as_str(), 401, "no caller has this token"),
        ("/anthropic/v1/messages", vec![("x-bursar-token", "other")], &body, 401, "no caller has this token"),
        ("/anthropic/v1/messages", vec![token, ("Origin", "http://x")], &body, 403, "web pages"),
        ("/anthropic/v1/messages", vec![token, ("Host", "evil.example")], &body, 403, "no such name"),
        ("/anthropic/v1/messages/batches", vec![token], &body, 403, "cannot measure"),
        ("/anthropic/v1/messages", vec![token], r#"{"model":"x"}"#, 403, "has no price"),
        ("/anthropic/v1/messages", vec![token], "{}", 400, "names no model"),
        ("/other/v1/messages", vec![token], &body, 404, "there are anthropic, openai"),
        ("/anthropic/messages", vec![token], &body, 404, "/PROVIDER/[SCOPE/]v1/"),
        ("/anthropic/a//b/v1/messages", vec![token], &body, 400, "BadRequest"),
    ] {
        let answer = call(gate.address, path, &headers, body);
        let message = answer.json()["error"]["message"].as_str().expect("a message").to_owned();
        assert_eq!(answer.status, status, "{path}: {message}");
        assert!(message.contains(told), "{path}: {message}");
    }
    assert_eq!(provider.heard().len(), 0, "nothing of it reached the provider");
    let dear = call(gate.address, "/anthropic/v1/messages", &[token], &message(100_000).to_string());
    assert_eq!(dear.status, 400, "{dear:?}");
    assert!(dear.json()["error"]["message"].as_str().expect("a message").contains("NeverFits"));
    assert_eq!(call(gate.address, "/anthropic/a/v1/messages", &[token], &body).status, 200);
    daemon.eventually("the caller's own scope paid", || {
        daemon.ask(&["get", "claims"])["claims"]
            .as_array()
            .is_some_and(|all| all.iter().any(|c| c["scope"] == "team/a"))
    });
}
