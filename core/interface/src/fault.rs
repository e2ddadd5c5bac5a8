//! Faults: what a plugin did wrong. A fault costs a strike and the round falls to the default.
use serde::{Deserialize, Serialize};

/// How a plugin failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum FaultKind {
    /// It said so itself.
    Failed = 1,
    /// It panicked; the guard in its own library caught it.
    Panicked = 2,
    /// It did not answer before the deadline.
    Overrun = 3,
    /// Its child process died.
    Died = 4,
    /// Its answer makes no sense: an index out of range, an amount that is not there.
    Nonsense = 5,
    /// It is quarantined and was not asked.
    Quarantined = 6,
    /// It placed nothing of what its stand-in placed a moment later. Only the host can tell.
    Idle = 7,
}

impl FaultKind {
    /// The kind from its number; unknown numbers are [`FaultKind::Nonsense`].
    pub fn of(number: u32) -> FaultKind {
        match number {
            1 => FaultKind::Failed,
            2 => FaultKind::Panicked,
            3 => FaultKind::Overrun,
            4 => FaultKind::Died,
            6 => FaultKind::Quarantined,
            _ => FaultKind::Nonsense,
        }
    }
}

/// A plugin's failure, with the plugin's id and what it said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// How.
    pub kind: FaultKind,
    /// Which plugin; empty until the host fills it in.
    pub plugin: String,
    /// In words, with the location of a panic.
    pub message: String,
}

impl Fault {
    /// A failure that the plugin reports itself.
    pub fn new(message: impl Into<String>) -> Fault {
        Fault::of(FaultKind::Failed, message)
    }

    /// A failure of the given kind.
    pub fn of(kind: FaultKind, message: impl Into<String>) -> Fault {
        Fault { kind, plugin: String::new(), message: message.into() }
    }

    /// The same failure, signed with the plugin's id.
    pub fn by(mut self, plugin: &str) -> Fault {
        self.plugin = plugin.into();
        self
    }
}

impl std::fmt::Display for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {:?}: {}", self.plugin, self.kind, self.message)
    }
}
impl std::error::Error for Fault {}
