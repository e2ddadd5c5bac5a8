//! A daemon of a bench's own, which ends with it.
#![allow(dead_code, reason = "a bench needs a part of this")]
use bursar_wire::Client;
use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The program that is measured.
pub(crate) fn program() -> &'static str {
    env!("CARGO_BIN_EXE_bursar")
}

/// A running daemon.
pub(crate) struct Daemon {
    child: Child,
    pub(crate) socket: PathBuf,
}

impl Daemon {
    /// Starts one whose state, socket and config are in `folder`, which is made if it is missing; returns once it
    /// answers.
    pub(crate) fn start(folder: &Path, config: &str) -> Daemon {
        std::fs::create_dir_all(folder).expect("a folder");
        let (socket, file) = (folder.join("bursar.sock"), folder.join("bursar.toml"));
        std::fs::write(&file, config).expect("written");
        let mut command = Command::new(program());
        command.arg("serve").arg("--state").arg(folder.join("state")).arg("--socket").arg(&socket);
        command.arg("--config").arg(&file).env("BURSAR_LOG", "error").stdin(Stdio::null());
        let child = command.spawn().expect("the daemon");
        let mut client = Client::new(&socket);
        while !client.alive() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Daemon { child, socket }
    }

    /// The program with such words, to be served by this one.
    pub(crate) fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.args(words).env("BURSAR_SOCKET", &self.socket);
        command
    }

    /// Resident memory in kB.
    pub(crate) fn memory_kb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
        line.trim().trim_end_matches(" kB").parse().expect("a number")
    }

    /// Time on a processor so far.
    pub(crate) fn cpu(&self) -> Duration {
        let threads = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).expect("it runs");
        let ns = threads.filter_map(|thread| {
            let stat = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            stat.split(' ').next()?.parse::<u64>().ok()
        });
        Duration::from_nanos(ns.sum())
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
