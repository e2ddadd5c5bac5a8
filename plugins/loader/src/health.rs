//! How a loaded plugin is doing: its strikes, what it did last, and how long it is not asked.
use bursar_interface::{Fault, FaultKind};
use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

/// The longest pause of a plugin that fails each time it is asked again.
pub const PAUSE_MAX: Duration = Duration::from_secs(3600);
/// The same of one that acts on the world: there is no default in its stead, and what it holds is to come back.
pub(crate) const WORLD_PAUSE_MAX: Duration = Duration::from_secs(60);
/// Bytes that are kept of what a plugin says of a fault.
const MESSAGE_BYTES_MAX: usize = 2048;
/// A pause is this many times the one before.
const BACK_OFF: u32 = 2;
/// After so long without a strike a plugin is as good as new.
const FORGIVEN: Duration = Duration::from_secs(3600);

/// Strikes of one plugin. At the bound it is quarantined: not asked for a while, then once; if it fails again,
/// for twice as long.
#[derive(Debug)]
pub struct Health {
    strikes: AtomicU32,
    strikes_max: u32,
    first_pause: Duration,
    pause_max: Duration,
    /// What it says itself of the world is no fault of its own.
    candid: bool,
    ward: Mutex<Ward>,
    /// It was late at least once.
    suspected: AtomicBool,
}

#[derive(Debug, Default)]
struct Ward {
    last: Option<String>,
    struck: Option<Instant>,
    until: Option<Instant>,
    pause: Duration,
}

impl Health {
    /// No strikes yet, quarantine at `strikes_max`, at first for `pause`.
    pub fn new(strikes_max: u32, pause: Duration) -> Health {
        Health {
            strikes: AtomicU32::new(0),
            strikes_max: strikes_max.max(1),
            first_pause: pause,
            pause_max: PAUSE_MAX,
            candid: false,
            ward: Mutex::default(),
            suspected: AtomicBool::new(false),
        }
    }

    /// The same of a driver, a metric or a kind: that a port is in use still, or a figure not to be had, is news of
    /// the world and no strike.
    pub fn of_the_world(strikes_max: u32, pause: Duration) -> Health {
        let pause_max = WORLD_PAUSE_MAX;
        Health { candid: true, pause_max, ..Health::new(strikes_max, pause.min(pause_max)) }
    }

    fn ward(&self) -> MutexGuard<'_, Ward> {
        self.ward.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a strike; says for how long the plugin is not asked, if this one was too many.
    pub fn strike(&self, why: &str) -> Option<Duration> {
        let mut ward = self.ward();
        if ward.struck.is_some_and(|struck| struck.elapsed() > FORGIVEN) {
            self.strikes.store(0, Ordering::Relaxed);
            ward.pause = Duration::ZERO;
        }
        ward.struck = Some(Instant::now());
        ward.last = Some(why.to_owned());
        let strikes = self.strikes.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        if strikes < self.strikes_max {
            return None;
        }
        ward.pause = match ward.pause {
            Duration::ZERO => self.first_pause,
            pause => (pause * BACK_OFF).min(self.pause_max),
        };
        ward.until = Some(Instant::now() + ward.pause);
        Some(ward.pause)
    }

    /// Strikes so far.
    pub fn strikes(&self) -> u32 {
        self.strikes.load(Ordering::Relaxed)
    }

    /// For how long yet it is not asked; `None` if it is.
    pub fn quarantined(&self) -> Option<Duration> {
        if self.strikes() < self.strikes_max {
            return None;
        }
        let left = self.ward().until?.saturating_duration_since(Instant::now());
        (!left.is_zero()).then_some(left)
    }

    /// What the last strike was for.
    pub fn last(&self) -> Option<String> {
        self.ward().last.clone()
    }

    /// It was late: from now on its cpu time is measured.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    /// Whether it was late at least once.
    pub(crate) fn suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Lets a call through, unless the plugin is quarantined. The first one afterwards is a trial: one more
    /// strike, and it is quarantined again.
    pub(crate) fn admit(&self) -> Result<(), Fault> {
        if self.strikes() < self.strikes_max {
            return Ok(());
        }
        match self.quarantined() {
            Some(_) => Err(Fault::of(FaultKind::Quarantined, self.last().unwrap_or_default())),
            None => {
                self.strikes.store(self.strikes_max - 1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Counts a fault that is the plugin's own; the last one that is borne says so.
    pub(crate) fn count(&self, mut fault: Fault) -> Fault {
        fault.message = printable(&fault.message, MESSAGE_BYTES_MAX);
        if self.candid && fault.kind == FaultKind::Failed {
            return fault;
        }
        let pause = self.strike(&format!("{:?}: {}", fault.kind, fault.message));
        if let Some(pause) = pause {
            fault.message += &format!("; that is one too many: it is not asked for {pause:?}");
        }
        fault
    }
}

/// What a plugin said, up to `most` bytes of it, without what would move a cursor.
pub(crate) fn printable(said: &str, most: usize) -> String {
    let mut text: String = said
        .chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .scan(0, |bytes, letter| {
            *bytes += letter.len_utf8();
            (*bytes <= most).then_some(letter)
        })
        .collect();
    if text.len() < said.len() {
        text += " [cut off]";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_millis(20);

    fn fault() -> Fault {
        Fault::new("no")
    }

    #[test]
    fn the_strike_that_is_one_too_many_says_so_and_then_nobody_asks() {
        let health = Health::new(2, Duration::from_secs(30));
        assert_eq!(health.count(fault()).message, "no");
        assert!(health.admit().is_ok());
        assert!(health.count(fault()).message.contains("not asked for 30s"));
        assert_eq!(health.admit().expect_err("quarantined").kind, FaultKind::Quarantined);
        assert!(health.quarantined().is_some_and(|left| left <= Duration::from_secs(30)));
    }

    #[test]
    fn it_is_tried_again_and_each_failure_doubles_the_pause() {
        let health = Health::new(3, SHORT);
        (0..2).for_each(|_| assert_eq!(health.strike("no"), None));
        for doubled in [SHORT, SHORT * 2, SHORT * 4] {
            assert_eq!(health.strike("no"), Some(doubled));
            while health.quarantined().is_some() {
                std::thread::sleep(SHORT / 4);
            }
            assert!(health.admit().is_ok(), "a trial");
        }
        assert!(health.admit().is_ok(), "it went well, so it is asked again");
    }

    #[test]
    fn there_is_an_end_to_doubling() {
        let health = Health::new(1, PAUSE_MAX / 2 + SHORT);
        assert_eq!(health.strike("no"), Some(PAUSE_MAX / 2 + SHORT));
        assert_eq!(health.strike("no"), Some(PAUSE_MAX));
        assert_eq!(health.strike("no"), Some(PAUSE_MAX));
    }

    #[test]
    fn news_of_the_world_are_no_strike_and_all_else_is() {
        let health = Health::of_the_world(1, PAUSE_MAX);
        assert_eq!(health.count(fault()).message, "no");
        assert!(health.admit().is_ok() && health.strikes() == 0);
        let told = health.count(Fault::of(FaultKind::Panicked, "three is a crowd")).message;
        assert!(told.contains("not asked for 60s"), "{told}");
        assert_eq!(health.admit().expect_err("quarantined").kind, FaultKind::Quarantined);
    }

    #[test]
    fn nobody_says_more_than_can_be_shown() {
        assert_eq!(printable("it\u{1b}[31m sticks", 99), "it [31m sticks");
        assert_eq!(printable("ääää", 5), "ää [cut off]");
    }
}
