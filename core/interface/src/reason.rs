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
    /// What would be right; empty where nothing helps.
    pub hint: String,
    /// After which it can be granted if nobody else asks, in nanoseconds; `None` where that cannot be told.
    pub retry_ns: Option<u64>,
}

impl Refusal {
    /// A refusal with a message and no hint.
    pub fn new(reason: Reason, message: impl Into<String>) -> Refusal {
        Refusal { reason, message: message.into(), hint: String::new(), retry_ns: None }
    }

    /// Adds after which time (ns) it is worth to ask again.
    pub fn after(mut self, retry_ns: Option<u64>) -> Refusal {
        self.retry_ns = retry_ns;
        self
    }

    /// Adds what would be right.
    pub fn hint(mut self, hint: impl Into<String>) -> Refusal {
        self.hint = hint.into();
        self
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.reason, self.message)
    }
}
