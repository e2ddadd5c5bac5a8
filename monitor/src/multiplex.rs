//! How much may be promised of memory that is rarely used all at once.
//!
//! Claims ask for the most that they may need; together they need less, because not all of them need it at the same
//! time. As many are let in as keep a high quantile of what all use together below what there is: the means added up,
//! a multiple of the deviation of the sum, and one lease at its peak (statistical multiplexing as in "N-sigma",
//! Bashir et al., "Take it to the limit", EuroSys 2021).

/// By how many thousandths of a deviation the quantile lies above the mean: 99 % of a normal distribution.
const Z_MILLI: u64 = 2326;
/// Leases that must have ended before any lease is taken to use less than it asks for.
const LEARNED_MIN: u64 = 8;
/// A newcomer counts for no less than so many thousandths of what it asks for.
const RATIO_MIN: u64 = 100;

/// What a lease may have and what it is known to use, in one unit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// What it asked for.
    pub asked: u64,
    /// What it uses on average over time; `None` where that is not known yet.
    pub mean: Option<u64>,
    /// The standard deviation of that.
    pub deviation: u64,
    /// The most that it used at a time.
    pub peak: u64,
}

/// What is learned of leases that are gone, in thousandths of what they asked for.
#[derive(Clone, Debug, Default)]
pub struct Multiplex {
    ended: u64,
    mean: u64,
    mean_squares: u64,
    peak: u64,
}

impl Multiplex {
    /// What was learned by another, as [`Multiplex::sums`] gave it: a daemon goes on where the one before it ended.
    pub fn from_sums([ended, mean, mean_squares, peak]: [u64; 4]) -> Multiplex {
        Multiplex { ended, mean, mean_squares, peak: peak.min(1000) }
    }

    /// All that was learned: leases that ended; their means and the squares of their samples, added up, and the highest
    /// peak, in thousandths of what they asked for.
    pub fn sums(&self) -> [u64; 4] {
        [self.ended, self.mean, self.mean_squares, self.peak]
    }

    /// A lease is gone that used this.
    pub fn learn(&mut self, share: Share) {
        let Some(mean) = share.mean.filter(|_| share.asked > 0) else { return };
        let milli = |part: u64| (u128::from(part) * 1000 / u128::from(share.asked)) as u64;
        let (mean, deviation) = (milli(mean), milli(share.deviation));
        self.ended += 1;
        self.mean += mean;
        // The square of a sample on average: what the deviation between leases comes from as well.
        self.mean_squares =
            self.mean_squares.saturating_add(mean.saturating_mul(mean).saturating_add(deviation * deviation));
        self.peak = self.peak.max(milli(share.peak).min(1000));
    }

    /// What may be promised of `capacity` in all, those who are there included; never less than `capacity` can
    /// carry if everybody used all of what they asked for.
    pub fn offer(&self, capacity: u64, shares: &[Share]) -> u64 {
        let promised: u64 = shares.iter().map(|share| share.asked).sum();
        let Some((mean, deviation)) = self.newcomer() else { return capacity };
        let room = capacity.saturating_sub(self.quantile(shares));
        // Each newcomer is one of many: it brings its mean, and some of its deviation.
        let ratio = (mean + deviation * Z_MILLI / 1000 / (1 + (shares.len() as u64).isqrt())).max(RATIO_MIN);
        let more = (u128::from(room) * 1000 / u128::from(ratio)) as u64;
        promised.saturating_add(more).max(capacity)
    }

    /// What all of them together use no more than, almost always.
    pub fn quantile(&self, shares: &[Share]) -> u64 {
        let (mut mean, mut variance, mut burst) = (0u64, 0u128, 0u64);
        for share in shares {
            let (of_mean, of_deviation, peak) = self.known(share);
            mean = mean.saturating_add(of_mean);
            variance += u128::from(of_deviation) * u128::from(of_deviation);
            burst = burst.max(peak.saturating_sub(of_mean));
        }
        let deviation = variance.isqrt() as u64;
        mean.saturating_add(deviation.saturating_mul(Z_MILLI) / 1000).saturating_add(burst)
    }

    /// Mean, deviation and peak of a lease: its own, or what those before it teach.
    fn known(&self, share: &Share) -> (u64, u64, u64) {
        let part = |milli: u64| (u128::from(share.asked) * u128::from(milli) / 1000) as u64;
        match (share.mean, self.newcomer()) {
            (Some(mean), _) => (mean, share.deviation, share.peak),
            (None, Some((mean, deviation))) => (part(mean), part(deviation), part(self.peak)),
            (None, None) => (share.asked, 0, share.asked),
        }
    }

    /// Mean and deviation of a lease that nothing is known of, in thousandths of what it asks for.
    fn newcomer(&self) -> Option<(u64, u64)> {
        if self.ended < LEARNED_MIN {
            return None;
        }
        let mean = self.mean / self.ended;
        let variance = (self.mean_squares / self.ended).saturating_sub(mean * mean);
        Some((mean, variance.isqrt()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn share(asked: u64, mean: u64, deviation: u64, peak: u64) -> Share {
        Share { asked, mean: Some(mean), deviation, peak }
    }

    #[test]
    fn nothing_more_is_promised_until_something_is_known() {
        let mut multiplex = Multiplex::default();
        (0..LEARNED_MIN - 1).for_each(|_| multiplex.learn(share(1000, 100, 10, 150)));
        assert_eq!(multiplex.offer(10_000, &[]), 10_000);
        multiplex.learn(share(1000, 100, 10, 150));
        assert!(multiplex.offer(10_000, &[]) > 50_000, "a tenth is used of what is asked for");
    }

    #[test]
    fn those_who_use_all_that_they_asked_for_are_promised_no_more() {
        let mut multiplex = Multiplex::default();
        (0..100).for_each(|_| multiplex.learn(share(1000, 1000, 0, 1000)));
        let there = vec![share(1000, 1000, 0, 1000); 8];
        assert_eq!(multiplex.offer(10_000, &there), 10_000);
        assert_eq!(multiplex.quantile(&there), 8000);
    }

    #[test]
    fn deviations_of_many_add_up_by_their_squares() {
        let multiplex = Multiplex::default();
        let many = vec![share(1000, 100, 30, 100); 100];
        // 100 means, 2.326 times the root of 100 variances, and no burst.
        assert_eq!(multiplex.quantile(&many), 10_000 + 697);
    }

    #[test]
    fn what_is_used_above_what_there_is_leaves_no_room() {
        let mut multiplex = Multiplex::default();
        (0..10).for_each(|_| multiplex.learn(share(1000, 200, 50, 400)));
        let there = vec![share(1000, 900, 100, 1000); 12];
        assert_eq!(
            multiplex.offer(10_000, &there),
            12_000,
            "what is promised stays promised, and nothing is added"
        );
    }
}
