//! How a loaded plugin is doing: its strikes, and what it did last.
use bursar_interface::{Fault, FaultKind};
use std::sync::{
    Mutex, PoisonError,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// Strikes of one plugin. At the bound it is quarantined: not asked again.
#[derive(Debug)]
pub struct Health {
    strikes: AtomicU32,
    strikes_max: u32,
    last: Mutex<Option<String>>,
    /// It was late at least once.
    suspected: AtomicBool,
}

impl Health {
    /// No strikes yet, quarantine at `strikes_max`.
    pub fn new(strikes_max: u32) -> Health {
        Health {
            strikes: AtomicU32::new(0),
            strikes_max: strikes_max.max(1),
            last: Mutex::new(None),
            suspected: AtomicBool::new(false),
        }
    }

    /// Counts a strike.
    pub fn strike(&self, why: &str) {
        self.strikes.fetch_add(1, Ordering::Relaxed);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(why.to_owned());
    }

    /// Strikes so far.
    pub fn strikes(&self) -> u32 {
        self.strikes.load(Ordering::Relaxed)
    }

    /// Whether it has too many.
    pub fn quarantined(&self) -> bool {
        self.strikes() >= self.strikes_max
    }

    /// What the last strike was for.
    pub fn last(&self) -> Option<String> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It was late: from now on its cpu time is measured.
    pub(crate) fn suspect(&self) {
        self.suspected.store(true, Ordering::Relaxed);
    }

    /// Whether it was late at least once.
    pub(crate) fn suspected(&self) -> bool {
        self.suspected.load(Ordering::Relaxed)
    }

    /// Lets a call through, unless the plugin is quarantined.
    pub(crate) fn admit(&self) -> Result<(), Fault> {
        match self.quarantined() {
            true => Err(Fault::of(FaultKind::Quarantined, self.last().unwrap_or_default())),
            false => Ok(()),
        }
    }

    /// Counts a fault that is the plugin's own.
    pub(crate) fn count(&self, fault: Fault) -> Fault {
        self.strike(&format!("{:?}: {}", fault.kind, fault.message));
        fault
    }
}
