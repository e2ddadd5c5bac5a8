//! Analyzer plugin `detect-deadlock`: those who wait for each other, and none of whom will go on.
#![deny(unsafe_code)]
use bursar_monitor::{CircleLimits, Circles};
use bursar_sdk::prelude::*;

/// When it says something.
#[config]
pub struct Settings {
    /// How long nothing must have moved in a circle that rests on scopes, in milliseconds.
    pub patience_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { patience_ms: CircleLimits::default().patience_ns / 1_000_000 }
    }
}

/// Looks for circles of waiting.
pub struct DetectDeadlock(Circles);

impl From<Settings> for DetectDeadlock {
    fn from(Settings { patience_ms }: Settings) -> DetectDeadlock {
        DetectDeadlock(Circles::new(CircleLimits { patience_ns: patience_ms.saturating_mul(1_000_000) }))
    }
}

#[plugin(config = Settings)]
impl Analyzer for DetectDeadlock {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        self.0.report(sight, findings)
    }
}
