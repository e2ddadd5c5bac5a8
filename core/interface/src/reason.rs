//! Refusals: an answer, never an error. The names are the field's.
use serde::{Deserialize, Serialize};

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a claim waits or was refused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[repr(u32)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// Every reason, in the order of their numbers.
            pub const ALL: &'static [Reason] = &[$(Reason::$name),*];

            /// The name, as it stands in answers.
            pub fn name(self) -> &'static str {
                match self { $(Reason::$name => stringify!($name)),* }
            }

            /// The reason in a cell of the claims table (number plus one; 0 for none).
            pub fn of(cell: u32) -> Option<Reason> {
                Reason::ALL.get((cell as usize).checked_sub(1)?).copied()
            }
        }
    };
}

reasons! {
    /// The ask itself is malformed.
    BadRequest,
    /// A limit of the scope or of one above it is reached.
    InsufficientQuota,
    /// Not enough is free.
    InsufficientCapacity,
    /// Enough is free, but not together.
    Fragmented,
    /// The rest of the gang does not fit yet.
    WaitingForGang,
    /// The period's budget is spent.
    BudgetExhausted,
    /// The rate is used up for now.
    RateLimited,
    /// The named thing is somebody else's at the moment.
    HeldByOther,
    /// Others are being asked to give back.
    PreemptionPending,
    /// The nodes that could take it do not accept claims.
    Cordoned,
    /// No node could take it even if the whole fleet were idle.
    NeverFits,
    /// The token is not that of the lease.
    StaleFence,
    /// Not yours to touch.
    Forbidden,
    /// No such kind of thing.
    UnknownResource,
    /// No such claim, or none that you may see.
    UnknownClaim,
    /// Too many claims wait already.
    QueueFull,
    /// The journal cannot be written.
    StorageFull,
    /// It waited as long as it said it would.
    WaitExpired,
    /// The lease has ended.
    LeaseExpired,
    /// Waiting would close a circle.
    Deadlock,
    /// Too many, too deep, too fast.
    FanOut,
    /// What was to be given back is in use, or is being changed at the moment.
    InUse,
    /// Nothing has that name: no node, no plugin.
    NotFound,
    /// The daemon is about to stop.
    Stopping,
    /// A plugin did not start, or not answer as it should.
    PluginFailed,
}

impl Reason {
    /// What would be right, where nobody knows better.
    pub fn hint(self) -> &'static str {
        match self {
            Reason::BadRequest => "see `bursar --help` for what can be said, and how",
            Reason::InsufficientQuota => {
                "ask for less, wait for it with --wait 30s, or have an operator raise the quota"
            }
            Reason::InsufficientCapacity => "ask for less, or wait for it with --wait 30s",
            Reason::Fragmented => "ask for less in one claim, or wait for it with --wait 30s",
            Reason::WaitingForGang => "have the rest of the gang ask, and wait for it with --wait 30s",
            Reason::BudgetExhausted => "ask for less, or again in the next period",
            Reason::RateLimited => "ask for less, or again later",
            Reason::HeldByOther => "wait for it with --wait 30s; `bursar explain` tells who holds it",
            Reason::PreemptionPending => "wait for it: others are being asked to give back",
            Reason::Cordoned => "wait until a node is open again; see `bursar get nodes`",
            Reason::NeverFits => "ask for no more than there is; see `bursar get pools`",
            Reason::StaleFence => "use the fence that the grant gave",
            Reason::Forbidden => "stay within your own scope, or have an operator do it",
            Reason::UnknownResource => "see `bursar get pools` for the kinds that there are",
            Reason::UnknownClaim => "see `bursar get claims`",
            Reason::QueueFull => "try again later",
            Reason::StorageFull => "give back what is held, and make room on the disk",
            Reason::WaitExpired => "wait longer, or ask for less",
            Reason::LeaseExpired => "claim anew: what has ended does not come back",
            Reason::Deadlock => "give back what is held first, or ask for all of it in one claim",
            Reason::FanOut => "end some of what runs already, or slow down",
            Reason::InUse => "try again in a moment",
            Reason::NotFound => "`bursar get` and `bursar plugin list` tell what there is",
            Reason::Stopping => "ask again when the daemon is back",
            Reason::PluginFailed => "see `bursar plugin list` for what it said",
        }
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A refusal as it is told: what, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Which refusal.
    pub reason: Reason,
    /// Names the input and what is wrong with it.
    pub message: String,
    /// What would be right.
    pub hint: String,
    /// After which it can be granted if nobody else asks, in nanoseconds; `None` where that cannot be told.
    pub retry_ns: Option<u64>,
}

impl Refusal {
    /// A refusal with a message, and the hint that goes with its reason.
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into(), hint: reason.hint().into(), retry_ns: None }
    }

    /// Adds after which time (ns) it is worth to ask again.
    pub fn after(mut self, retry_ns: Option<u64>) -> Refusal {
        self.retry_ns = retry_ns;
        self
    }

    /// Says better what would be right; nothing of it leaves what was said.
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = Some(hint.into()).filter(|hint| !hint.is_empty()).unwrap_or(self.hint);
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
