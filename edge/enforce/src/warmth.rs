//! Keeps the way into control groups warm while commands keep coming.
//!
//! The first process that is moved into a control group after a quiet while waits for a grace period of
//! the kernel (a `percpu_rw_semaphore` leaves its readers' fast path), 6 to 15 ms. The kernel goes back
//! to fast readers one grace period after the last move; a move before that waits for nothing. So this
//! process moves itself, into the group where it is already, every few milliseconds as long as processes
//! were attached a moment ago. On an idle machine it does nothing.
use crate::Hierarchy;
use std::{
    fs::File,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// Between two moves: shorter than a grace period. A move takes about 30 us of processor time.
pub const STIR_EVERY: Duration = Duration::from_millis(4);
/// How long after the last process was attached it goes on.
const WARM_FOR: Duration = Duration::from_secs(1);

/// How long ago a process was attached, and what keeps the next one from waiting.
#[derive(Debug)]
pub struct Warmth {
    hierarchy: Arc<Hierarchy>,
    procs: Option<File>,
    until: Option<Instant>,
    stirred: Instant,
}

impl Warmth {
    /// Cold at first.
    pub fn new(hierarchy: Arc<Hierarchy>) -> Warmth {
        Warmth { hierarchy, procs: None, until: None, stirred: Instant::now() }
    }

    /// A process was attached: others may follow.
    pub fn attached(&mut self) {
        let now = Instant::now();
        if self.until.is_none() {
            self.procs = self.hierarchy.own_procs();
        }
        self.until = Some(now + WARM_FOR).filter(|_| self.procs.is_some());
        self.stirred = now;
    }

    /// Moves this process to where it is, if it is time to; to be called about every [`STIR_EVERY`] as
    /// long as this is warm.
    pub fn stir(&mut self) {
        let (Some(until), Some(procs)) = (self.until, &mut self.procs) else { return };
        let now = Instant::now();
        if now >= until {
            (self.until, self.procs) = (None, None);
        } else if now.duration_since(self.stirred) >= STIR_EVERY {
            // What cannot be kept warm is cold, and no more than that.
            let _ = procs.write_all(std::process::id().to_string().as_bytes());
            self.stirred = Instant::now();
        }
    }

    /// Whether it has to be stirred.
    pub fn is_warm(&self) -> bool {
        self.until.is_some()
    }
}
