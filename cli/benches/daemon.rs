//! Goals 5 and 7: the daemon over its socket beside an empty HTTP echo, and its durable asks beside one
//! sync and one echo. Interleaved rounds in one run; ratios of medians.
use bursar_wire::Client;
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 5;
/// Requests of one client in one round.
const REQUESTS: usize = 400;

fn main() {
    let scratch = TempDir::new().expect("a folder");
    let echo = echo(scratch.path());
    // A state directory in memory syncs for nothing: the daemon without its durability.
    let volatile = Path::new("/dev/shm").is_dir().then(|| TempDir::new_in("/dev/shm").expect("a folder"));
    match &volatile {
        Some(folder) => not_durable(&echo, folder.path()),
        None => println!("goal 5: skipped, there is no /dev/shm"),
    }
    durable(&echo, scratch.path());
}

/// Goal 5.
fn not_durable(echo: &Path, folder: &Path) {
    let daemon = Daemon::start(folder);
    for clients in [1, 16] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            theirs.push(rate(clients, || echo_client(echo)));
            ours.push(rate(clients, || pair_client(&daemon.socket)));
        }
        let (ours, theirs) = (Figure::of(ours), Figure::of(theirs));
        println!("{clients:>2} clients, echo             {theirs} requests/s");
        println!("{clients:>2} clients, ask and release  {ours} requests/s, not durable");
        match clients {
            1 => println!(
                "goal 5: one request takes {:.2}× the echo at one client (goal ≤ 1.5×)",
                theirs.median / ours.median
            ),
            _ => println!(
                "goal 5: {:.0} % of the echo's rate at {clients} clients (goal ≥ 85 %)",
                100.0 * ours.median / theirs.median
            ),
        }
    }
}

/// Goal 7.
fn durable(echo: &Path, folder: &Path) {
    let daemon = Daemon::start(folder);
    let (mut ours, mut echoes, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        syncs.push(sync_rate(folder));
        echoes.push(rate(1, || echo_client(echo)));
        ours.push(rate(1, || pair_client(&daemon.socket)));
    }
    let (ours, echoes, syncs) = (Figure::of(ours), Figure::of(echoes), Figure::of(syncs));
    let limit = 1.0 / (1.0 / syncs.median + 1.0 / echoes.median);
    println!(" 1 client,  append and sync  {syncs} /s");
    println!(" 1 client,  ask or release   {ours} requests/s, durable");
    println!(
        "goal 7: {:.0} % of one sync and one echo, which would be {limit:.0}/s (goal ≥ 90 %)",
        100.0 * ours.median / limit
    );
}

/// A median and its range.
struct Figure {
    median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    fn of(mut rates: Vec<f64>) -> Figure {
        rates.sort_by(f64::total_cmp);
        Figure { median: rates[rates.len() / 2], least: rates[0], most: rates[rates.len() - 1] }
    }
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:>8.0} [{:.0} .. {:.0}]", self.median, self.least, self.most)
    }
}

/// Requests per second of so many clients, each one at a time.
fn rate<F: FnMut() + Send>(clients: usize, make: impl Fn() -> F) -> f64 {
    let mut all: Vec<F> = (0..clients).map(|_| make()).collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for client in &mut all {
            scope.spawn(move || (0..REQUESTS).for_each(|_| client()));
        }
    });
    (clients * REQUESTS) as f64 / start.elapsed().as_secs_f64()
}

fn body() -> Value {
    json!({ "lines": [{ "resource": "cpu", "amount": "1" }, { "resource": "memory", "amount": "4096" }] })
}

fn echo_client(socket: &Path) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    move || {
        client.send::<Value>("POST", "/echo", &body(), None).expect("an answer");
    }
}

/// Asks and releases in turn.
fn pair_client(socket: &Path) -> impl FnMut() + Send + use<> {
    let mut client = Client::new(socket);
    let mut held: Option<(String, String)> = None;
    move || match held.take() {
        None => {
            let answer: Value = client.send("POST", "/v1/claims", &body(), None).expect("granted");
            let text = |key: &str| answer["claim"][key].as_str().expect("a string").to_owned();
            held = Some((text("id"), text("fence")));
        }
        Some((id, fence)) => {
            let body = json!({ "fence": fence });
            client.send::<Value>("POST", &format!("/v1/claims/{id}/release"), &body, None).expect("released");
        }
    }
}

/// Small appends and syncs per second.
fn sync_rate(folder: &Path) -> f64 {
    let mut file = File::create(folder.join("appended")).expect("a file");
    let start = Instant::now();
    for _ in 0..REQUESTS {
        file.write_all(&[7; 128]).and_then(|()| file.sync_data()).expect("on the disk");
    }
    REQUESTS as f64 / start.elapsed().as_secs_f64()
}

/// An empty echo: the same HTTP over the same kind of socket, and nothing behind it.
fn echo(folder: &Path) -> PathBuf {
    let socket = folder.join("echo.sock");
    let listener = std::os::unix::net::UnixListener::bind(&socket).expect("a socket");
    listener.set_nonblocking(true).expect("set");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).expect("a listener");
            let echo = axum::routing::post(|body: axum::Json<Value>| async move { body });
            axum::serve(listener, axum::Router::new().route("/echo", echo)).await.expect("served");
        });
    });
    socket
}

struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(folder: &Path) -> Daemon {
        let socket = folder.join("bursar.sock");
        let mut command = Command::new(std::env::var("BIN").unwrap_or(env!("CARGO_BIN_EXE_bursar").into()));
        command.arg("serve").arg("--state").arg(folder.join("state")).arg("--socket").arg(&socket);
        if let Some(plugins) = std::env::var_os("BURSAR_PLUGINS") {
            command.arg("--plugins").arg(plugins);
        }
        let child = command.env("BURSAR_LOG", "warn").stdin(Stdio::null()).spawn().expect("the daemon");
        let mut client = Client::new(&socket);
        while !client.alive() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Daemon { child, socket }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is only a bench's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
