//! How short something is, in four levels, with a hysteresis: up at once, down only when it has been well below for a
//! while, one level at a time.
use bursar_interface::Time;

/// How long it has to be well below a level before it counts as over, in nanoseconds (2 s).
const CALM_NS: u64 = 2_000_000_000;

/// All of it, in thousandths.
const ALL_MILLI: u64 = 1000;

/// How short something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// There is enough.
    #[default]
    Calm,
    /// Nobody more is let in.
    Pressed,
    /// What can be given up without harm is.
    Short,
    /// Somebody has to make room before the kernel takes it from anybody.
    Critical,
}

impl Level {
    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Level::Calm => "calm",
            Level::Pressed => "pressed",
            Level::Short => "short",
            Level::Critical => "critical",
        }
    }
}

/// Where each level begins, in thousandths of what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// [`Level::Pressed`].
    pub pressed: u64,
    /// [`Level::Short`].
    pub short: u64,
    /// [`Level::Critical`].
    pub critical: u64,
    /// So much below it is well below.
    pub slack: u64,
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds { pressed: 800, short: 900, critical: 950, slack: 50 }
    }
}

impl Thresholds {
    fn level(&self, milli: u64) -> Level {
        match milli {
            milli if milli >= self.critical => Level::Critical,
            milli if milli >= self.short => Level::Short,
            milli if milli >= self.pressed => Level::Pressed,
            _ => Level::Calm,
        }
    }

    fn begins(&self, level: Level) -> u64 {
        match level {
            Level::Calm => 0,
            Level::Pressed => self.pressed,
            Level::Short => self.short,
            Level::Critical => self.critical,
        }
    }
}

/// The level of one thing, look by look.
#[derive(Clone, Debug, Default)]
pub struct Levels {
    thresholds: Thresholds,
    level: Level,
    below_since: Option<Time>,
}

impl Levels {
    /// Levels that begin at these thresholds.
    pub fn new(thresholds: Thresholds) -> Levels {
        Levels { thresholds, ..Levels::default() }
    }

    /// The level as of the last look.
    pub fn level(&self) -> Level {
        self.level
    }

    /// Takes a look in: how much is in use, in thousandths of what there is, and how much will be at the next look
    /// if it goes on so. What is not so yet raises the level to [`Level::Short`] at most, unless there would be nothing
    /// left by then.
    pub fn look(&mut self, at: Time, milli: u64, soon_milli: u64) -> Level {
        let soon = if soon_milli >= ALL_MILLI { Level::Critical } else { Level::Short };
        let reached = self.thresholds.level(milli).max(self.thresholds.level(soon_milli).min(soon));
        let well_below = milli + self.thresholds.slack < self.thresholds.begins(self.level);
        if reached > self.level {
            (self.level, self.below_since) = (reached, None);
        } else if !well_below || reached == self.level {
            self.below_since = None;
        } else if at.0.saturating_sub(self.below_since.get_or_insert(at).0) >= CALM_NS {
            self.level = match self.level {
                Level::Critical => Level::Short,
                Level::Short => Level::Pressed,
                _ => Level::Calm,
            };
            self.below_since = Some(at);
        }
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn it_goes_up_at_once_and_down_when_it_has_been_well_below_for_a_while() {
        let mut levels = Levels::default();
        let mut at = 0;
        let mut look = |milli: u64| {
            at += SECOND;
            levels.look(Time(at), milli, milli)
        };
        assert_eq!(look(700), Level::Calm);
        assert_eq!(look(960), Level::Critical, "two levels at once");
        // Just below is not well below, and what swings around a threshold swings no level.
        assert_eq!([930, 960, 910, 940].map(&mut look), [Level::Critical; 4]);
        assert_eq!([880, 880, 880].map(&mut look), [Level::Critical, Level::Critical, Level::Short]);
        assert_eq!(
            [400; 5].map(&mut look),
            [Level::Short, Level::Pressed, Level::Pressed, Level::Calm, Level::Calm]
        );
    }

    #[test]
    fn what_is_not_so_yet_raises_it_to_short_unless_nothing_would_be_left() {
        let mut levels = Levels::default();
        assert_eq!(levels.look(Time(1), 500, 990), Level::Short);
        assert_eq!(levels.look(Time(2), 500, 500), Level::Short);
        assert_eq!(levels.look(Time(3), 500, 1000), Level::Critical);
    }
}
