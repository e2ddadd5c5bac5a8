//! Time for the engine: it moves with boot time, suspend included, and never with the wall clock.
use bursar_interface::Time;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// How far the wall clock may drift from what was reckoned before it is looked at anew, in nanoseconds.
const DRIFT_NS: u64 = 20_000_000;
/// How long what was found of it is taken for true, in nanoseconds.
const LOOK_NS: u64 = 100_000_000;

/// Engine time, anchored at the start of the daemon.
#[derive(Clone, Debug)]
pub struct Clock {
    start: Time,
    boottime_ns: u64,
    lead: Arc<Lead>,
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
        let lead = self.lead.at(self.now(), || self.now());
        let ms = (i128::from(at.0) + i128::from(lead)).div_euclid(1_000_000);
        ms.clamp(i64::MIN.into(), i64::MAX.into()) as i64
    }
}

/// How far the wall clock is ahead of engine time.
#[derive(Debug, Default)]
struct Lead {
    ns: AtomicI64,
    /// When that was looked at.
    looked_at: AtomicU64,
}

impl Lead {
    fn at(&self, now: Time, again: impl Fn() -> Time) -> i64 {
        let (known, looked_at) = (self.ns.load(Ordering::Relaxed), self.looked_at.load(Ordering::Relaxed));
        if looked_at > 0 && now.0.saturating_sub(looked_at) < LOOK_NS {
            return known;
        }
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as i64);
        let lead = wall.saturating_sub(now.0 as i64);
        // Whoever was held up between the two clocks knows nothing.
        let sure = looked_at == 0 || again().0.saturating_sub(now.0) < DRIFT_NS / 2;
        let lead = if sure && lead.abs_diff(known) > DRIFT_NS { lead } else { known };
        self.ns.store(lead, Ordering::Relaxed);
        self.looked_at.store(now.0, Ordering::Relaxed);
        lead
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
        // As if the wall clock had been set back by an hour.
        clock.lead.ns.fetch_add(3_600_000_000_000, Ordering::Relaxed);
        clock.lead.looked_at.store(1, Ordering::Relaxed);
        assert!(clock.wall_ms(Time(7_000_000_500)).abs_diff(first) < 100, "it was set");
    }
}
