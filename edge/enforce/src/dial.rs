//! A lease that is looked at again and again, for little: its counters stay open, and what costs more is read only
//! when its memory has moved, or when it is its turn to be looked at all over.
use crate::{
    Cell,
    counter::{COUNTER_BYTES_MAX, Counter},
};
use bursar_interface::{Gauge, Process};

/// Bytes by which its memory has to move until it is worth a look at what that is made of.
const MOVED: u64 = 64 << 10;

/// How a cell's processor time is written.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// A number of nanoseconds.
    Nanoseconds,
    /// `usage_usec` among others.
    Keyed,
}

/// A cell's counters.
#[derive(Debug)]
struct Counters {
    cpu: Option<(Counter, Clock)>,
    /// All of its memory, what that is made of, and the word there for memory that cannot be dropped.
    memory: Option<(Counter, Counter, &'static str)>,
}

/// A cell that is looked at again and again.
#[derive(Debug)]
pub struct Dial {
    cell: Cell,
    counters: Counters,
    stays: bool,
    last: Gauge,
    /// Its memory when it was last looked at what that is made of.
    known: Option<u64>,
}

impl Dial {
    /// Files that one keeps open.
    pub const FILES: usize = 3;

    /// A dial for a cell; whether its files `stay` open.
    pub fn new(cell: Cell, stays: bool) -> Dial {
        Dial { counters: Counters::of(&cell, stays), cell, stays, last: Gauge::default(), known: None }
    }

    /// Whether its files stay open.
    pub fn stays(&self) -> bool {
        self.stays
    }

    /// Its attached processes; only needed where there are no groups.
    pub fn remember(&mut self, bodies: &[Process]) {
        bodies.iter().for_each(|body| self.cell.remember(body));
    }

    /// Looks: `all` over, or only at what moves fast; the rest is as it was then.
    pub fn look(&mut self, all: bool) -> Gauge {
        if all {
            self.last = self.cell.gauge();
            self.known = self.last.memory;
            // Groups may have come that were not there before.
            if self.counters.is_partial() {
                self.counters = Counters::of(&self.cell, self.stays);
            }
            return self.last;
        }
        if let Some((counter, clock)) = &mut self.counters.cpu {
            self.last.cpu_ns = match clock {
                Clock::Nanoseconds => counter.number(),
                Clock::Keyed => {
                    let buffer = &mut [0; COUNTER_BYTES_MAX];
                    counter.keyed("usage_usec", buffer).map(|us| us.saturating_mul(1000))
                }
            };
        }
        if let Some((memory, stat, key)) = &mut self.counters.memory {
            let now = memory.number();
            self.last.memory = now;
            self.last.memory_peak = self.last.memory_peak.max(now);
            let moved = now.zip(self.known).is_none_or(|(now, known)| now.abs_diff(known) >= MOVED);
            if moved {
                self.last.anonymous = stat.keyed(key, &mut [0; COUNTER_BYTES_MAX]);
                self.known = now;
            }
        }
        self.last
    }
}

impl Counters {
    /// Those that there are.
    fn of(cell: &Cell, stays: bool) -> Counters {
        let counter = |path: std::path::PathBuf| Counter::new(path, stays);
        let v1 = |name: &str, file: &str| cell.v1_group(name).filter(|group| group.has(file));
        let cpu = match v1("cpuacct", "cpuacct.usage") {
            Some(group) => Some((counter(group.0.join("cpuacct.usage")), Clock::Nanoseconds)),
            None => {
                let v2 = cell.v2.as_ref().filter(|group| group.has("cpu.stat"));
                v2.map(|group| (counter(group.0.join("cpu.stat")), Clock::Keyed))
            }
        };
        let of = |group: &crate::groups::Group, usage: &str, key| {
            (counter(group.0.join(usage)), counter(group.0.join("memory.stat")), key)
        };
        let memory = match cell.v2_group("memory") {
            Some(group) => Some(of(group, "memory.current", "anon")),
            None => v1("memory", "memory.usage_in_bytes")
                .map(|group| of(group, "memory.usage_in_bytes", "total_rss")),
        };
        Counters { cpu, memory }
    }

    fn is_partial(&self) -> bool {
        self.cpu.is_none() || self.memory.is_none()
    }
}
