//! The daemon of the demo: its own process with its own state, started, killed, started again, ended.
use anyhow::{Context, Result, bail};
use bursar_wire::Client;
use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// How long the daemon may take to come up.
const START_MAX: Duration = Duration::from_secs(15);

/// A daemon that is up.
pub struct Daemon {
    command: Vec<PathBuf>,
    scratch: PathBuf,
    child: Child,
}

impl Daemon {
    /// Starts a daemon with its state in `scratch`.
    pub fn start(program: &Path, scratch: &Path, plugins: &Path) -> Result<Daemon> {
        Daemon::start_with(program, scratch, &[Path::new("--plugins"), plugins])
    }

    /// Starts a daemon with its state in `scratch` and these arguments.
    pub fn start_with(program: &Path, scratch: &Path, args: &[&Path]) -> Result<Daemon> {
        let words: Vec<PathBuf> = [&[program], args].concat().into_iter().map(Path::to_path_buf).collect();
        // One second between asking and killing is enough for a show.
        std::fs::write(scratch.join("bursar.toml"), "[enforce]\ngrace-ms = 1000\n")?;
        let child = spawn(&words, scratch)?;
        let mut daemon = Daemon { command: words, scratch: scratch.into(), child };
        daemon.wait()?;
        Ok(daemon)
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.scratch.join("bursar.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A client of it.
    pub fn client(&self) -> Client {
        Client::new(&self.socket())
    }

    /// Kills it as a crash would, and starts it again; says how long it was away.
    pub fn kill_and_restart(&mut self) -> Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let since = Instant::now();
        self.child = spawn(&self.command, &self.scratch)?;
        self.wait()?;
        Ok(since.elapsed())
    }

    /// Ends it in good order.
    pub fn stop(mut self) -> Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let status = self.child.wait()?;
        if !status.success() {
            bail!("the daemon ended with {status}:\n{}", self.log());
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<()> {
        let since = Instant::now();
        while !self.client().alive() {
            if let Some(status) = self.child.try_wait()? {
                bail!("the daemon ended with {status}:\n{}", self.log());
            }
            if since.elapsed() > START_MAX {
                bail!("the daemon did not come up:\n{}", self.log());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.scratch.join("log")).unwrap_or_default()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It is gone already when the demo went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(words: &[PathBuf], scratch: &Path) -> Result<Child> {
    let log: File = OpenOptions::new().create(true).append(true).open(scratch.join("log"))?;
    let mut command = Command::new(&words[0]);
    command.arg("serve").args(&words[1..]);
    command.arg("--state").arg(scratch.join("state")).arg("--socket").arg(scratch.join("bursar.sock"));
    command.arg("--config").arg(scratch.join("bursar.toml"));
    command.env_remove("BURSAR_SOCKET").stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
    command.spawn().with_context(|| words[0].display().to_string())
}
