//! Time for the engine: it moves with boot time, suspend included, and never with the wall clock.
use bursar_interface::Time;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// How far the wall clock may drift from what was reckoned before it is looked at anew, in nanoseconds.
const DRIFT_NS: u64 = 20_000_000;

/// Engine time, anchored at the start of the daemon.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Time,
    boottime_ns: u64,
    /// How far the wall clock is ahead of engine time, in nanoseconds.
    lead: Arc<AtomicI64>,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

impl Clock {
    /// A clock that reads `start` at `boottime_ns`.
    pub fn new(start: Time, boottime_ns: u64, boot: String) -> Clock {
        Clock { start, boottime_ns, lead: Arc::default(), boot }
    }

    /// Now.
    pub fn now(&self) -> Time {
        self.start.after(boottime_ns().saturating_sub(self.boottime_ns))
    }

    /// Milliseconds of wall time since 1970 at an engine time, for display only: reckoned from now, and the same
    /// each time it is asked for unless the wall clock was set meanwhile, or drifted.
    pub fn wall_ms(&self, at: Time) -> i64 {
        let before = self.now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let (now, known) = (wall.saturating_sub(before.0 as i64), self.lead.load(Ordering::Relaxed));
        // Whoever was held up between the two clocks knows nothing.
        let sure = known == 0 || self.now().0 - before.0 < DRIFT_NS / 2;
        let lead = if sure && now.abs_diff(known) > DRIFT_NS { now } else { known };
        self.lead.store(lead, Ordering::Relaxed);
        let ms = (i128::from(at.0) + i128::from(lead)).div_euclid(1_000_000);
        ms.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// Nanoseconds since this machine was started, suspend included.
pub fn boottime_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_the_same_wall_time_each_time_it_is_looked_at() {
        let clock = Clock::new(Time(7_000_000_123), boottime_ns(), String::new());
        let first = clock.wall_ms(Time(7_000_000_500));
        for _ in 0..10_000 {
            assert_eq!(clock.wall_ms(Time(7_000_000_500)), first);
        }
        clock.lead.fetch_add(3_600_000_000_000, Ordering::Relaxed);
        assert!(clock.wall_ms(Time(7_000_000_500)).abs_diff(first) < 100, "the clock was set");
    }
}
