//! How long a lease's life takes beside that of a plain process, in one run, taken in turns: from the request to the
//! command's first instruction, against fork and exec from the same program; and from the end of its last process,
//! or from the release, until everything is proved back.
#[path = "daemon/own.rs"]
mod own;

use bursar_wire::Client;
use own::Daemon;
use serde_json::{Value, json};
use std::{
    io::Read,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// Commands of each kind.
const COMMANDS: usize = 300;
/// Leases that are given back.
const LEASES: usize = 300;
/// What a command does first: it says that it is there.
const HELLO: [&str; 2] = ["/bin/echo", "x"];
const RUN: [&str; 8] = ["run", "--cpu", "1", "--wait", "10s", "--", HELLO[0], HELLO[1]];

fn main() {
    let scratch = TempDir::new().expect("a folder");
    let daemon = Daemon::start(scratch.path(), "[enforce]\ngrace-ms = 0\n");
    let (mut plain, mut leased) = (Vec::new(), Vec::new());
    for _ in 0..COMMANDS {
        plain.push(first_byte(Command::new(HELLO[0]).arg(HELLO[1])));
        leased.push(first_byte(&mut daemon.command(&RUN)));
    }
    let (plain, leased) = (Times::of(plain), Times::of(leased));
    println!("start to first byte, fork and exec            {plain}");
    println!("start to first byte, bursar run --cpu 1       {leased}");
    println!("bursar run / fork and exec                    {:.2} at p50", leased.p50 / plain.p50);
    for (name, line) in [
        ("a cell with one process", json!([{ "resource": "pids", "amount": "4" }])),
        (
            "the same and a scratch folder",
            json!([{ "resource": "pids", "amount": "4" }, { "resource": "disk", "amount": "1048576" }]),
        ),
    ] {
        let (mut bare, mut back) = (Vec::new(), Vec::new());
        for _ in 0..LEASES {
            bare.push(killed());
            back.push(reclaim(&daemon.socket, &line));
        }
        let (bare, back) = (Times::of(bare), Times::of(back));
        println!("reclaim of {name:34} {back}; a process killed and waited for: {bare}");
    }
}

/// From the start of a command until it says something.
fn first_byte(command: &mut Command) -> Duration {
    let since = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("started");
    let mut byte = [0];
    child.stdout.take().expect("a pipe").read_exact(&mut byte).expect("a byte");
    let took = since.elapsed();
    assert!(child.wait().expect("ended").success());
    took
}

fn sleeper() -> Child {
    Command::new("sleep").arg("600").stdin(Stdio::null()).spawn().expect("sleep")
}

/// From the signal until a process is known to be gone.
fn killed() -> Duration {
    let mut child = sleeper();
    let since = Instant::now();
    child.kill().expect("killed");
    child.wait().expect("ended");
    since.elapsed()
}

/// Times in order.
struct Times {
    p50: f64,
    p99: f64,
}

impl Times {
    fn of(mut times: Vec<Duration>) -> Times {
        times.sort();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100].as_secs_f64() * 1e3;
        Times { p50: at(50), p99: at(99) }
    }
}

impl std::fmt::Display for Times {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "p50 {:.2} ms, p99 {:.2} ms", self.p50, self.p99)
    }
}

fn post(socket: &Path, path: &str, body: &Value) -> Value {
    let body = body.to_string();
    let answer = Client::new(socket).request("POST", path, Some(body.as_bytes()), &[]).expect("an answer");
    assert!(answer.status < 300, "{} {}", answer.status, String::from_utf8_lossy(&answer.body));
    serde_json::from_slice(&answer.body).expect("JSON")
}

/// From the release of a lease with a living process until all of it is proved back.
fn reclaim(socket: &Path, lines: &Value) -> Duration {
    let claim = post(socket, "/v1/claims", &json!({ "lines": lines }))["claim"].clone();
    let (id, fence) = (claim["id"].as_str().expect("an id"), &claim["fence"]);
    let mut child = sleeper();
    post(socket, &format!("/v1/claims/{id}/attach"), &json!({ "fence": fence, "pid": child.id() }));
    // Whoever started it waits for it, as everybody's parent does.
    let reaper = std::thread::spawn(move || child.wait());
    let since = Instant::now();
    let ended = post(socket, &format!("/v1/claims/{id}/release?wait=10s"), &json!({ "fence": fence }));
    let took = since.elapsed();
    assert_eq!(ended["claim"]["phase"], "closed", "{ended}");
    reaper.join().expect("joined").expect("ended");
    took
}
