//! What a job of the demo does, inside its lease.
use anyhow::{Context, Result, ensure};
use clap::{Args, Subcommand};
use std::{
    hint::black_box,
    net::TcpListener,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A page: touching one byte of each makes memory real.
const PAGE: usize = 4096;

/// A job.
#[derive(Debug, Args)]
pub struct Job {
    #[command(subcommand)]
    kind: Kind,
}

#[derive(Debug, Subcommand)]
enum Kind {
    /// Holds memory and computes for a while
    Work {
        #[arg(long)]
        memory: usize,
        #[arg(long)]
        millis: u64,
    },
    /// Ends by a signal of its own
    Crash,
    /// Leaves processes behind that do not want to go
    Leave,
    /// Makes a worktree, compiles, tests, listens
    Agent {
        #[arg(long)]
        repository: PathBuf,
        #[arg(long)]
        bursar: PathBuf,
        #[arg(long)]
        number: u64,
    },
}

/// Does the job.
///
/// # Errors
/// When a step of an agent's work does not succeed.
pub fn job(job: Job) -> Result<()> {
    match job.kind {
        Kind::Work { memory, millis } => work(memory, Duration::from_millis(millis)),
        Kind::Crash => std::process::abort(),
        Kind::Leave => leave()?,
        Kind::Agent { repository, bursar, number } => agent(&repository, &bursar, number)?,
    }
    Ok(())
}

fn work(memory: usize, time: Duration) {
    let until = Instant::now() + time;
    let mut held = vec![0_u8; memory];
    held.iter_mut().step_by(PAGE).for_each(|byte| *byte = 1);
    let mut sum = 0_u64;
    while Instant::now() < until {
        sum = (0..10_000).fold(sum, |sum, n| black_box(sum.wrapping_mul(31).wrapping_add(n)));
    }
    black_box((sum, held));
}

/// A grandchild in a session of its own, deaf to hang-ups, as `nohup` and `setsid` make them.
fn leave() -> Result<()> {
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' TERM HUP; (while :; do sleep 600; done) & sleep 600"]).stdin(Stdio::null());
    command.process_group(0).spawn().context("sh")?;
    Ok(())
}

fn agent(repository: &Path, bursar: &Path, number: u64) -> Result<()> {
    // A held port is ours to listen on.
    let port: u16 = std::env::var("PORT").context("no PORT")?.parse()?;
    let server = TcpListener::bind(("127.0.0.1", port)).with_context(|| format!("port {port}"))?;
    let tree = repository.with_file_name(format!("tree-{number}"));
    let name = tree.display().to_string();
    // git's own lock makes concurrent worktrees collide: one at a time, by a lock of the fleet.
    let mut add = Command::new(bursar);
    add.args(["run", "--no-autostart", "--cpu", "10m", "--lock", "worktrees", "--wait", "60s", "--"]);
    add.args(["git", "-C"]).arg(repository).args(["worktree", "add", "--quiet", "--detach", &name]);
    succeed(add)?;
    let mut compile = Command::new("rustc");
    compile.args(["--test", "--edition", "2021", "lib.rs", "-o", "tests"]).current_dir(&tree);
    succeed(compile)?;
    let mut test = Command::new(tree.join("tests"));
    test.arg("--quiet").current_dir(&tree);
    succeed(test)?;
    drop(server);
    Ok(())
}

fn succeed(mut command: Command) -> Result<()> {
    let said = format!("{command:?}");
    let status = command.stdin(Stdio::null()).status().with_context(|| said.clone())?;
    ensure!(status.success(), "{said}: {status}");
    Ok(())
}
