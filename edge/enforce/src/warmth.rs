//! Keeps the way into control groups warm while commands keep coming, where moves are not quick by themselves
//! ([`Moves`]).
//!
//! The kernel goes back to where a move is slow one grace period after the last move. So either our hierarchy is held
//! for a while, or this process moves itself, into the group where it is already, every few milliseconds: then one of
//! some hundred is late all the same, since a grace period may be shorter than that. On an idle machine neither is done.
use crate::{
    Hierarchy,
    moves::{Favor, Moves},
};
use std::{
    fs::File,
    io::Write,
    sync::Arc,
    time::{Duration, Instant},
};

/// Between two moves: shorter than most grace periods. A move takes about 30 us of processor time.
const STIR_EVERY: Duration = Duration::from_millis(4);
/// How long after the last process was attached moves go on.
const STIRRED_FOR: Duration = Duration::from_secs(1);
/// The same of our hierarchy, which costs this process nothing.
const HELD_FOR: Duration = Duration::from_secs(60);

/// How long ago a process was attached, and what keeps the next one from waiting.
#[derive(Debug)]
pub struct Warmth {
    hierarchy: Arc<Hierarchy>,
    moves: Moves,
    warm: Option<Warm>,
}

#[derive(Debug)]
struct Warm {
    until: Instant,
    by: By,
}

#[derive(Debug)]
enum By {
    Holding(#[expect(dead_code, reason = "it is held")] Favor),
    Stirring { procs: File, last: Instant },
}

impl Warmth {
    /// Cold at first, where there is anything to keep warm.
    pub fn new(hierarchy: Arc<Hierarchy>) -> Warmth {
        let moves = hierarchy.moves().clone();
        Warmth { hierarchy, moves, warm: None }
    }

    /// A process was attached: others may follow.
    pub fn attached(&mut self) {
        if self.moves == Moves::Quick {
            return;
        }
        let by = self.warm.take().map(|warm| warm.by).or_else(|| self.begin());
        self.warm = by.map(|by| match by {
            By::Holding(_) => Warm { until: Instant::now() + HELD_FOR, by },
            By::Stirring { procs, .. } => {
                let last = Instant::now();
                Warm { until: last + STIRRED_FOR, by: By::Stirring { procs, last } }
            }
        });
    }

    fn begin(&mut self) -> Option<By> {
        if self.moves == Moves::OnDemand {
            match Favor::ask() {
                Ok(favor) => return Some(By::Holding(favor)),
                Err(error) => self.moves = Moves::Slow(error.to_string()),
            }
        }
        let procs = self.hierarchy.own_procs()?;
        Some(By::Stirring { procs, last: Instant::now() })
    }

    /// Does what it is time for.
    pub fn stir(&mut self) {
        let now = Instant::now();
        self.warm = self.warm.take().filter(|warm| now < warm.until);
        if let Some(Warm { by: By::Stirring { procs, last }, .. }) = &mut self.warm
            && now.duration_since(*last) >= STIR_EVERY
        {
            // What cannot be kept warm is cold, and no more than that.
            let _ = procs.write_all(std::process::id().to_string().as_bytes());
            *last = Instant::now();
        }
    }

    /// How long until it is to be stirred; `None` where it is not.
    pub fn due(&self) -> Option<Duration> {
        self.warm.as_ref().map(|warm| match warm.by {
            By::Holding(_) => warm.until.saturating_duration_since(Instant::now()),
            By::Stirring { .. } => STIR_EVERY,
        })
    }

    /// Whether the next process is in at once.
    pub fn is_warm(&self) -> bool {
        self.moves == Moves::Quick || self.warm.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_helps_a_hierarchy_is_held_and_not_stirred() {
        let mut warmth = Warmth { moves: Moves::OnDemand, ..Warmth::new(Hierarchy::weak()) };
        assert!(!warmth.is_warm(), "nobody came");
        warmth.attached();
        if warmth.moves != Moves::OnDemand {
            assert!(!warmth.is_warm(), "nor is there a group to be moved to");
            return eprintln!("skipped: {:?}", warmth.moves);
        }
        let due = warmth.due().expect("held for a while");
        assert!(warmth.is_warm() && due > HELD_FOR / 2 && due <= HELD_FOR);
        warmth.attached();
        assert!(warmth.due() > Some(due), "for as long again");
        warmth.warm = warmth.warm.map(|warm| Warm { until: Instant::now(), ..warm });
        warmth.stir();
        assert!(!warmth.is_warm() && warmth.due().is_none());
    }
}
