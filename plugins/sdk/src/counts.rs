//! What a plugin counts of itself with the macros of `metrics`: kept by plugin and name, and read by the host.
use crate::bridge;
use bursar_interface::bound::NAME_BYTES_MAX;
use metrics::{
    Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit,
    atomics::AtomicU64,
};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

/// Names that are kept, of all plugins of a library together; what is counted under further ones is lost.
pub const COUNTS_MAX: usize = 256;

/// By plugin and name.
type Table = BTreeMap<(String, String), Count>;

static TABLE: Mutex<Table> = Mutex::new(BTreeMap::new());

/// One name.
#[derive(Clone)]
enum Count {
    /// Rises.
    Counter(Arc<AtomicU64>),
    /// Rises and falls: the bits of a float.
    Gauge(Arc<AtomicU64>),
    /// How often, and how much in all.
    Histogram(Arc<Spread>),
}

#[derive(Default)]
struct Spread(Mutex<(u64, f64)>);

impl Spread {
    fn sums(&self) -> MutexGuard<'_, (u64, f64)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistogramFn for Spread {
    fn record(&self, value: f64) {
        let mut sums = self.sums();
        *sums = (sums.0.saturating_add(1), sums.1 + value);
    }
}

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// From here on what this library counts is kept. One that has a recorder of its own keeps that.
pub(crate) fn install() {
    let _ = metrics::set_global_recorder(ToTable);
}

/// Every name with its value now, by plugin: what was counted outside of a plugin's calls stands under its crate. A
/// histogram is two names, `_count` and `_sum`.
pub fn counted() -> Vec<(String, String, f64)> {
    let mut all = Vec::new();
    for ((plugin, name), count) in &*table() {
        let mut tell = |name: String, value: f64| all.push((plugin.clone(), name, value));
        match count {
            Count::Counter(cell) => tell(name.clone(), cell.load(Ordering::Relaxed) as f64),
            Count::Gauge(cell) => tell(name.clone(), f64::from_bits(cell.load(Ordering::Relaxed))),
            Count::Histogram(spread) => {
                let (count, sum) = *spread.sums();
                tell(format!("{name}_count"), count as f64);
                tell(format!("{name}_sum"), sum);
            }
        }
    }
    all
}

/// The name of a key with its labels, as `name{label="value"}`.
fn named(key: &Key) -> String {
    let labels: Vec<String> =
        key.labels().map(|label| format!("{}={:?}", label.key(), label.value())).collect();
    match labels.is_empty() {
        true => key.name().to_owned(),
        false => format!("{}{{{}}}", key.name(), labels.join(",")),
    }
}

/// The count of a key as the plugin whose call this thread carries out; `None` where there is no room for it.
fn find(key: &Key, metadata: &Metadata<'_>, make: impl FnOnce() -> Count) -> Option<Count> {
    let name = named(key);
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    let mut table = table();
    let known = table.len();
    match table.entry((bridge::who(metadata.target()).to_owned(), name)) {
        std::collections::btree_map::Entry::Occupied(there) => Some(there.get().clone()),
        std::collections::btree_map::Entry::Vacant(free) => {
            (known < COUNTS_MAX).then(|| free.insert(make()).clone())
        }
    }
}

struct ToTable;

impl Recorder for ToTable {
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, metadata: &Metadata<'_>) -> Counter {
        match find(key, metadata, || Count::Counter(Arc::default())) {
            Some(Count::Counter(cell)) => Counter::from_arc(cell),
            _ => Counter::noop(),
        }
    }

    fn register_gauge(&self, key: &Key, metadata: &Metadata<'_>) -> Gauge {
        match find(key, metadata, || Count::Gauge(Arc::default())) {
            Some(Count::Gauge(cell)) => Gauge::from_arc(cell),
            _ => Gauge::noop(),
        }
    }

    fn register_histogram(&self, key: &Key, metadata: &Metadata<'_>) -> Histogram {
        match find(key, metadata, || Count::Histogram(Arc::default())) {
            Some(Count::Histogram(spread)) => Histogram::from_arc(spread),
            _ => Histogram::noop(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram};

    fn value(plugin: &str, name: &str) -> Option<f64> {
        counted().into_iter().find(|(of, known, _)| of == plugin && known == name).map(|(_, _, value)| value)
    }

    #[test]
    fn what_is_counted_stands_under_whoever_counts_and_there_is_an_end_to_names() {
        install();
        {
            let _speaking = bridge::speak_as("one");
            counter!("calls").increment(2);
            counter!("calls").increment(1);
            counter!("calls", "kind" => "odd").increment(5);
            gauge!("room").set(2.5);
            histogram!("took_seconds").record(0.25);
            histogram!("took_seconds").record(0.5);
            // One name is of one sort.
            gauge!("calls").set(99.0);
            counter!("x".repeat(NAME_BYTES_MAX + 1)).increment(1);
        }
        counter!("calls").increment(7);
        assert_eq!((value("one", "calls"), value("one", "room")), (Some(3.0), Some(2.5)));
        assert_eq!(value("one", "calls{kind=\"odd\"}"), Some(5.0));
        assert_eq!(
            (value("one", "took_seconds_count"), value("one", "took_seconds_sum")),
            (Some(2.0), Some(0.75))
        );
        assert_eq!(value("bursar_sdk::counts::tests", "calls"), Some(7.0));
        assert!(counted().iter().all(|(_, name, _)| !name.contains('x')));
        (0..2 * COUNTS_MAX).for_each(|number| counter!(format!("n{number}")).increment(1));
        assert!(table().len() == COUNTS_MAX && value("one", "calls") == Some(3.0));
    }
}
