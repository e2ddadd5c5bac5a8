//! Goal 17: short commands inside leases beside the same ones in a shell. Interleaved rounds in one run,
//! from one starter and from four at once; ratios of medians. What a command costs by itself, and the
//! program's own start, stand beside: they are the floor.
#[path = "daemon/figure.rs"]
mod figure;
#[path = "daemon/own.rs"]
mod own;

use figure::{Figure, goal};
use own::{Daemon, program};
use std::{
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 5;
/// Commands of one starter in one round: thousands in all, as the goal is about.
const COMMANDS: usize = 200;

fn main() {
    let scratch = TempDir::new().expect("a folder");
    let daemon = Daemon::start(scratch.path(), "");
    let run = || daemon.command(&["run", "--", "true"]);
    let limited = || daemon.command(&["run", "--cpu", "0.5", "--wait", "10s", "--", "true"]);
    for starters in [1, 4] {
        let [mut bare, mut own, mut shell, mut cold, mut ours, mut held] = [const { Vec::new() }; 6];
        for _ in 0..ROUNDS {
            bare.push(rate(starters, COMMANDS, || Command::new("/bin/true")));
            own.push(rate(starters, COMMANDS, || {
                let mut command = Command::new(program());
                command.arg("--version");
                command
            }));
            shell.push(rate(starters, COMMANDS, || {
                let mut command = Command::new("sh");
                // To put an environment together takes the starter as long for both.
                command.args(["-c", "/bin/true; :"]).env("BURSAR_SOCKET", &daemon.socket);
                command
            }));
            // One ahead, so that these are as warm as those before them.
            rate(1, 1, run);
            ours.push(rate(starters, COMMANDS, run));
            held.push(rate(starters, COMMANDS, limited));
            // The first one after a quiet while waits for the kernel.
            std::thread::sleep(QUIET);
            cold.push(rate(1, 1, run));
        }
        let [bare, own, shell, cold, ours, held] = [bare, own, shell, cold, ours, held].map(Figure::of);
        println!("{starters} starters, /bin/true                 {bare} commands/s");
        println!("{starters} starters, bursar --version          {own} commands/s");
        println!("{starters} starters, sh -c '/bin/true; :'      {shell} commands/s");
        println!("{starters} starters, bursar run -- true        {ours} commands/s");
        println!("{starters} starters, the same with --cpu 0.5   {held} commands/s");
        println!("            the first after a quiet while   {:.1} ms", 1e3 / cold.median);
        goal(17, "of the shell's rate", 100.0 * ours.median / shell.median, "%", true, 75.0);
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
