//! A daemon whose syncs take long, or fail, as strace has it.
use crate::daemon::Daemon;
use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// For as long as this is there.
pub(crate) struct Strained(Child);

impl Strained {
    /// From now on each sync of the daemon takes so long; `None`, having said so, where that cannot be had.
    pub(crate) fn slow(daemon: &Daemon, takes: Duration) -> Option<Strained> {
        Strained::inject(daemon, &format!("delay_enter={}", takes.as_micros()))
    }

    /// From now on each sync of the daemon takes so long, and fails; `None` as before.
    pub(crate) fn failing(daemon: &Daemon, takes: Duration) -> Option<Strained> {
        Strained::inject(daemon, &format!("error=EIO:delay_exit={}", takes.as_micros()))
    }

    fn inject(daemon: &Daemon, what: &str) -> Option<Strained> {
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=fdatasync", "-e"]);
        strace.arg(format!("inject=fdatasync:{what}")).args(["-p", &daemon.pid().to_string()]);
        let Ok(mut strace) = strace.stderr(Stdio::null()).spawn() else {
            eprintln!("skipped: strace is not installed");
            return None;
        };
        // Every thread of the daemon, or the sync that counts may be one that is not delayed.
        let traced = || {
            let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).expect("a folder").flatten();
            let status = tasks.map(|task| fs::read_to_string(task.path().join("status")).unwrap_or_default());
            status.into_iter().all(|status| !status.contains("TracerPid:\t0\n"))
        };
        daemon.eventually("it is traced", || traced() || strace.try_wait().expect("a look").is_some());
        if strace.try_wait().expect("a look").is_some() {
            eprintln!("skipped: strace may not trace here");
            return None;
        }
        Some(Strained(strace))
    }
}

impl Drop for Strained {
    fn drop(&mut self) {
        // One that is gone already strains nothing.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
