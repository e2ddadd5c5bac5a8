//! What a lease used over its life, as the kernel measured it. What could not be measured is `None`, never 0.
use serde::{Deserialize, Serialize};

/// What a lease uses at one moment, as the kernel counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Gauge {
    /// Processor time so far, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// Memory, in bytes, with what the kernel keeps of files for it.
    pub memory: Option<u64>,
    /// Memory that is no file's, in bytes: what cannot be dropped.
    pub anonymous: Option<u64>,
    /// The most memory so far, in bytes.
    pub memory_peak: Option<u64>,
    /// Read from disks so far, in bytes.
    pub io_read: Option<u64>,
    /// Written to disks so far, in bytes.
    pub io_write: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Share of the last ten seconds in which something in it waited for memory, in thousandths.
    pub memory_pressure_milli: Option<u64>,
}

/// What one lease used from its first process to its last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// From the first process to the end, in nanoseconds.
    pub wall_ns: u64,
    /// Processor time, in nanoseconds.
    pub cpu_ns: Option<u64>,
    /// The most memory at a time, in bytes.
    pub memory_peak: Option<u64>,
    /// Memory on average over time, in bytes.
    pub memory_mean: Option<u64>,
    /// Read from disks, in bytes.
    pub io_read: Option<u64>,
    /// Written to disks, in bytes.
    pub io_write: Option<u64>,
    /// The most processes and threads that were seen at a time.
    pub pids_peak: Option<u64>,
}

/// Amounts added up, and how many of them were not known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    /// The known ones together.
    pub known: u64,
    /// How many were not.
    pub unknown: u64,
}

impl Sum {
    /// Adds one.
    pub fn add(&mut self, amount: Option<u64>) {
        match amount {
            Some(amount) => self.known = self.known.saturating_add(amount),
            None => self.unknown += 1,
        }
    }

    /// Adds another sum.
    pub fn join(&mut self, other: Sum) {
        self.known = self.known.saturating_add(other.known);
        self.unknown = self.unknown.saturating_add(other.unknown);
    }
}

/// What many leases used together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// How many leases.
    pub leases: u64,
    /// How long they lived, together, in nanoseconds.
    pub wall_ns: u64,
    /// Processor time, in nanoseconds.
    pub cpu_ns: Sum,
    /// Memory over time, in bytes times milliseconds.
    pub memory_byte_ms: Sum,
    /// The most memory that one of them had at a time, in bytes.
    pub memory_peak: Option<u64>,
    /// Read from disks, in bytes.
    pub io_read: Sum,
    /// Written to disks, in bytes.
    pub io_write: Sum,
}

impl Spent {
    /// Adds what one lease used.
    pub fn add(&mut self, used: &Usage) {
        let byte_ms = |mean: u64| mean.saturating_mul(used.wall_ns / 1_000_000);
        self.leases += 1;
        self.wall_ns = self.wall_ns.saturating_add(used.wall_ns);
        self.cpu_ns.add(used.cpu_ns);
        self.memory_byte_ms.add(used.memory_mean.map(byte_ms));
        self.memory_peak = self.memory_peak.max(used.memory_peak);
        self.io_read.add(used.io_read);
        self.io_write.add(used.io_write);
    }

    /// Adds what others used.
    pub fn join(&mut self, other: &Spent) {
        self.leases = self.leases.saturating_add(other.leases);
        self.wall_ns = self.wall_ns.saturating_add(other.wall_ns);
        self.cpu_ns.join(other.cpu_ns);
        self.memory_byte_ms.join(other.memory_byte_ms);
        self.memory_peak = self.memory_peak.max(other.memory_peak);
        self.io_read.join(other.io_read);
        self.io_write.join(other.io_write);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_counted_and_not_taken_for_nothing() {
        let known = Usage { wall_ns: 2_000_000, memory_mean: Some(10), cpu_ns: Some(5), ..Usage::default() };
        let mut spent = Spent::default();
        spent.add(&known);
        spent.add(&Usage { cpu_ns: Some(7), memory_peak: Some(3), ..Usage::default() });
        assert_eq!((spent.leases, spent.cpu_ns), (2, Sum { known: 12, unknown: 0 }));
        assert_eq!(spent.memory_byte_ms, Sum { known: 20, unknown: 1 });
        assert_eq!((spent.memory_peak, spent.io_read.unknown), (Some(3), 2));
        let mut both = spent;
        both.join(&spent);
        assert_eq!((both.leases, both.cpu_ns.known, both.io_write.unknown), (4, 24, 4));
    }
}
