//! How long leases last: a decaying histogram by scope, and how much longer one is likely to last that has
//! lasted for some time already.
//!
//! Buckets grow by a twentieth and what was seen loses half of its weight in a day, as in Autopilot (Rzadca et
//! al., EuroSys 2020). A scope that has been seen too rarely is spoken for by the nearest scope above it.
use bursar_interface::Time;
use std::collections::BTreeMap;

/// Scopes of which durations are kept; the one that was quiet for longest makes room for the next.
const SCOPES_MAX: usize = 512;
/// What must have been seen before a scope speaks for itself: five leases of the last hours that lasted as long.
const ENOUGH: f64 = 4.5;
/// In which what was seen loses half of its weight, in nanoseconds.
const HALF_LIFE_NS: f64 = 86_400e9;
/// Upper end of the first bucket, in nanoseconds: nothing shorter is told apart.
const FIRST_NS: f64 = 1e6;
/// How much wider each bucket is than the one before.
const GROWTH: f64 = 1.05;
/// Buckets: up to two months.
const BUCKETS: usize = 460;
/// Weights are scaled down when a fresh one has grown beyond this.
const WEIGHT_MAX: f64 = 1e12;

/// Durations by scope.
#[derive(Clone, Debug, Default)]
pub struct Lasting {
    scopes: BTreeMap<String, Histogram>,
}

#[derive(Clone, Debug)]
struct Histogram {
    /// Weight by bucket. Fresh ones weigh more and more, instead of old ones less and less.
    weights: Vec<f64>,
    /// When a fresh one weighed one.
    since: Time,
    /// When the newest one came.
    last: Time,
}

impl Lasting {
    /// A lease of the scope ended at `at` after `lasted_ns` nanoseconds.
    pub fn observe(&mut self, scope: &str, at: Time, lasted_ns: u64) {
        for path in upwards(scope) {
            if !self.scopes.contains_key(path) {
                self.make_room();
                self.scopes.insert(path.to_owned(), Histogram::new(at));
            }
            if let Some(histogram) = self.scopes.get_mut(path) {
                histogram.observe(at, lasted_ns);
            }
        }
    }

    fn make_room(&mut self) {
        if self.scopes.len() >= SCOPES_MAX {
            let quietest = self.scopes.iter().min_by_key(|(_, histogram)| histogram.last);
            let quietest = quietest.map(|(path, _)| path.clone());
            quietest.and_then(|path| self.scopes.remove(&path));
        }
    }

    /// How much longer, in nanoseconds, a lease of the scope lasts that has lasted for `so_far_ns`, so that a
    /// part of `quantile` (0 to 1) of such leases has ended by then. `None` where too few have ended, or none
    /// of them has lasted that long.
    pub fn remaining(&self, scope: &str, now: Time, so_far_ns: u64, quantile: f64) -> Option<u64> {
        let known = upwards(scope).filter_map(|path| self.scopes.get(path));
        { known }.find_map(|histogram| histogram.remaining(now, so_far_ns, quantile))
    }
}

/// A scope and those above it, from below; the root is the empty path.
fn upwards(scope: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(scope), |path| {
        (!path.is_empty()).then(|| path.rsplit_once('/').map_or("", |(above, _)| above))
    })
}

impl Histogram {
    fn new(since: Time) -> Histogram {
        Histogram { weights: vec![0.0; BUCKETS], since, last: since }
    }

    /// What one lease that ends now weighs.
    fn fresh(&self, now: Time) -> f64 {
        (now.0.saturating_sub(self.since.0) as f64 / HALF_LIFE_NS).exp2()
    }

    fn observe(&mut self, at: Time, lasted_ns: u64) {
        let mut weight = self.fresh(at);
        if weight > WEIGHT_MAX {
            self.weights.iter_mut().for_each(|old| *old /= weight);
            (self.since, weight) = (at, 1.0);
        }
        self.weights[bucket(lasted_ns)] += weight;
        self.last = at;
    }

    /// What was seen of leases that lasted longer than this, by bucket.
    fn beyond(&self, so_far_ns: u64) -> impl Iterator<Item = (usize, f64)> + '_ {
        let from = if so_far_ns == 0 { 0 } else { bucket(so_far_ns) + 1 };
        self.weights.iter().copied().enumerate().skip(from)
    }

    fn remaining(&self, now: Time, so_far_ns: u64, quantile: f64) -> Option<u64> {
        let all: f64 = self.beyond(so_far_ns).map(|(_, weight)| weight).sum();
        if all < ENOUGH * self.fresh(now) {
            return None;
        }
        let mut ended = 0.0;
        let (bucket, _) = self.beyond(so_far_ns).find(|(_, weight)| {
            ended += weight;
            *weight > 0.0 && ended >= quantile * all
        })?;
        Some((upper_ns(bucket) as u64).saturating_sub(so_far_ns))
    }
}

fn bucket(lasted_ns: u64) -> usize {
    let grown = (lasted_ns as f64 / FIRST_NS).max(1.0).ln() / GROWTH.ln();
    (grown.ceil() as usize).min(BUCKETS - 1)
}

fn upper_ns(bucket: usize) -> f64 {
    FIRST_NS * GROWTH.powi(bucket as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn near(found: Option<u64>, seconds: u64) -> bool {
        found.is_some_and(|ns| ns.abs_diff(seconds * SECOND) <= seconds * SECOND / 10)
    }

    #[test]
    fn those_like_it_tell_how_long_it_lasts() {
        let mut lasting = Lasting::default();
        let at = Time(1);
        for seconds in 1..=100 {
            lasting.observe("team/a", at, seconds * SECOND);
        }
        assert!(near(lasting.remaining("team/a", at, 0, 0.5), 50));
        assert!(near(lasting.remaining("team/a", at, 0, 0.9), 90));
        let longer = lasting.remaining("team/a", at, 60 * SECOND, 0.5).map(|ns| ns + 60 * SECOND);
        assert!(near(longer, 80), "of those beyond a minute: {longer:?}");
        assert_eq!(lasting.remaining("team/a", at, 200 * SECOND, 0.5), None, "none has lasted so long");
        assert!(near(lasting.remaining("team/b", at, 0, 0.5), 50), "the team speaks for its new member");
        assert!(near(lasting.remaining("other", at, 0, 0.5), 50), "and the whole fleet for a new team");
        assert_eq!(Lasting::default().remaining("team/a", at, 0, 0.5), None);
    }

    #[test]
    fn what_is_old_counts_less() {
        let mut lasting = Lasting::default();
        (0..100).for_each(|_| lasting.observe("a", Time(1), 1000 * SECOND));
        let later = Time(20 * 86_400 * SECOND);
        (0..10).for_each(|_| lasting.observe("a", later, 10 * SECOND));
        assert!(near(lasting.remaining("a", later, 0, 0.9), 10));
        let much_later = Time(40 * 86_400 * SECOND);
        assert_eq!(lasting.remaining("a", much_later, 0, 0.5), None, "too little is left of it");
    }

    #[test]
    fn scopes_are_bounded_and_the_quietest_is_spoken_for_by_those_above() {
        let mut lasting = Lasting::default();
        for scope in 0..2 * SCOPES_MAX as u64 {
            (0..5).for_each(|_| lasting.observe(&scope.to_string(), Time(scope), (scope + 1) * SECOND));
        }
        let now = Time(2 * SCOPES_MAX as u64);
        assert_eq!(lasting.scopes.len(), SCOPES_MAX);
        assert!(near(lasting.remaining("1023", now, 0, 0.5), 1024));
        assert!(near(lasting.remaining("0", now, 0, 0.5), 512), "all of them together");
    }
}
