//! Real processes in real control groups, and the same without any where there are none.
mod gate;
mod grouped;
mod weak;

use bursar_enforce::{Cell, Hierarchy, Progress, Reclaim, identify};
use bursar_interface::Process;
use std::{
    process::{Child, Command, Stdio},
    sync::Arc,
    thread::sleep,
    time::{Duration, Instant},
};

/// How long anything may take on a busy machine.
const LONG: Duration = Duration::from_secs(20);

/// A hierarchy of this test alone.
fn hierarchy(name: &str) -> Arc<Hierarchy> {
    Hierarchy::detect(&format!("test-{}-{name}", std::process::id()))
}

/// Starts a shell that waits for a line before it does what it is told, so that it can be put into a cell.
fn shell(script: &str) -> Child {
    let script = format!("read go; {script}");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().expect("sh")
}

fn go(child: &mut Child) {
    drop(child.stdin.take());
}

fn identity(child: &Child) -> Process {
    identify(child.id()).expect("/proc").expect("it runs")
}

/// Where processes say that they are ready: a line each in a file.
struct Ready(std::path::PathBuf);

impl Ready {
    fn new(name: &str) -> Ready {
        Ready(std::env::temp_dir().join(format!("bursar-ready-{}-{name}", std::process::id())))
    }

    /// What a shell says.
    fn say(&self) -> String {
        format!("echo ready >> {}", self.0.display())
    }

    /// How many have said so.
    fn said(&self) -> usize {
        std::fs::read_to_string(&self.0).unwrap_or_default().lines().count()
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        // There is none if nobody was ready.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Waits until something is true.
fn eventually(what: &str, mut is: impl FnMut() -> bool) {
    let since = Instant::now();
    while !is() {
        assert!(since.elapsed() < LONG, "{what}");
        sleep(Duration::from_millis(10));
    }
}

/// Takes a cell back and returns the evidence.
fn take_back(cell: Cell, grace: Duration) -> String {
    let mut reclaim = Reclaim::begin(cell, grace);
    let since = Instant::now();
    loop {
        match reclaim.advance() {
            Progress::Proved(proof) => return proof.evidence,
            Progress::Pending => assert!(since.elapsed() < LONG, "it does not come back"),
            Progress::Stuck(why) => panic!("{why}"),
        }
        sleep(Duration::from_millis(5));
    }
}
