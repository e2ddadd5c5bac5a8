//! What a plugin in a child leaves behind: memory, threads, files, lines of log.
use bursar_sdk::COUNTS_MAX;
use std::{
    collections::BTreeMap,
    fs,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
};

/// The traces of one plugin in a child, whichever process it lives in at present.
#[derive(Clone, Debug, Default)]
pub struct Footprint(Arc<Traces>);

#[derive(Debug, Default)]
struct Traces {
    pid: AtomicU32,
    lines: AtomicU64,
    counts: Mutex<BTreeMap<String, f64>>,
}

/// What a child uses at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Its process.
    pub pid: u32,
    /// Bytes of its own that are in memory.
    pub memory_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Files that it has open.
    pub files: u64,
}

impl Footprint {
    pub(crate) fn moved_to(&self, pid: u32) {
        self.0.pid.store(pid, Ordering::Relaxed);
    }

    pub(crate) fn logged(&self) {
        self.0.lines.fetch_add(1, Ordering::Relaxed);
    }

    /// It says that it has counted so much; what it says of further names is lost.
    pub(crate) fn count(&self, name: &str, value: f64) {
        let mut counts = self.0.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() < 2 * COUNTS_MAX || counts.contains_key(name) {
            counts.insert(name.to_owned(), value);
        }
    }

    /// What it says that it has counted.
    pub(crate) fn counted(&self) -> BTreeMap<String, f64> {
        self.0.counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines that it has logged since it was put in its seat.
    pub fn lines(&self) -> u64 {
        self.0.lines.load(Ordering::Relaxed)
    }

    /// What its child uses now; `None` for one that is in no child, or whose child is gone.
    pub fn usage(&self) -> Option<Usage> {
        let pid = Some(self.0.pid.load(Ordering::Relaxed)).filter(|pid| *pid != 0)?;
        let entries = |of: &str| fs::read_dir(format!("/proc/{pid}/{of}")).map(|all| all.count() as u64).ok();
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        // Shared pages are the mirror and the library, which are not its own.
        let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
        let memory_bytes = anonymous.split_whitespace().next()?.parse::<u64>().ok()? * 1024;
        Some(Usage { pid, memory_bytes, threads: entries("task")?, files: entries("fd")? })
    }
}
