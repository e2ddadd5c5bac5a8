//! What leases use and have used, as documents. What was not measured is null.
use crate::text::{Digits, MaybeDigits};
use bursar_interface::{Gauge, Spent, Sum, Usage};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What one lease uses, or used until it ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UsageRow {
    /// Since its first process, in milliseconds.
    pub wall_ms: u64,
    /// Processor time, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// Processor time of late, in thousandths of a core; null once it has ended.
    pub cpu_milli: Option<u64>,
    /// Memory now, in bytes; null once it has ended.
    #[serde(with = "MaybeDigits")]
    pub memory_bytes: Option<u64>,
    /// The most memory at a time, in bytes.
    #[serde(with = "MaybeDigits")]
    pub memory_peak_bytes: Option<u64>,
    /// Memory on average over time, in bytes.
    #[serde(with = "MaybeDigits")]
    pub memory_mean_bytes: Option<u64>,
    /// Read from disks, in bytes.
    #[serde(with = "MaybeDigits")]
    pub io_read_bytes: Option<u64>,
    /// Written to disks, in bytes.
    #[serde(with = "MaybeDigits")]
    pub io_write_bytes: Option<u64>,
    /// Processes and threads now; null once it has ended.
    pub processes: Option<u64>,
    /// The most processes and threads that were seen at a time.
    pub processes_peak: Option<u64>,
    /// Of the last ten seconds, in how many thousandths something in it waited for memory.
    pub memory_pressure_milli: Option<u64>,
    /// Bytes a second by which it grows evenly, where it leaks.
    #[serde(with = "MaybeDigits", default)]
    pub leak_bytes_per_second: Option<u64>,
}

impl UsageRow {
    /// What a lease used that is gone.
    pub fn ended(usage: &Usage) -> UsageRow {
        UsageRow {
            wall_ms: usage.wall_ns / 1_000_000,
            cpu_ms: usage.cpu_ns.map(|ns| ns / 1_000_000),
            memory_peak_bytes: usage.memory_peak,
            memory_mean_bytes: usage.memory_mean,
            io_read_bytes: usage.io_read,
            io_write_bytes: usage.io_write,
            processes_peak: usage.pids_peak,
            ..UsageRow::default()
        }
    }

    /// What a lease used so far, and what it uses now.
    pub fn live(usage: &Usage, now: &Gauge, cpu_milli: Option<u64>, leaks: Option<u64>) -> UsageRow {
        UsageRow {
            cpu_milli,
            leak_bytes_per_second: leaks,
            memory_bytes: now.memory,
            processes: now.pids,
            memory_pressure_milli: now.memory_pressure_milli,
            ..UsageRow::ended(usage)
        }
    }
}

/// What the leases of a scope and of all below it use and used.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SpentRow {
    /// Leases that had processes, those that have them now included.
    #[serde(with = "Digits")]
    pub leases: u64,
    /// How long they lived, together, in milliseconds.
    #[serde(with = "Digits")]
    pub wall_ms: u64,
    /// Processor time, in milliseconds.
    #[serde(with = "Digits")]
    pub cpu_ms: u64,
    /// Memory over time, in bytes times seconds.
    #[serde(with = "Digits")]
    pub memory_byte_seconds: u64,
    /// The most that one of them had at a time, in bytes.
    #[serde(with = "MaybeDigits")]
    pub memory_peak_bytes: Option<u64>,
    /// Read from disks, in bytes.
    #[serde(with = "Digits")]
    pub io_read_bytes: u64,
    /// Written to disks, in bytes.
    #[serde(with = "Digits")]
    pub io_write_bytes: u64,
    /// Of how many of the leases each was not measured: they are missing from the sums.
    pub unknown: UnknownRow,
}

/// Of how many leases something was not measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct UnknownRow {
    /// Processor time.
    pub cpu: u64,
    /// Memory over time.
    pub memory: u64,
    /// What was read and written.
    pub io: u64,
}

impl From<&Spent> for SpentRow {
    fn from(spent: &Spent) -> SpentRow {
        let Spent { cpu_ns, memory_byte_ms, io_read, io_write, .. } = *spent;
        let known = |sum: Sum| sum.known;
        SpentRow {
            leases: spent.leases,
            wall_ms: spent.wall_ns / 1_000_000,
            cpu_ms: known(cpu_ns) / 1_000_000,
            memory_byte_seconds: known(memory_byte_ms) / 1000,
            memory_peak_bytes: spent.memory_peak,
            io_read_bytes: known(io_read),
            io_write_bytes: known(io_write),
            unknown: UnknownRow {
                cpu: cpu_ns.unknown,
                memory: memory_byte_ms.unknown,
                io: io_read.unknown.max(io_write.unknown),
            },
        }
    }
}
