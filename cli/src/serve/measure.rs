//! The metrics' thread: asks each one every few seconds and keeps what it says in rings.
use super::clock::Clock;
use bursar_interface::Metric;
use bursar_monitor::Rings;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

/// Between two looks.
pub const EVERY: Duration = Duration::from_secs(5);
/// Samples kept per name: an hour.
pub const KEPT: usize = 720;

/// Measures until the daemon ends.
pub fn run(
    mut metrics: BTreeMap<String, Box<dyn Metric>>,
    rings: &Mutex<Rings>,
    clock: &Clock,
    ending: &Arc<AtomicBool>,
) {
    while !ending.load(Ordering::Acquire) {
        for (name, metric) in &mut metrics {
            let mut samples = Vec::new();
            match metric.collect(clock.now(), &mut samples) {
                Ok(()) => rings.lock().unwrap_or_else(PoisonError::into_inner).observe(samples),
                Err(fault) => tracing::warn!(metric = name, %fault, "nothing was measured"),
            }
        }
        std::thread::park_timeout(EVERY);
    }
}
