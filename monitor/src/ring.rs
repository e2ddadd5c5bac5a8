//! The newest samples of each name, as many as are bounded, and what a stretch of them comes to.
use bursar_interface::{Sample, Time};
use std::collections::{BTreeMap, VecDeque};

/// Names that are kept; samples of further ones are dropped and counted.
const NAMES_MAX: usize = 1024;

/// What a stretch of samples comes to. Samples that are unknown count in `unknown` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Window {
    /// Known samples.
    pub known: usize,
    /// Samples that could not be measured.
    pub unknown: usize,
    /// The newest known value.
    pub last: Option<f64>,
    /// The smallest known value.
    pub min: Option<f64>,
    /// The largest known value.
    pub max: Option<f64>,
    /// The mean of the known values.
    pub mean: Option<f64>,
}

/// Rings of samples by name.
#[derive(Clone, Debug)]
pub struct Rings {
    per_name: usize,
    rings: BTreeMap<String, VecDeque<(Time, Option<f64>)>>,
    dropped: u64,
}

impl Rings {
    /// Rings that keep `per_name` samples each.
    pub fn new(per_name: usize) -> Rings {
        Rings { per_name: per_name.max(1), rings: BTreeMap::new(), dropped: 0 }
    }

    /// Takes samples in. A value that is not finite was not measured.
    pub fn observe(&mut self, samples: impl IntoIterator<Item = Sample>) {
        for Sample { name, at, value } in samples {
            if !self.rings.contains_key(&name) && self.rings.len() >= NAMES_MAX {
                self.dropped += 1;
                continue;
            }
            let ring = self.rings.entry(name).or_default();
            if ring.len() == self.per_name {
                ring.pop_front();
            }
            ring.push_back((at, value.filter(|value| value.is_finite())));
        }
    }

    /// The names there are samples of.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rings.keys().map(String::as_str)
    }

    /// The newest sample of each name.
    pub fn newest(&self) -> impl Iterator<Item = Sample> {
        self.rings.iter().filter_map(|(name, ring)| {
            let &(at, value) = ring.back()?;
            Some(Sample { name: name.clone(), at, value })
        })
    }

    /// Forgets all but the newest of each name, and gives their memory back.
    pub fn keep_newest(&mut self, most: usize) {
        for ring in self.rings.values_mut() {
            ring.drain(..ring.len().saturating_sub(most));
            ring.shrink_to_fit();
        }
    }

    /// Samples dropped because there were too many names.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// What the samples of a name since a point in time come to; all zero where there are none.
    pub fn window(&self, name: &str, since: Time) -> Window {
        let samples = self.rings.get(name).into_iter().flatten().filter(|(at, _)| *at >= since);
        let mut window = Window::default();
        let mut sum = 0.0;
        for value in samples.map(|(_, value)| *value) {
            let Some(value) = value else {
                window.unknown += 1;
                continue;
            };
            window.known += 1;
            window.last = Some(value);
            window.min = Some(window.min.map_or(value, |min| min.min(value)));
            window.max = Some(window.max.map_or(value, |max| max.max(value)));
            sum += value;
        }
        window.mean = (window.known > 0).then(|| sum / window.known as f64);
        window
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(name: &str, at: u64, value: Option<f64>) -> Sample {
        Sample { name: name.into(), at: Time(at), value }
    }

    #[test]
    fn a_window_tells_known_from_unknown() {
        let mut rings = Rings::new(8);
        let values = [Some(1.0), None, Some(3.0), Some(f64::NAN)];
        rings.observe((1..).zip(values).map(|(at, value)| sample("load", at, value)));
        let window = rings.window("load", Time(0));
        assert_eq!((window.known, window.unknown), (2, 2));
        assert_eq!(
            (window.min, window.max, window.last, window.mean),
            (Some(1.0), Some(3.0), Some(3.0), Some(2.0))
        );
        assert_eq!(rings.window("load", Time(3)).mean, Some(3.0));
        assert_eq!(rings.window("other", Time(0)), Window::default());
    }

    #[test]
    fn a_ring_forgets_the_oldest_and_too_many_names_are_dropped() {
        let mut rings = Rings::new(2);
        rings.observe((1..=3).map(|at| sample("x", at, Some(at as f64))));
        assert_eq!(rings.window("x", Time(0)).min, Some(2.0));
        rings.keep_newest(1);
        assert_eq!(rings.window("x", Time(0)).known, 1, "and all but the newest when memory runs short");
        rings.observe((0..NAMES_MAX).map(|i| sample(&i.to_string(), 1, None)));
        assert_eq!((rings.names().count(), rings.dropped()), (NAMES_MAX, 1));
    }
}
