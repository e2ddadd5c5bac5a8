//! What is done when memory runs short, step by step, and what each step came to: told by the host, written down.
use crate::{Amount, ClaimId};
use serde::{Deserialize, Serialize};

/// What is done, from the mildest to the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// No more is promised than is promised already.
    Stop,
    /// A holder is asked to use less.
    Ask,
    /// The daemon gives back what it keeps for itself only to be faster.
    Purge,
    /// The kernel takes back what it can of a lease: files that it keeps in memory.
    Reclaim,
    /// The operator's command for the class has a lease's processes give back what they do not need.
    Collect,
    /// A lease's processes are slowed down as long as they want more.
    Slow,
    /// A lease's processes are held still.
    Freeze,
    /// A lease is to end, and its holder has a grace.
    Evict,
    /// A lease ends at once.
    Kill,
}

impl Step {
    /// Every step, from the mildest to the last.
    pub const ALL: [Step; 9] = [
        Step::Stop,
        Step::Ask,
        Step::Purge,
        Step::Reclaim,
        Step::Collect,
        Step::Slow,
        Step::Freeze,
        Step::Evict,
        Step::Kill,
    ];

    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Step::Stop => "stop",
            Step::Ask => "ask",
            Step::Purge => "purge",
            Step::Reclaim => "reclaim",
            Step::Collect => "collect",
            Step::Slow => "slow",
            Step::Freeze => "freeze",
            Step::Evict => "evict",
            Step::Kill => "kill",
        }
    }
}

/// What a step came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Came {
    /// It was taken; what comes of it is not known yet, or nothing is to come of it.
    Taken,
    /// So many bytes were freed by it, as measured; `None` where that cannot be.
    Freed(Option<Amount>),
    /// It cannot be taken here, or failed, and why.
    Unavailable(String),
    /// It is over: what was stopped, slowed down or held still goes on.
    Undone,
}

/// One step, and why it was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Squeeze {
    /// Which.
    pub step: Step,
    /// Of which lease; `None` for one that is about all.
    pub claim: Option<ClaimId>,
    /// What it came to.
    pub came: Came,
    /// Memory that is in use and cannot simply be dropped, in bytes.
    pub used: Amount,
    /// What there is of it, in bytes.
    pub there: Amount,
    /// Asked to use less: how much its holder is to use at most, in bytes; 0 for all other steps.
    pub to: Amount,
}
