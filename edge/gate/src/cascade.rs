//! How the patience of a provider stands with one set of pools: one cut for a cascade of refusals, however many
//! calls were on their way; slow growth back; and what the provider says of its limits.
//!
//! Additive increase, multiplicative decrease: D. Chiu and R. Jain, "Analysis of the increase and decrease
//! algorithms for congestion avoidance", 1989.
use crate::quota_headers::LIMITS;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::time::Instant;

/// What is left of a rate after a cut, in tenths.
const CUT_TENTHS: u64 = 9;
/// Steps from nothing up to all that an operator allows, one in each period without a refusal.
const STEPS: u64 = 20;
/// Between steps where a pool has no period.
const WINDOW_DEFAULT: Duration = Duration::from_secs(60);
/// In which providers count their limits.
const MINUTE_MS: u64 = 60_000;

/// One set of pools and what its provider said.
#[derive(Debug)]
pub(crate) struct Cascade {
    /// By the order of [`LIMITS`].
    pub(crate) pools: [Option<String>; 4],
    state: Mutex<State>,
    /// Held by whoever sets the pools.
    pub(crate) turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    until: Option<Instant>,
    cut_at: Option<Instant>,
    stepped_at: Option<Instant>,
    told: [Option<u64>; 4],
    levels: [Option<Level>; 4],
}

/// A pool as the gate left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Level {
    /// What the operator set: never more than this.
    ceiling: u64,
    now: u64,
    period_ms: u64,
}

/// What a refusal means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The first of a cascade: cut.
    Cut,
    /// One more of a cascade that was cut for already.
    Known,
}

/// A pool that is to have another capacity: by its place in [`Cascade::pools`].
pub(crate) type Change = (usize, u64);

impl Cascade {
    pub(crate) fn of(pools: &[Option<String>; 4]) -> Cascade {
        Cascade { pools: pools.clone(), state: Mutex::default(), turn: tokio::sync::Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until when nobody starts.
    pub(crate) fn until(&self, now: Instant) -> Option<Instant> {
        self.state().until.filter(|&until| until > now)
    }

    /// A call that began at `sent` was refused for `pause`. Calls that were on their way when a cut was made are
    /// of its cascade.
    pub(crate) fn refused(&self, sent: Instant, now: Instant, pause: Duration) -> Verdict {
        let mut state = self.state();
        let until = now + pause;
        state.until = Some(state.until.map_or(until, |before| before.max(until)));
        if state.cut_at.is_some_and(|cut| sent <= cut) {
            return Verdict::Known;
        }
        (state.cut_at, state.stepped_at) = (Some(now), Some(now));
        Verdict::Cut
    }

    /// What the daemon says of a pool. What another than a gate set is what an operator wants; `kept` is that where
    /// an earlier gate set it.
    pub(crate) fn look(&self, pool: usize, capacity: u64, period_ms: Option<u64>, kept: Option<u64>) {
        let level = &mut self.state().levels[pool];
        let period_ms = period_ms.unwrap_or(0);
        match level {
            Some(level) if level.now == capacity => level.period_ms = period_ms,
            _ => *level = Some(Level { ceiling: kept.unwrap_or(capacity), now: capacity, period_ms }),
        }
    }

    /// The pools after a cut.
    pub(crate) fn cut(&self) -> Vec<Change> {
        self.change(|level, _| (level.now / 10 * CUT_TENTHS + level.now % 10 * CUT_TENTHS / 10).max(1))
    }

    /// Whether an answer at `now` that told `limits` may change anything.
    pub(crate) fn is_news(&self, limits: [Option<u64>; 4], now: Instant) -> bool {
        let state = self.state();
        let told = state.told.iter().zip(&limits).any(|(told, limit)| limit.is_some() && told != limit);
        told || state.window().is_some_and(|window| now >= window)
    }

    /// The pools after an answer at `now` that told `limits`, if there is anything to change.
    pub(crate) fn answered(&self, limits: [Option<u64>; 4], now: Instant) -> Vec<Change> {
        let mut state = self.state();
        let mut news = false;
        for (told, limit) in state.told.iter_mut().zip(limits) {
            news |= limit.is_some() && *told != limit;
            *told = limit.or(*told);
        }
        let step = state.window().is_some_and(|window| now >= window);
        if step {
            state.stepped_at = Some(now);
        }
        drop(state);
        match (news, step) {
            (false, false) => Vec::new(),
            (_, true) => {
                self.change(|level, most| level.now.saturating_add((level.ceiling / STEPS).max(1)).min(most))
            }
            // What was cut stays cut.
            (true, false) => self.change(|level, most| match level.now == level.ceiling {
                true => most,
                false => level.now.min(most),
            }),
        }
    }

    /// The pools as the operator had them.
    pub(crate) fn restored(&self) -> Vec<Change> {
        self.change(|level, _| level.ceiling)
    }

    /// Whether the pools are known from the daemon.
    pub(crate) fn is_known(&self) -> bool {
        let state = self.state();
        self.pools.iter().zip(&state.levels).all(|(pool, level)| pool.is_some() == level.is_some())
    }

    /// A change did not come about.
    pub(crate) fn undo(&self, pool: usize, before: u64) {
        if let Some(level) = &mut self.state().levels[pool] {
            level.now = before;
        }
    }

    /// What the operator of a pool set.
    pub(crate) fn ceiling(&self, pool: usize) -> Option<u64> {
        self.state().levels[pool].map(|level| level.ceiling)
    }

    /// What a pool has as far as the gate knows.
    pub(crate) fn level(&self, pool: usize) -> Option<u64> {
        self.state().levels[pool].map(|level| level.now)
    }

    /// Gives each pool what `to` says, from its level and the most that it may have.
    fn change(&self, to: impl Fn(&Level, u64) -> u64) -> Vec<Change> {
        let state = &mut *self.state();
        let mut changes = Vec::new();
        for at in 0..LIMITS.len() {
            let Some(level) = &mut state.levels[at] else { continue };
            let told = state.told[at].map(|limit| scaled(limit, level.period_ms));
            let most = told.map_or(level.ceiling, |told| told.min(level.ceiling));
            let now = to(level, most);
            if std::mem::replace(&mut level.now, now) != now {
                changes.push((at, now));
            }
        }
        changes
    }
}

impl State {
    /// When the next step may be taken; `None` where nothing was ever cut.
    fn window(&self) -> Option<Instant> {
        let period = self.levels.iter().flatten().map(|level| level.period_ms).max().filter(|&ms| ms > 0);
        self.stepped_at.map(|at| at + period.map_or(WINDOW_DEFAULT, Duration::from_millis))
    }
}

/// What a limit by minute is in a pool's own period.
fn scaled(limit: u64, period_ms: u64) -> u64 {
    let scaled = u128::from(limit) * u128::from(period_ms) / u128::from(MINUTE_MS);
    u64::try_from(scaled).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cascade() -> (Cascade, Instant) {
        let cascade = Cascade::of(&[Some("a".into()), Some("b".into()), None, None]);
        cascade.look(0, 100, Some(60_000), None);
        cascade.look(1, 5, Some(1_000), None);
        (cascade, Instant::now())
    }

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn all_who_were_on_their_way_are_one_cascade() {
        let (cascade, start) = cascade();
        let at = |seconds| start + SECOND * seconds;
        assert_eq!(cascade.refused(at(0), at(5), SECOND * 2), Verdict::Cut);
        for sent in 0..=5 {
            assert_eq!(cascade.refused(at(sent), at(6), SECOND), Verdict::Known, "sent at {sent}");
        }
        assert_eq!(cascade.until(at(6)), Some(at(7)));
        assert_eq!(cascade.refused(at(1), at(6), SECOND * 9), Verdict::Known, "a longer pause counts");
        assert_eq!(cascade.until(at(6)), Some(at(15)));
        assert_eq!(cascade.until(at(15)), None);
        assert_eq!(cascade.refused(at(16), at(17), SECOND), Verdict::Cut, "a new one");
    }

    #[test]
    fn a_cut_takes_a_tenth_and_each_quiet_window_gives_a_step_back_up_to_what_the_operator_set() {
        let (cascade, start) = cascade();
        let none = [None; 4];
        assert_eq!(cascade.answered(none, start), [], "nothing to give back");
        cascade.refused(start, start, SECOND);
        assert_eq!(cascade.cut(), [(0, 90), (1, 4)]);
        let window = SECOND * 60;
        assert_eq!(cascade.answered(none, start + window - SECOND), []);
        assert_eq!(cascade.answered(none, start + window), [(0, 95), (1, 5)]);
        assert_eq!(cascade.answered(none, start + window + SECOND), []);
        assert_eq!(cascade.answered(none, start + window * 2), [(0, 100)]);
        assert_eq!(cascade.answered(none, start + window * 3), []);
    }

    #[test]
    fn what_the_provider_says_bounds_a_pool_and_the_operator_bounds_the_provider() {
        let (cascade, now) = cascade();
        let told = |limit| [Some(limit), None, None, None];
        assert_eq!(cascade.answered(told(60), now), [(0, 60)]);
        assert_eq!(cascade.answered(told(60), now), [], "no news");
        assert_eq!(cascade.answered([None, Some(120), None, None], now), [(1, 2)], "two a second");
        cascade.refused(now, now, SECOND);
        assert_eq!(cascade.cut(), [(0, 54), (1, 1)]);
        assert_eq!(cascade.answered(told(50), now), [(0, 50)]);
        assert_eq!(cascade.answered(told(1_000), now), [], "what was cut comes back by steps alone");
        assert_eq!(cascade.restored(), [(0, 100), (1, 5)]);
        // Somebody else set it since.
        cascade.look(0, 30, Some(60_000), None);
        assert_eq!(cascade.restored(), []);
        // A gate before this one did.
        cascade.look(0, 20, Some(60_000), Some(80));
        assert_eq!(cascade.restored(), [(0, 80)]);
    }
}
