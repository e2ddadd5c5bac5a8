//! The watchdog over inline calls: one that never returns cannot be ended, so the daemon is, and
//! comes back with that plugin in a child.
use std::{
    path::PathBuf,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long an inline call may take before the daemon is ended.
pub const INLINE_MAX: Duration = Duration::from_secs(1);

/// Watches one thread's inline calls.
#[derive(Debug)]
pub(crate) struct Watchdog {
    start: Instant,
    /// Nanoseconds after `start` at which the running call was entered; 0 for none.
    entered: AtomicU64,
    /// sha256 of the library whose call is running.
    who: Mutex<String>,
    /// Where the library of a call that hangs is written down.
    suspects: PathBuf,
    /// Done with the first call: where no library is inline there is nothing to watch, and nobody wakes up for it.
    begun: Once,
}

impl Watchdog {
    /// Watches from the first call on; the library of one that hangs is written to `suspects`.
    pub(crate) fn start(suspects: PathBuf) -> Arc<Watchdog> {
        Arc::new(Watchdog {
            start: Instant::now(),
            entered: AtomicU64::new(0),
            who: Mutex::default(),
            suspects,
            begun: Once::new(),
        })
    }

    fn begin(self: &Arc<Watchdog>) {
        let watched = Arc::downgrade(self);
        let watch = move || {
            while let Some(watchdog) = watched.upgrade() {
                if watchdog.hangs() {
                    watchdog.end();
                }
                drop(watchdog);
                std::thread::sleep(INLINE_MAX / 4);
            }
        };
        // Without a thread for it, calls are not watched; the daemon works all the same.
        if let Err(error) = std::thread::Builder::new().name("watchdog".into()).spawn(watch) {
            tracing::warn!(%error, "inline plugins are not watched");
        }
    }

    /// Runs a call under watch, and says how long it took.
    pub(crate) fn watch<R>(self: &Arc<Watchdog>, sha256: &str, call: impl FnOnce() -> R) -> (R, Duration) {
        self.begun.call_once(|| self.begin());
        {
            let mut who = self.who.lock().unwrap_or_else(PoisonError::into_inner);
            if *who != sha256 {
                who.clear();
                who.push_str(sha256);
            }
        }
        let entered = self.start.elapsed();
        self.entered.store(entered.as_nanos() as u64 | 1, Ordering::Release);
        let result = call();
        self.entered.store(0, Ordering::Release);
        (result, self.start.elapsed() - entered)
    }

    fn hangs(&self) -> bool {
        let entered = self.entered.load(Ordering::Acquire);
        entered != 0 && self.start.elapsed().saturating_sub(Duration::from_nanos(entered)) > INLINE_MAX
    }

    fn end(&self) {
        let who = self.who.lock().unwrap_or_else(PoisonError::into_inner).clone();
        tracing::error!(
            library = who,
            "an inline plugin hangs: the daemon ends and comes back with it in a child"
        );
        let known = std::fs::read_to_string(&self.suspects).unwrap_or_default();
        // If it cannot be written down, the restarted daemon finds out again.
        let _ = std::fs::write(&self.suspects, format!("{known}{who}\n"));
        std::process::abort();
    }
}
