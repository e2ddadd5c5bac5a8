//! A demand, from the ask to its end: classes, phases, who asks, and for what.
use crate::{Amount, ClaimId, Fence};
use serde::{Deserialize, Serialize};

/// How firmly a claim is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u32)]
pub enum Class {
    /// Has what it asked for, always.
    Guaranteed = 0,
    /// Has what it asked for while others do not need their guarantee.
    #[default]
    Burstable = 1,
    /// Has what is left.
    BestEffort = 2,
}

/// Where a claim is in its life; it only moves down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u32)]
pub enum Phase {
    /// Waits.
    Pending = 0,
    /// Granted and durable.
    Reserved = 1,
    /// Granted and enforced.
    Held = 2,
    /// Ended; what it held is being taken back.
    Draining = 3,
    /// Gone.
    Closed = 4,
}

impl Phase {
    /// The phase of a cell of the claims table.
    pub fn of(cell: u32) -> Phase {
        [Phase::Pending, Phase::Reserved, Phase::Held, Phase::Draining]
            .get(cell as usize)
            .copied()
            .unwrap_or(Phase::Closed)
    }
}

impl Class {
    /// The class of a cell of the claims table.
    pub fn of(cell: u32) -> Class {
        [Class::Guaranteed, Class::Burstable].get(cell as usize).copied().unwrap_or(Class::BestEffort)
    }
}

/// Why a claim ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// Its holder gave it back.
    Released,
    /// It was cancelled before or during its lease.
    Cancelled,
    /// Nobody renewed it.
    LeaseExpired,
    /// It waited as long as it said it would.
    WaitExpired,
    /// Its process is gone.
    ProcessGone,
    /// It was killed for passing its own limit.
    OverLimit,
    /// It could not be made true.
    EnforceFailed,
    /// The machine was started anew.
    Rebooted,
    /// Its node was drained.
    Drained,
    /// The lease that it drew from ended, or what it waited for there was settled.
    ParentGone,
    /// Somebody had a better right to what it held.
    Preempted,
    /// Those for whom it waited would have waited for it.
    Deadlock,
    /// Memory ran short, and it had to make room.
    Evicted,
}

/// Who speaks, as the transport knows it; never as the request says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// The peer's user id.
    pub uid: u32,
    /// Root and the daemon's own user administer.
    pub admin: bool,
    /// The scope path below which it acts; empty for the root of the tree.
    pub root: String,
    /// The lease whose cgroup holds the peer, if any.
    pub within: Option<ClaimId>,
}

/// A process by identity: a pid alone may be recycled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Process id.
    pub pid: u32,
    /// Start time in clock ticks since boot, field 22 of `/proc/PID/stat`.
    pub started: u64,
    /// `/proc/sys/kernel/random/boot_id`.
    pub boot: String,
}

/// One line of an ask.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineAsk {
    /// Name of the kind.
    pub resource: String,
    /// How much, in base units.
    pub amount: Amount,
    /// Only from the pool of this name.
    pub pool: Option<String>,
    /// Only from pools that carry one of these label terms; empty for any.
    pub models: Vec<String>,
    /// For kinds whose pools spring from a name, and refused for any other: take all of the pool, whatever its size.
    pub whole: bool,
    /// What its processes may use without being slowed down, in base units, where an edge can tell that from
    /// `amount`, which they can never pass; `None` for all of that.
    pub soft: Option<Amount>,
}

/// A demand for all of its lines or nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Same principal and key: same answer, one effect.
    pub key: Option<String>,
    /// Scope path below the principal's root; empty for the root itself.
    pub scope: String,
    /// How firmly.
    pub class: Class,
    /// Larger comes first within the class.
    pub priority: u32,
    /// How long to wait in nanoseconds; 0 for an answer at once.
    pub wait_ns: u64,
    /// How long the lease lasts without renewal, in nanoseconds.
    pub ttl_ns: u64,
    /// The caller's own estimate of its run time in nanoseconds; 0 for unknown.
    pub expect_ns: u64,
    /// What for.
    pub lines: Vec<LineAsk>,
    /// Label terms that the node must all have.
    pub need: Vec<String>,
    /// Label terms of which the node must have none.
    pub bar: Vec<String>,
    /// Scope path of which no two claims share a node.
    pub apart: Option<String>,
    /// Other sets of lines that would do as well, in order of preference after `lines`: the first that fits
    /// is granted.
    pub alternatives: Vec<Vec<LineAsk>>,
    /// Whose lines it draws from.
    pub within: Within,
    /// Others of the scope that it is granted together with, or not at all.
    pub gang: Option<Gang>,
    /// Leases that the asker holds and keeps until this is granted, besides the one that it draws from and those
    /// around it: so that a circle of those who wait for each other is found.
    pub holding: Vec<ClaimId>,
}

/// How much a live lease is to hold of one of its lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Size {
    /// Name of the kind.
    pub resource: String,
    /// Only the line that was taken from the pool of this name.
    pub pool: Option<String>,
    /// How much from now on, in base units; not how much more or less.
    pub amount: Amount,
}

/// Whose lines an ask draws from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Within {
    /// Those of the lease that the asker lives in; the pools' where it lives in none.
    #[default]
    Own,
    /// The pools', wherever the asker lives: for those who administer.
    Pools,
    /// Those of a lease by name, with its token where the asker neither sees all nor lives in it.
    Lease(ClaimId, Option<Fence>),
}

impl Ask {
    /// The claim that an ask of this principal draws from, if any.
    pub fn parent(&self, by: &Principal) -> Option<ClaimId> {
        match self.within {
            Within::Own => by.within,
            Within::Pools => None,
            Within::Lease(claim, _) => Some(claim),
        }
    }
}

/// Claims of one scope that are granted together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gang {
    /// What they call it; free again once they were granted.
    pub name: String,
    /// How many they are: nothing is granted before so many wait.
    pub size: u32,
}

/// What was really used of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Used {
    /// Name of the kind.
    pub resource: String,
    /// Only what was taken from the pool of this name.
    pub pool: Option<String>,
    /// How much, in base units of that kind (bytes: the peak; millicores: the mean).
    pub amount: Amount,
}
