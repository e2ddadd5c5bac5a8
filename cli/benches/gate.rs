//! What the proxy for model providers adds to a call, beside the same call made directly, in the same run: one
//! caller on a connection of its own, answers in one document and as a stream. Each with a journal on the disk,
//! which is synced once before the call goes out, and with one in memory.
#[path = "daemon/own.rs"]
mod own;

use own::Daemon;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Stdio},
    time::Instant,
};
use tempfile::TempDir;

const ROUNDS: usize = 7;
/// Calls of each kind in one round.
const CALLS: usize = 200;
/// A folder that is never written to a disk.
const MEMORY: &str = "/dev/shm";
const ANSWER: &str = r#"{"type":"message","content":[{"type":"text","text":"hello"}],"usage":{"input_tokens":20,"output_tokens":5}}"#;
const EVENTS: [&str; 4] = [
    "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":20}}}\n\n",
    "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"hello\"}}\n\n",
    "event: message_delta\ndata: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":5}}\n\n",
    "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n",
];

fn main() {
    let provider = provider();
    let disk = TempDir::new().expect("a folder");
    let mut places = vec![("on the disk", disk.path().to_owned())];
    let memory = TempDir::new_in(MEMORY);
    match &memory {
        Ok(memory) => places.push(("in memory", memory.path().to_owned())),
        Err(error) => println!("{MEMORY}: {error}: nothing is measured in memory"),
    }
    for (place, folder) in places {
        let pair = Pair::start(&folder, provider);
        for (what, stream) in [("a document", false), ("a stream", true)] {
            let mut direct = Line::to(provider, "/v1/messages", stream);
            let mut gated = Line::to(pair.gate, "/anthropic/team/v1/messages", stream);
            let [mut directs, mut gates] = [const { Vec::new() }; 2];
            for _ in 0..ROUNDS {
                directs.extend((0..CALLS).map(|_| direct.call()));
                gates.extend((0..CALLS).map(|_| gated.call()));
            }
            let [direct, gated] =
                [&mut directs, &mut gates].map(|all| (quantile(all, 50), quantile(all, 99)));
            println!("{place}, {what}: direct p50 {:.0} µs p99 {:.0} µs", direct.0, direct.1);
            println!("{place}, {what}: by the gate p50 {:.0} µs p99 {:.0} µs", gated.0, gated.1);
            println!("gate, {place}, {what}: adds p50 {:.0} µs (goal ≤ 1000)", gated.0 - direct.0);
        }
    }
}

fn quantile(all: &mut [f64], percent: usize) -> f64 {
    all.sort_by(f64::total_cmp);
    all[(all.len() * percent / 100).min(all.len() - 1)]
}

/// A provider that answers at once.
fn provider() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                stream.set_nodelay(true).expect("set");
                let (mut reader, mut writer) = (BufReader::new(&stream), &stream);
                while let Some((_, body)) = read(&mut reader) {
                    let asked: Value = serde_json::from_slice(&body).expect("JSON");
                    let answer = if asked["stream"] == true { streamed() } else { document() };
                    if writer.write_all(answer.as_bytes()).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn document() -> String {
    let length = ANSWER.len();
    format!("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{ANSWER}")
}

fn streamed() -> String {
    let chunks = EVENTS.map(|event| format!("{:x}\r\n{event}\r\n", event.len())).concat();
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n"
    )
}

/// A message with its head; `None` at the end.
fn read(from: &mut impl BufRead) -> Option<(String, Vec<u8>)> {
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if from.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let lower = head.to_ascii_lowercase();
    let mut body = Vec::new();
    if lower.contains("transfer-encoding: chunked") {
        loop {
            let mut line = String::new();
            from.read_line(&mut line).ok()?;
            let length = usize::from_str_radix(line.trim(), 16).ok()?;
            let mut chunk = vec![0; length + 2];
            from.read_exact(&mut chunk).ok()?;
            if length == 0 {
                return Some((head, body));
            }
            body.extend(chunk);
        }
    }
    let length = lower.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    body.resize(length.unwrap_or(0), 0);
    from.read_exact(&mut body).ok()?;
    Some((head, body))
}

/// One caller's connection.
struct Line {
    stream: BufReader<TcpStream>,
    request: Vec<u8>,
}

impl Line {
    fn to(address: SocketAddr, path: &str, stream: bool) -> Line {
        let body = json!({ "model": "m", "max_tokens": 100, "stream": stream,
            "messages": [{ "role": "user", "content": "say hello" }] })
        .to_string();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nx-api-key: k\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            body.len()
        );
        let connection = TcpStream::connect(address).expect("connected");
        connection.set_nodelay(true).expect("set");
        Line { stream: BufReader::new(connection), request: [head, body].concat().into_bytes() }
    }

    /// How long a call takes, in microseconds.
    fn call(&mut self) -> f64 {
        let start = Instant::now();
        self.stream.get_mut().write_all(&self.request).expect("sent");
        let (head, _) = read(&mut self.stream).expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        start.elapsed().as_secs_f64() * 1e6
    }
}

/// A gate, and the daemon beside it.
struct Pair {
    child: Child,
    gate: SocketAddr,
    _daemon: Daemon,
}

impl Pair {
    fn start(folder: &Path, provider: SocketAddr) -> Pair {
        let config = format!(
            "[[pool]]\nresource = \"usd\"\nname = \"acct\"\ncapacity = \"100000/d\"\n\
             [[pool]]\nresource = \"requests\"\nname = \"m\"\ncapacity = \"100M/m\"\n\
             [[pool]]\nresource = \"tokens\"\nname = \"m\"\ncapacity = \"1000M/s\"\n\
             [gate]\nlisten = \"127.0.0.1:0\"\n\
             [[gate.provider]]\nname = \"anthropic\"\nshape = \"anthropic\"\nurl = \"http://{provider}\"\n\
             [[gate.model]]\nprovider = \"anthropic\"\nmodel = \"m\"\nmax-output = 100\nrequests = \"m\"\n\
             tokens = \"m\"\nusd = \"acct\"\nprice = {{ input = \"3\", output = \"15\" }}\n"
        );
        let daemon = Daemon::start(folder, &config);
        let mut command = daemon.command(&["gate", "--no-autostart"]);
        command.arg("--config").arg(folder.join("bursar.toml")).arg("--socket").arg(&daemon.socket);
        command.env("BURSAR_LOG", "warn").stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("the gate");
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().expect("its output")).read_line(&mut line).expect("its address");
        Pair { child, gate: line.trim().parse().expect("an address"), _daemon: daemon }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
