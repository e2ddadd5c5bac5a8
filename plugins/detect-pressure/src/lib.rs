//! Analyzer plugin `detect-pressure`: kinds for want of which work stands still.
#![deny(unsafe_code)]
use bursar_monitor::{Pressure, PressureLimits};
use bursar_sdk::prelude::*;

/// When it says something.
#[config]
pub struct Settings {
    /// Time in which somebody stood still, in percent, from which it is told.
    pub warning_percent: f64,
    /// The same where it matters most.
    pub critical_percent: f64,
    /// Looks in a row for which it must be so, before it is told.
    pub looks: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        let PressureLimits { warning_percent, critical_percent, looks } = PressureLimits::default();
        Settings { warning_percent, critical_percent, looks }
    }
}

/// Looks for pressure.
pub struct DetectPressure(Pressure);

impl From<Settings> for DetectPressure {
    fn from(Settings { warning_percent, critical_percent, looks }: Settings) -> DetectPressure {
        DetectPressure(Pressure::new(PressureLimits { warning_percent, critical_percent, looks }))
    }
}

#[plugin(config = Settings)]
impl Analyzer for DetectPressure {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        self.0.report(sight, findings)
    }
}
