//! Limits on negotiation itself: an agent that is told no may ask again, but not without end. What counts are
//! asks that came to no grant; each caller's come back with time, by the generic cell rate algorithm.
use crate::limits::{CALLERS_MAX, REFUSALS_PER_MINUTE};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// What may be spent ahead: a minute's worth.
const AHEAD: Duration = Duration::from_secs(60);

/// Until when each caller has spent.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    spent: Arc<Mutex<HashMap<u64, Instant>>>,
    /// What one refused ask costs.
    each: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace::of(REFUSALS_PER_MINUTE)
    }
}

impl Pace {
    /// So many refused asks in a minute, 1 at least.
    pub(crate) fn of(refusals: u32) -> Pace {
        Pace { spent: Arc::default(), each: Duration::from_secs(60) / refusals.max(1) }
    }

    /// Whether a caller may ask now; else after how long.
    pub(crate) fn may_ask(&self, caller: u64, now: Instant) -> Result<(), Duration> {
        let spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        let until = spent.get(&caller).copied().unwrap_or(now);
        let over = (until + self.each).saturating_duration_since(now).saturating_sub(AHEAD);
        if over.is_zero() { Ok(()) } else { Err(over) }
    }

    /// A caller's ask came to no grant.
    pub(crate) fn refused(&self, caller: u64, now: Instant) {
        let mut spent = self.spent.lock().unwrap_or_else(PoisonError::into_inner);
        if spent.len() >= CALLERS_MAX {
            // Whoever has nothing spent any more is forgotten; in a crowd beyond all measure everybody is.
            spent.retain(|_, until| *until > now);
            if spent.len() >= CALLERS_MAX {
                spent.clear();
            }
        }
        let until = spent.entry(caller).or_insert(now);
        *until = (*until).max(now) + self.each;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_refusals_a_minute_and_each_caller_by_itself() {
        let (pace, start) = (Pace::default(), Instant::now());
        let each = Duration::from_secs(2);
        for _ in 0..REFUSALS_PER_MINUTE {
            assert_eq!(pace.may_ask(1, start), Ok(()));
            pace.refused(1, start);
        }
        assert_eq!(pace.may_ask(1, start), Err(each));
        assert_eq!(pace.may_ask(2, start), Ok(()));
        assert_eq!(pace.may_ask(1, start + each), Ok(()));
        pace.refused(1, start + each);
        assert!(pace.may_ask(1, start + each).is_err());
    }

    #[test]
    fn an_operator_says_how_many() {
        let (pace, start) = (Pace::of(2), Instant::now());
        pace.refused(1, start);
        assert_eq!(pace.may_ask(1, start), Ok(()));
        pace.refused(1, start);
        assert_eq!(pace.may_ask(1, start), Err(Duration::from_secs(30)));
    }

    #[test]
    fn callers_are_forgotten_when_they_are_too_many() {
        let (pace, start) = (Pace::default(), Instant::now());
        (0..2 * CALLERS_MAX as u64).for_each(|caller| pace.refused(caller, start));
        assert!(pace.spent.lock().expect("unpoisoned").len() <= CALLERS_MAX);
    }
}
