//! Analyzer plugin `detect-queueing`: kinds that are asked for faster than they come back.
#![deny(unsafe_code)]
use bursar_monitor::{Queueing, QueueingLimits};
use bursar_sdk::prelude::*;

/// When it says something.
#[config]
pub struct Settings {
    /// What went by in this time is looked at, in milliseconds.
    pub window_ms: u64,
    /// How busy a kind is, in percent, when those who wait for it are told of.
    pub warning_percent: u32,
    /// The same where it will not get better by itself.
    pub critical_percent: u32,
    /// Leases that must have ended in the window for it to say anything.
    pub ended_min: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        let QueueingLimits { window_ns, warning_percent, critical_percent, ended_min } =
            QueueingLimits::default();
        Settings { window_ms: window_ns / 1_000_000, warning_percent, critical_percent, ended_min }
    }
}

/// Looks for queues.
pub struct DetectQueueing(Queueing);

impl From<Settings> for DetectQueueing {
    fn from(settings: Settings) -> DetectQueueing {
        let Settings { window_ms, warning_percent, critical_percent, ended_min } = settings;
        let window_ns = window_ms.saturating_mul(1_000_000);
        DetectQueueing(Queueing::new(QueueingLimits {
            window_ns,
            warning_percent,
            critical_percent,
            ended_min,
        }))
    }
}

#[plugin(config = Settings)]
impl Analyzer for DetectQueueing {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        self.0.report(sight, findings)
    }
}
