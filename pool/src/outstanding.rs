//! What of a spend is still outstanding: spent and not back by itself yet, so that it can be given back.
//!
//! A rate comes back in the order in which it was spent. So to each meter all that was ever spent is a stream, in
//! which every live line has a stretch: what has flowed back is the stream up to a front, and what was given back
//! is a gap, which the front steps over. What is behind the front of a stretch is outstanding, and no more than
//! that can be given back: else one would be given what others spent. A budget comes back as a whole: what was
//! counted in the period that runs is outstanding.
use crate::{Books, books::Spread, meter::Meter};
use bursar_interface::{Amount, NONE, Row, Shape, bound::GAPS_MAX, canary};
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
};

/// What a spend was counted on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    Pool(Row),
    Ledger(Row),
}

/// All that was ever spent on one meter, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stream {
    /// Who settles up and down all day comes beyond what a word holds.
    end: u128,
    /// Where gaps begin and how long they are, as far as the front has not stepped over them.
    gaps: BTreeMap<u128, Amount>,
    /// All of them together.
    missing: Amount,
}

impl Stream {
    /// Up to where it has flowed back, while `spent` has not.
    fn front(&mut self, spent: Amount) -> u128 {
        loop {
            let front = self.end.saturating_sub(spent.into()).saturating_sub(self.missing.into());
            let Some(gap) = self.gaps.first_entry().filter(|gap| *gap.key() <= front) else { return front };
            self.missing -= gap.remove();
        }
    }

    /// What of a stretch has not flowed back while so much is spent of the meter.
    fn left(&mut self, stretch: Stretch, spent: Amount) -> Amount {
        let ahead = stretch.end.saturating_sub(self.front(spent));
        Amount::try_from(ahead).unwrap_or(Amount::MAX).min(stretch.left)
    }

    /// A stretch ends so much earlier than it did. Where there are too many gaps it counts as flowed back: then
    /// others can be given back less than they could, and never more.
    fn shorten(&mut self, stretch: &mut Stretch, by: Amount) {
        stretch.end -= u128::from(by);
        stretch.left -= by;
        if by > 0 && self.gaps.len() < GAPS_MAX {
            *self.gaps.entry(stretch.end).or_default() += by;
            self.missing += by;
        }
    }
}

/// What a line has spent on one meter: of a rate where its stretch ends, of a budget in which period (ns).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Stretch {
    end: u128,
    left: Amount,
}

/// The streams of all meters, and the stretches of all live lines in them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outstanding {
    pools: Vec<Stream>,
    ledgers: Vec<Stream>,
    /// By line and meter: looked up, never iterated.
    stretches: HashMap<u64, Stretch, BuildHasherDefault<Spread>>,
}

/// The key of a stretch.
fn key(line: Row, level: Level) -> u64 {
    let meter = match level {
        Level::Pool(row) => u64::from(row) << 1,
        Level::Ledger(row) => u64::from(row) << 1 | 1,
    };
    u64::from(line) << 32 | meter
}

impl Outstanding {
    fn stream(&mut self, level: Level) -> &mut Stream {
        let (streams, row) = match level {
            Level::Pool(row) => (&mut self.pools, row as usize),
            Level::Ledger(row) => (&mut self.ledgers, row as usize),
        };
        if streams.len() <= row {
            streams.resize_with(row + 1, Stream::default);
        }
        &mut streams[row]
    }

    /// The meter of a rate (as of now) after a line, or nobody ([`NONE`]), has spent so much more on it.
    fn flow_more(&mut self, line: Row, level: Level, meter: Meter, more: Amount) -> Meter {
        let known = if line == NONE { None } else { self.stretches.remove(&key(line, level)) };
        let stream = self.stream(level);
        let mut left = 0;
        if let Some(mut stretch) = known {
            // Its stretch goes on at the end of the stream, so that it is one.
            left = stream.left(stretch, meter.spent);
            stream.shorten(&mut stretch, left);
        }
        stream.end += u128::from(left) + u128::from(more);
        let end = stream.end;
        if line != NONE {
            self.stretches.insert(key(line, level), Stretch { end, left: left + more });
        }
        meter.spend(more)
    }

    /// The meter of a rate after a line has given back so much of what it spent, or what of that is outstanding.
    fn flow_back(&mut self, line: Row, level: Level, meter: Meter, less: Amount) -> Meter {
        let Some(mut stretch) = self.stretches.remove(&key(line, level)) else { return meter };
        let stream = self.stream(level);
        stretch.left = stream.left(stretch, meter.spent);
        let back = less.min(stretch.left);
        stream.shorten(&mut stretch, back);
        self.stretches.insert(key(line, level), stretch);
        meter.give_back(if canary!("what others spent is given back") { less } else { back })
    }

    /// The meter of a budget after the same.
    fn period_recount(
        &mut self,
        line: Row,
        level: Level,
        meter: Meter,
        before: Amount,
        now: Amount,
    ) -> Meter {
        let stretch = if line == NONE { None } else { self.stretches.get(&key(line, level)).copied() };
        let due = u128::from(meter.due);
        let left = stretch.filter(|stretch| stretch.end == due).map_or(0, |stretch| stretch.left);
        let back = before.saturating_sub(now).min(left);
        let more = now.saturating_sub(before);
        if line != NONE {
            self.stretches.insert(key(line, level), Stretch { end: due, left: left - back + more });
        }
        meter.give_back(back).spend(more)
    }
}

impl Books {
    /// A meter (as of now) after what a line spent on it, counted as `before`, has come to `now`.
    pub(crate) fn recount(
        &mut self,
        line: Row,
        level: Level,
        meter: Meter,
        (before, now): (Amount, Amount),
        shape: Shape,
    ) -> Meter {
        if canary!("what flowed back is charged again") {
            return meter.give_back(before).spend(now);
        }
        let all = &mut self.outstanding;
        match shape {
            Shape::Budget => all.period_recount(line, level, meter, before, now),
            _ if now >= before => all.flow_more(line, level, meter, now - before),
            _ => all.flow_back(line, level, meter, before - now),
        }
    }

    /// What a line can still give back of a budget, on each meter that counts it: of what it was charged in the
    /// period that runs there.
    pub(crate) fn given_back_at_most(&self, line: Row, pool: Row, scope: Row, resource: Row) -> Amount {
        let left = |level: Level, due: u64| {
            let stretch = self.outstanding.stretches.get(&key(line, level)).copied();
            stretch.filter(|stretch| stretch.end == u128::from(due)).map_or(0, |stretch| stretch.left)
        };
        let bounded = |&quota: &Row| self.tables.quotas.set[quota as usize] != 0;
        let ledgers = self.quotas_of(scope, resource).filter(bounded);
        let ledgers = ledgers.map(|quota| left(Level::Ledger(quota), self.quota_meter(quota).due));
        ledgers.fold(left(Level::Pool(pool), self.pool_meter(pool).due), Amount::min)
    }

    /// A line goes: nobody can give back what it spent.
    pub(crate) fn forget_stretches(&mut self, line: Row, pool: Row, scope: Row, resource: Row) {
        if self.outstanding.stretches.is_empty() {
            return;
        }
        self.outstanding.stretches.remove(&key(line, Level::Pool(pool)));
        let mut at = scope;
        while at != NONE {
            if let Some(quota) = self.ledger_of(at, resource) {
                self.outstanding.stretches.remove(&key(line, Level::Ledger(quota)));
            }
            at = self.tables.scopes.parent[at as usize];
        }
    }

    /// Adds what is outstanding to a digest.
    pub(crate) fn digest_outstanding(&self, digest: &mut crate::Digest) {
        let all = &self.outstanding;
        digest.word(all.stretches.len() as u64);
        for stream in all.pools.iter().chain(&all.ledgers).filter(|stream| stream.end > 0) {
            digest.word(stream.end as u64);
            stream.gaps.iter().for_each(|(&at, &len)| {
                digest.word(at as u64);
                digest.word(len);
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::meter::Flow;

    const LEVEL: Level = Level::Ledger(3);
    const FLOW: Flow = Flow { shape: Shape::Rate, capacity: 1, period: 1 };

    /// A rate of one in a nanosecond.
    #[derive(Default)]
    struct Rate(Outstanding, Meter);

    impl Rate {
        fn at(&mut self, now: u64) {
            self.1 = self.1.at(FLOW, now);
        }
        fn more(&mut self, line: Row, amount: Amount) {
            self.1 = self.0.flow_more(line, LEVEL, self.1, amount);
        }
        /// How much was given back of what should be less.
        fn less(&mut self, line: Row, amount: Amount) -> Amount {
            let before = self.1.spent;
            self.1 = self.0.flow_back(line, LEVEL, self.1, amount);
            before - self.1.spent
        }
    }

    #[test]
    fn no_more_is_given_back_than_is_outstanding_of_the_line_itself() {
        let mut rate = Rate::default();
        rate.more(1, 50);
        rate.at(40);
        rate.more(2, 40);
        assert_eq!(rate.less(1, 50), 10, "40 flowed back by themselves, and the rest is the other's");
        assert_eq!(rate.less(1, 50), 0, "not twice");
        assert_eq!((rate.less(2, 15), rate.less(2, 40)), (15, 25));
        assert_eq!(rate.1.spent, 0);
    }

    #[test]
    fn what_one_gives_back_neither_shortens_nor_lengthens_what_others_can() {
        let mut rate = Rate::default();
        for line in 0..5 {
            rate.more(line, 10);
        }
        assert_eq!(rate.less(1, 10), 10);
        assert_eq!(rate.less(3, 4), 4);
        // Back by itself: all ten of the first, and, as nothing of the second is left, five of the third.
        rate.at(15);
        assert_eq!([0, 1, 2, 3, 4].map(|line| rate.less(line, 100)), [0, 0, 5, 6, 10]);
        assert_eq!((rate.1.spent, rate.0.ledgers[3].missing > 0), (0, true));
        rate.more(9, 1);
        assert_eq!(rate.less(9, 1), 1);
        rate.more(9, 1);
        assert!(rate.0.ledgers[3].gaps.len() <= 1, "gaps go when the front has passed them");
    }

    #[test]
    fn a_line_that_spends_more_later_has_all_of_it_at_the_end() {
        let mut rate = Rate::default();
        rate.more(1, 10);
        rate.more(2, 10);
        rate.at(4);
        rate.more(1, 5);
        rate.at(4 + 10);
        // What the second spent is back; of the first's six and five nothing is yet.
        assert_eq!((rate.less(2, 10), rate.less(1, 20)), (0, 11));
    }

    #[test]
    fn too_many_gaps_are_told_as_less_never_as_more() {
        let mut rate = Rate::default();
        let lines = GAPS_MAX as Row + 10;
        (0..lines).for_each(|line| rate.more(line, 2));
        (0..lines).for_each(|line| {
            rate.less(line, 1);
        });
        assert_eq!(rate.0.ledgers[3].gaps.len(), GAPS_MAX);
        let spent = rate.1.spent;
        let back: Amount = (0..lines).map(|line| rate.less(line, 9)).sum();
        assert!(back <= spent && back >= spent - 20, "{back} of {spent}");
    }

    #[test]
    fn what_was_ever_spent_may_be_more_than_a_word_holds() {
        let mut rate = Rate::default();
        rate.more(1, 1);
        rate.at(1);
        rate.0.ledgers[3].end = u128::from(u64::MAX) - 20;
        rate.more(1, 15);
        rate.more(2, 15);
        assert_eq!(rate.less(1, 5), 5);
        rate.at(1 + 12);
        assert_eq!(
            (rate.less(1, 20), rate.less(2, 20)),
            (0, 13),
            "ten of the first's came back, two of the other's"
        );
    }

    #[test]
    fn a_budget_is_given_back_within_the_period_in_which_it_was_spent() {
        let mut all = Outstanding::default();
        let first = Meter { spent: 0, due: 100, rest: 0 };
        let first = all.period_recount(1, LEVEL, first, 0, 60);
        let first = all.period_recount(1, LEVEL, first, 60, 50);
        assert_eq!(first.spent, 50);
        // The next period: what was charged in the last one is back, and not charged again.
        let next = Meter { spent: 30, due: 200, rest: 0 };
        let next = all.period_recount(1, LEVEL, next, 50, 40);
        assert_eq!(next.spent, 30);
        let next = all.period_recount(1, LEVEL, next, 40, 45);
        assert_eq!(next.spent, 35, "five more than was known");
        assert_eq!(all.period_recount(1, LEVEL, next, 45, 0).spent, 30);
    }
}
