//! Goal 17: short commands inside leases beside the same ones in a shell. Interleaved rounds in one run,
//! from one starter and from four at once; ratios of medians. What a command costs by itself, and the
//! program's own start, stand beside: they are the floor.
use bursar_wire::Client;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 5;
/// Commands of one starter in one round.
const COMMANDS: usize = 60;

fn main() {
    let scratch = TempDir::new().expect("a folder");
    let daemon = Daemon::start(scratch.path());
    for starters in [1, 4] {
        let [mut bare, mut own, mut shell, mut cold, mut ours] = [const { Vec::new() }; 5];
        for _ in 0..ROUNDS {
            bare.push(rate(starters, COMMANDS, || Command::new("/bin/true")));
            own.push(rate(starters, COMMANDS, || {
                let mut command = Command::new(program());
                command.arg("--version");
                command
            }));
            shell.push(rate(starters, COMMANDS, || {
                let mut command = Command::new("sh");
                command.args(["-c", "/bin/true; :"]);
                command
            }));
            // The first one after a quiet while waits for the kernel.
            std::thread::sleep(QUIET);
            cold.push(rate(1, 1, || daemon.run()));
            ours.push(rate(starters, COMMANDS, || daemon.run()));
        }
        let [bare, own, shell, cold, ours] = [bare, own, shell, cold, ours].map(Figure::of);
        println!("{starters} starters, /bin/true                 {bare} commands/s");
        println!("{starters} starters, bursar --version          {own} commands/s");
        println!("{starters} starters, sh -c '/bin/true; :'      {shell} commands/s");
        println!("{starters} starters, bursar run -- /bin/true   {ours} commands/s");
        println!("            the first after a quiet while   {:.1} ms", 1e3 / cold.median);
        println!("goal 17: {:.0} % of the shell's rate (goal ≥ 75 %)", 100.0 * ours.median / shell.median);
    }
}

/// Longer than the daemon keeps the way into its groups warm.
const QUIET: Duration = Duration::from_millis(1500);

/// Commands per second of so many starters, each one at a time.
fn rate(starters: usize, commands: usize, make: impl Fn() -> Command + Sync) -> f64 {
    let start = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..starters {
            scope.spawn(|| {
                for _ in 0..commands {
                    let mut command = make();
                    let status = command.stdin(Stdio::null()).stdout(Stdio::null()).status();
                    assert!(status.expect("started").success());
                }
            });
        }
    });
    (starters * commands) as f64 / start.elapsed().as_secs_f64()
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

fn program() -> &'static str {
    env!("CARGO_BIN_EXE_bursar")
}

struct Daemon {
    child: Child,
    socket: PathBuf,
}

impl Daemon {
    fn start(folder: &Path) -> Daemon {
        let socket = folder.join("bursar.sock");
        let mut command = Command::new(program());
        command.arg("serve").arg("--state").arg(folder.join("state")).arg("--socket").arg(&socket);
        let child = command.env("BURSAR_LOG", "warn").stdin(Stdio::null()).spawn().expect("the daemon");
        let mut client = Client::new(&socket);
        while !client.alive() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Daemon { child, socket }
    }

    fn run(&self) -> Command {
        let mut command = Command::new(program());
        command
            .args(["run", "--cpu", "0.5", "--wait", "10s", "--", "/bin/true"])
            .env("BURSAR_SOCKET", &self.socket);
        command
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // In good order, so that its groups go too.
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}
