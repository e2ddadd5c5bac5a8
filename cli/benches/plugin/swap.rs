//! What a swap holds up: answers to a client that asks and releases all the time, while strategies are swapped under it and
//! while they are not, in turn.
use crate::{kept::version, world::built};
use bursar_interface::Home;
use bursar_wire::Client;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

/// Rounds of each, in turn.
const ROUNDS: usize = 5;
/// Swaps in one round of those with swaps.
const SWAPS: usize = 200;
/// How long a round without swaps lasts.
const SPAN: Duration = Duration::from_millis(800);
/// By how much 99 of 100 answers may be later, in milliseconds.
const GOAL_MS: f64 = 5.0;

/// A daemon with two versions of one library.
struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(home: Home, folder: &Path) -> Daemon {
        let plugins = folder.join("plugins");
        std::fs::create_dir_all(&plugins).expect("a folder");
        let library = std::fs::read(built().join("liballoc_fit.so")).expect("read");
        let versions = [version(&library, 1), version(&library, 2)];
        for (number, bytes) in versions.iter().enumerate() {
            std::fs::write(plugins.join(format!("lib{number}.so")), bytes).expect("written");
        }
        let sums = versions.iter().map(|bytes| bursar_loader::sha256(bytes)).filter(|_| home == Home::Inline);
        let inline: Vec<String> = sums.collect();
        let (config, socket) = (folder.join("bursar.toml"), folder.join("sock"));
        let text =
            format!("[plugins]\ndeadline-ms = 500\ninline = {inline:?}\n[node.capacity]\ncpu = \"64\"\n");
        std::fs::write(&config, text).expect("written");
        let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
        command.arg("serve").arg("--state").arg(folder.join("state")).arg("--socket").arg(&socket);
        command.arg("--config").arg(&config).arg("--plugins").arg(&plugins);
        let child = command.env("BURSAR_LOG", "error").stdin(Stdio::null()).spawn().expect("the daemon");
        let mut client = Client::new(&socket);
        while !client.alive() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Daemon { child, socket }
    }

    /// How long each answer took, until it is told to stop.
    fn answers(&self, stop: &AtomicBool) -> Vec<Duration> {
        let (mut client, mut took) = (Client::new(&self.socket), Vec::new());
        let ask = json!({ "lines": [{ "resource": "cpu", "amount": "10" }] });
        let mut timed = |method: &str, path: &str, body: &Value| {
            let since = Instant::now();
            let answer: Value = client.send(method, path, body, None).expect("an answer");
            took.push(since.elapsed());
            answer
        };
        while !stop.load(Ordering::Relaxed) {
            let granted = timed("POST", "/v1/claims", &ask);
            let text = |key: &str| granted["claim"][key].as_str().expect("a string").to_owned();
            let path = format!("/v1/claims/{}/release", text("id"));
            timed("POST", &path, &json!({ "fence": text("fence") }));
        }
        took
    }

    /// A round: answers while `meanwhile` goes on.
    fn round(&self, meanwhile: impl FnOnce()) -> Vec<Duration> {
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let client = scope.spawn(|| self.answers(&stop));
            meanwhile();
            stop.store(true, Ordering::Relaxed);
            client.join().expect("a client")
        })
    }

    /// Swaps so many times to and fro; how long each took.
    fn swaps(&self) -> Vec<Duration> {
        let mut operator = Client::new(&self.socket);
        let swap = |number: usize| {
            let body = json!({ "plugin": format!("best-fit@1.0.{}", 1 + number % 2) });
            let since = Instant::now();
            let _: Value = operator.send("PUT", "/v1/strategies/allocator", &body, None).expect("swapped");
            since.elapsed()
        };
        (0..SWAPS).map(swap).collect()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is only a bench's.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Swaps under load, in both homes.
pub(crate) fn swap() {
    for home in [Home::Inline, Home::Child] {
        let scratch = tempfile::TempDir::new().expect("a folder");
        let daemon = Daemon::start(home, scratch.path());
        let (mut quiet, mut busy, mut swaps) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..ROUNDS {
            quiet.extend(daemon.round(|| std::thread::sleep(SPAN)));
            busy.extend(daemon.round(|| swaps.extend(daemon.swaps())));
        }
        let line = |what: &str, all: &mut Vec<Duration>| {
            all.sort_unstable();
            let [p50, p99, most] = [50, 99, 100].map(|percent| ms(all[(all.len() - 1) * percent / 100]));
            println!(
                "{home:?}, {what} ({}): p50 {p50:.2} ms, p99 {p99:.2} ms, longest {most:.2} ms",
                all.len()
            );
            p99
        };
        let (quiet, busy) = (line("answers", &mut quiet), line("answers beside swaps", &mut busy));
        line("swaps", &mut swaps);
        let (later, verdict) = (busy - quiet, if busy - quiet <= GOAL_MS { "met" } else { "missed" });
        println!("swap pause, {home:?}: {later:.2} ms later at p99 (goal ≤ {GOAL_MS} ms): {verdict}");
    }
}

fn ms(took: Duration) -> f64 {
    took.as_secs_f64() * 1e3
}
