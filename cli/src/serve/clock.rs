//! Time for the engine: it moves with boot time, suspend included, and never with the wall clock.
use bursar_interface::Time;
use std::time::{SystemTime, UNIX_EPOCH};

/// Engine time, anchored at the start of the daemon.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Time,
    boottime_ns: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl Clock {
    /// A clock that reads `start` at `boottime_ns`.
    pub fn new(start: Time, boottime_ns: u64, boot: String) -> Clock {
        Clock { start, boottime_ns, boot }
    }

    /// Now.
    pub fn now(&self) -> Time {
        self.start.after(boottime_ns().saturating_sub(self.boottime_ns))
    }

    /// Milliseconds of wall time since 1970 at an engine time, for display only: reckoned from now.
    pub fn wall_ms(&self, at: Time) -> i64 {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as i64);
        now + (at.0 as i128 - self.now().0 as i128).clamp(i64::MIN.into(), i64::MAX.into()) as i64 / 1_000_000
    }
}

/// Nanoseconds since this machine was started, suspend included.
pub fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
