//! The metrics' thread: asks each one every few seconds and keeps what it says in rings.
use super::{beside::Beside, clock::Clock};
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
/// Names of samples of which it is remembered who measured them: as many as rings are kept of.
const SOURCES_MAX: usize = 1024;

/// Which metric measured what.
#[derive(Debug, Default)]
pub struct Sources(Mutex<BTreeMap<String, String>>);

impl Sources {
    /// The metric that measured this last.
    pub fn of(&self, sample: &str) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(sample).cloned()
    }

    fn remember(&self, sample: &str, metric: &str) {
        let mut sources = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if sources.get(sample).is_some_and(|known| known == metric) {
            return;
        }
        if sources.len() < SOURCES_MAX || sources.contains_key(sample) {
            sources.insert(sample.into(), metric.into());
        }
    }
}

/// Measures until the daemon ends.
pub fn run(
    mut metrics: BTreeMap<String, Box<dyn Metric>>,
    rings: &Mutex<Rings>,
    beside: &Beside,
    clock: &Clock,
    ending: &Arc<AtomicBool>,
) {
    while !ending.load(Ordering::Acquire) {
        beside.metrics.take(&mut metrics);
        for (name, metric) in &mut metrics {
            let mut samples = Vec::new();
            match metric.collect(clock.now(), &mut samples) {
                Ok(()) => {
                    samples.iter().for_each(|sample| beside.sources.remember(&sample.name, name));
                    rings.lock().unwrap_or_else(PoisonError::into_inner).observe(samples);
                }
                Err(fault) => tracing::warn!(metric = name, %fault, "nothing was measured"),
            }
        }
        std::thread::park_timeout(EVERY);
    }
}
