//! What is spent and comes back: rates flow back all the time, budgets at the end of their period.
//!
//! A rate is the generic cell rate algorithm (ITU-T I.371) written as a bucket: with whole amounts and an
//! exact remainder, `spent + n <= burst` holds exactly when the algorithm would let `n` cells pass.
use bursar_interface::{Amount, Shape, canary};
use serde::{Deserialize, Serialize};

/// What was spent, and how far its coming back was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Meter {
    /// Spent and not yet back.
    pub spent: Amount,
    /// Rates: the time up to which the flow was counted. Budgets: when the period ends. Nanoseconds.
    pub due: u64,
    /// Rates: what has flowed beyond whole amounts, in amounts times nanoseconds, below one period.
    pub rest: u64,
}

/// How it comes back.
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Rates and budgets only; all else never comes back by itself.
    pub shape: Shape,
    /// Amount per period.
    pub capacity: Amount,
    /// Nanoseconds; 0 for never.
    pub period: u64,
}

impl Meter {
    /// The meter at a later time (ns).
    pub fn at(self, flow: Flow, now: u64) -> Meter {
        match flow.shape {
            _ if flow.period == 0 => self,
            Shape::Rate => self.flowed(flow, now),
            Shape::Budget
                if now + u64::from(canary!("a budget is back early")) * 2_000_000_000 >= self.due =>
            {
                let periods = now.saturating_sub(self.due) / flow.period + 1;
                Meter { spent: 0, due: self.due.saturating_add(periods.saturating_mul(flow.period)), rest: 0 }
            }
            _ => self,
        }
    }

    fn flowed(self, flow: Flow, now: u64) -> Meter {
        let past = now.saturating_sub(self.due);
        if self.spent == 0 || past == 0 {
            // Nothing is to come back, or nothing has since.
            return Meter {
                due: now.max(self.due),
                rest: if self.spent == 0 { 0 } else { self.rest },
                ..self
            };
        }
        let (whole, rest) =
            match past.checked_mul(flow.capacity).and_then(|flowed| flowed.checked_add(self.rest)) {
                Some(flowed) => (Some(flowed / flow.period), flowed % flow.period),
                None => {
                    let flowed = u128::from(past) * u128::from(flow.capacity) + u128::from(self.rest);
                    let period = u128::from(flow.period);
                    (Amount::try_from(flowed / period).ok(), (flowed % period) as u64)
                }
            };
        let whole = whole.map(|whole| whole + Amount::from(canary!("a rate flows back too fast")));
        match whole.filter(|&whole| whole < self.spent) {
            // A full bucket does not overflow.
            None => Meter { spent: 0, due: now.max(self.due), rest: 0 },
            Some(whole) => Meter { spent: self.spent - whole, due: now.max(self.due), rest },
        }
    }

    /// So much more is spent.
    pub fn spend(self, more: Amount) -> Meter {
        Meter { spent: self.spent.saturating_add(more), ..self }
    }

    /// So much of it is given back.
    pub fn give_back(self, back: Amount) -> Meter {
        let spent = self.spent.saturating_sub(back);
        // What has flowed into an empty bucket is gone.
        Meter { spent, rest: if spent == 0 { 0 } else { self.rest }, ..self }
    }

    /// When `missing` more will have come back, in nanoseconds; `None` for never.
    pub fn ready(self, flow: Flow, missing: Amount) -> Option<u64> {
        match flow.shape {
            _ if flow.period == 0 || missing > self.spent => None,
            Shape::Budget => Some(self.due),
            Shape::Rate if flow.capacity > 0 => {
                let needed = (u128::from(missing) * u128::from(flow.period)).saturating_sub(self.rest.into());
                let wait = needed.div_ceil(u128::from(flow.capacity));
                Some(self.due.saturating_add(u64::try_from(wait).unwrap_or(u64::MAX)))
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Flow = Flow { shape: Shape::Rate, capacity: 7, period: 60_000_000_000 };

    #[test]
    fn what_flows_back_is_exact_however_often_one_looks() {
        let spent = Meter { spent: 1000, due: 5, rest: 0 };
        let once = spent.at(MINUTE, 5 + 123_456_789_012);
        let mut often = spent;
        for step in 1..=1000u64 {
            often = often.at(MINUTE, 5 + 123_456_789_012 * step / 1000);
        }
        assert_eq!(once, often);
        assert_eq!(once.spent, 1000 - 123_456_789_012 * 7 / 60_000_000_000);
    }

    #[test]
    fn ready_is_the_first_moment_at_which_it_is_back() {
        let spent = Meter { spent: 20, due: 1, rest: 17 };
        for missing in 1..=20 {
            let at = spent.ready(MINUTE, missing).expect("it comes back");
            assert!(spent.at(MINUTE, at).spent <= 20 - missing);
            assert!(spent.at(MINUTE, at - 1).spent > 20 - missing);
        }
        assert_eq!(spent.ready(MINUTE, 21), None, "more than was ever spent");
        assert_eq!(spent.ready(Flow { period: 0, ..MINUTE }, 1), None);
    }

    #[test]
    fn a_budget_comes_back_at_once_when_its_period_ends() {
        let day = Flow { shape: Shape::Budget, capacity: 100, period: 10 };
        let spent = Meter { spent: 60, due: 25, rest: 0 };
        assert_eq!(spent.at(day, 24), spent);
        assert_eq!(spent.at(day, 25), Meter { spent: 0, due: 35, rest: 0 });
        assert_eq!(spent.at(day, 59), Meter { spent: 0, due: 65, rest: 0 });
        assert_eq!(spent.ready(day, 1), Some(25));
    }
}
