//! One lease, look by look: its peak and its mean, how fast it goes, and whether it leaks.
use crate::{Leak, Share, Spread};
use bursar_interface::{Gauge, Time, Usage};

/// One part in so many of a core is what a process that waits in a loop may compute and still be still.
const STILL: u64 = 2000;
/// A lease came up to its limit if no more than one part in so many was left of it.
const FULL: u64 = 50;

/// What is known of a lease that is looked at now and then.
#[derive(Clone, Debug, Default)]
pub struct Followed {
    /// The first and the newest look, and when.
    first: Option<Time>,
    newest: Option<(Time, Gauge)>,
    before: Option<(Time, Gauge)>,
    memory_peak: Option<u64>,
    pids_peak: Option<u64>,
    /// Bytes times nanoseconds between the looks at which memory was known, and those nanoseconds.
    memory_time: (u128, u64),
    still: Option<Time>,
    leak: Leak,
    /// Memory that cannot simply be dropped.
    kept: Spread,
}

impl Followed {
    /// Takes a look in. Looks come in the order of time.
    pub fn look(&mut self, at: Time, gauge: Gauge) {
        self.first.get_or_insert(at);
        self.memory_peak = self.memory_peak.max(gauge.memory_peak).max(gauge.memory);
        self.pids_peak = self.pids_peak.max(gauge.pids);
        if let (Some((before, old)), Some(new)) = (self.newest, gauge.memory)
            && let Some(old) = old.memory
        {
            let passed = at.0.saturating_sub(before.0);
            // As if it had gone straight from the one to the other.
            self.memory_time.0 += (u128::from(old) + u128::from(new)) * u128::from(passed) / 2;
            self.memory_time.1 += passed;
        }
        if let Some(anonymous) = gauge.anonymous {
            self.leak.look(at, anonymous);
            self.kept.look(anonymous);
        }
        self.still = self.newest.and_then(|(before, old)| {
            let passed = at.0.saturating_sub(before.0);
            let computed = gauge.cpu_ns?.saturating_sub(old.cpu_ns?) > passed / STILL;
            let moved = gauge.io_read != old.io_read || gauge.io_write != old.io_write;
            (!computed && !moved).then_some(self.still.unwrap_or(before))
        });
        self.before = self.newest.replace((at, gauge));
    }

    /// How long it has been looked at, in nanoseconds.
    pub fn seen_for(&self, now: Time) -> u64 {
        self.first.map_or(0, |first| now.0.saturating_sub(first.0))
    }

    /// The newest look.
    pub fn newest(&self) -> Option<&Gauge> {
        self.newest.as_ref().map(|(_, gauge)| gauge)
    }

    /// Processor time between the last two looks, in thousandths of a core.
    pub fn cpu_milli(&self) -> Option<u64> {
        let ((before, old), (at, new)) = (self.before.as_ref()?, self.newest.as_ref()?);
        let passed = at.0.checked_sub(before.0).filter(|&passed| passed > 0)?;
        let used = new.cpu_ns?.saturating_sub(old.cpu_ns?);
        Some((u128::from(used) * 1000 / u128::from(passed)) as u64)
    }

    /// Since when it has neither computed nor read nor written, as far as there are counters for it; `None` while
    /// it does, and where its processor time is not known.
    pub fn still_since(&self) -> Option<Time> {
        self.still
    }

    /// Bytes a second by which it grows and does not stop, if it does.
    pub fn leaks(&self) -> Option<u64> {
        self.leak.slope()
    }

    /// What it uses of the memory that it asked for; its mean only once it has been looked at for `young_ns`, unless
    /// it is over. One that came up to its limit is not known to have needed no more: it counts with all it asked for.
    pub fn share(&self, asked: u64, young_ns: u64, over: bool) -> Share {
        let seen_ns = self.newest.map_or(0, |(at, _)| self.seen_for(at));
        let known = (over || seen_ns >= young_ns) && self.kept.looks() > 0;
        if known && self.kept.peak() >= asked - asked / FULL {
            return Share { asked, mean: Some(asked), deviation: 0, peak: asked };
        }
        let mean = self.kept.mean().filter(|_| known);
        Share { asked, mean, deviation: self.kept.deviation(), peak: self.kept.peak() }
    }

    /// All of it up to now, of a lease that lived `wall_ns`; `last` is a look at its very end, if there was one.
    pub fn usage(&self, wall_ns: u64, last: Option<Gauge>) -> Usage {
        let newest = self.newest.map(|(_, gauge)| gauge).unwrap_or_default();
        let last = last.unwrap_or(newest);
        let (bytes_ns, known_ns) = self.memory_time;
        Usage {
            wall_ns,
            cpu_ns: last.cpu_ns.or(newest.cpu_ns),
            memory_peak: self.memory_peak.max(last.memory_peak),
            memory_mean: bytes_ns.checked_div(u128::from(known_ns)).map(|mean| mean as u64),
            io_read: last.io_read.or(newest.io_read),
            io_write: last.io_write.or(newest.io_write),
            pids_peak: self.pids_peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn gauge(cpu_ns: u64, memory: u64) -> Gauge {
        Gauge { cpu_ns: Some(cpu_ns), memory: Some(memory), pids: Some(memory / 10), ..Gauge::default() }
    }

    #[test]
    fn a_share_is_known_after_a_while_and_one_that_was_held_back_counts_with_all() {
        let mut followed = Followed::default();
        let look = |anonymous| Gauge { anonymous: Some(anonymous), ..Gauge::default() };
        assert_eq!(followed.share(100, 0, true).mean, None, "it was never looked at");
        followed.look(Time(0), look(10));
        followed.look(Time(SECOND), look(30));
        let young = followed.share(100, 5 * SECOND, false);
        assert_eq!((young.mean, young.peak), (None, 30));
        assert_eq!(followed.share(100, 5 * SECOND, true).mean, Some(20));
        assert_eq!(followed.share(30, SECOND, false).mean, Some(30), "it may have needed more");
    }

    #[test]
    fn a_mean_is_over_time_and_not_over_looks() {
        let mut followed = Followed::default();
        assert_eq!(followed.usage(5, None), Usage { wall_ns: 5, ..Usage::default() }, "nothing is known yet");
        followed.look(Time(0), gauge(0, 100));
        followed.look(Time(SECOND), gauge(SECOND / 2, 100));
        followed.look(Time(4 * SECOND), gauge(SECOND / 2, 20));
        assert_eq!(followed.cpu_milli(), Some(0));
        assert_eq!(followed.still_since(), Some(Time(SECOND)), "it computes no more");
        let last = Gauge { cpu_ns: Some(SECOND), memory_peak: Some(300), ..Gauge::default() };
        let usage = followed.usage(9, Some(last));
        // A second at 100, then three from 100 down to 20.
        assert_eq!((usage.memory_mean, usage.memory_peak), (Some((100 + 3 * 60) / 4), Some(300)));
        assert_eq!((usage.cpu_ns, usage.pids_peak, usage.io_read), (Some(SECOND), Some(10), None));
    }
}
