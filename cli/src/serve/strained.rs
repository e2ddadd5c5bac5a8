//! What was done of late because memory runs short, kept to be told: by claim, and how short it is now.
use super::{clock::Clock, present::rfc3339};
use bursar_interface::{Came, ClaimId, Squeeze, Time};
use bursar_wire::{SqueezeRow, StrainRow};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Steps that are kept.
const KEPT_MAX: usize = 512;
/// Steps of one claim that are shown.
const SHOWN_MAX: usize = 16;

/// How short it is.
#[derive(Clone, Debug, Default)]
pub struct Now {
    /// In a word.
    pub level: &'static str,
    /// In use, in bytes.
    pub used: u64,
    /// What there is, in bytes.
    pub there: u64,
    /// Nobody more is let in.
    pub stopped: bool,
}

#[derive(Debug, Default)]
struct Kept {
    now: Now,
    steps: VecDeque<(Time, Squeeze)>,
}

/// What was done of late.
#[derive(Debug, Default)]
pub struct Strained(Mutex<Kept>);

impl Strained {
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How short it is now.
    pub fn set(&self, now: Now) {
        self.kept().now = now;
    }

    /// How short it is.
    pub fn now(&self) -> Now {
        self.kept().now.clone()
    }

    /// A step was taken.
    pub fn record(&self, at: Time, squeeze: Squeeze) {
        let mut kept = self.kept();
        if kept.steps.len() >= KEPT_MAX {
            kept.steps.pop_front();
        }
        kept.steps.push_back((at, squeeze));
    }

    /// What was done to a claim, newest first.
    pub fn of(&self, claim: ClaimId, clock: &Clock) -> Vec<SqueezeRow> {
        self.rows(clock, |squeeze| squeeze.claim == Some(claim))
    }

    /// How short it is and what was done about it, to all and to a claim; `None` while there is enough and nothing was
    /// done to it.
    pub fn strain(&self, claim: ClaimId, clock: &Clock) -> Option<StrainRow> {
        let Now { level, used, there, stopped } = self.now();
        let calm = level.is_empty() || level == "calm";
        let of_it = |squeeze: &Squeeze| squeeze.claim == Some(claim) || squeeze.claim.is_none() && !calm;
        let steps = self.rows(clock, of_it);
        (!calm || !steps.is_empty()).then(|| StrainRow {
            level: level.into(),
            used_bytes: used,
            there_bytes: there,
            stopped,
            steps,
        })
    }

    fn rows(&self, clock: &Clock, which: impl Fn(&Squeeze) -> bool) -> Vec<SqueezeRow> {
        let kept = self.kept();
        let steps = kept.steps.iter().rev().filter(|(_, squeeze)| which(squeeze)).take(SHOWN_MAX);
        steps.map(|(at, squeeze)| row(rfc3339(clock.wall_ms(*at)), squeeze)).collect()
    }
}

/// A step as it is shown.
pub fn row(at: String, squeeze: &Squeeze) -> SqueezeRow {
    let (came, freed_bytes, message) = match &squeeze.came {
        Came::Taken => ("taken", None, None),
        Came::Freed(freed) => ("freed", *freed, None),
        Came::Unavailable(why) => ("unavailable", None, Some(why.clone())),
        Came::Undone => ("undone", None, None),
    };
    SqueezeRow {
        at,
        step: squeeze.step.name().into(),
        came: came.into(),
        freed_bytes,
        to_bytes: Some(squeeze.to).filter(|to| *to > 0),
        message,
    }
}
