//! What the engine is told: one batch of inputs at one point in time.
use crate::{
    Amount, Ask, ClaimId, Decider, Event, FanOutSpec, Fault, Fence, Noted, Offer, PreemptionPolicy,
    Principal, Process, Proof, Reason, ResourceSpec, Role, Setting, Size, Squeeze, Time, Usage, Used,
};
use serde::{Deserialize, Serialize};

/// Whether a node takes claims.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum NodeState {
    /// Takes claims.
    #[default]
    Open = 0,
    /// Takes no new claims.
    Cordoned = 1,
    /// Takes no new claims, and those it has are to leave.
    Draining = 2,
    /// Not heard of.
    Lost = 3,
}

impl NodeState {
    /// The state of a cell of the nodes table.
    pub fn of(cell: u32) -> NodeState {
        [NodeState::Open, NodeState::Cordoned, NodeState::Draining]
            .get(cell as usize)
            .copied()
            .unwrap_or(NodeState::Lost)
    }
}

/// A machine as it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeSpec {
    /// Unique name.
    pub name: String,
    /// Label terms.
    pub labels: Vec<String>,
    /// Whether it takes claims.
    pub state: NodeState,
}

/// How a supply or a bound that is spent comes back: rates all the time, budgets when the period ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refill {
    /// In which the whole capacity (or limit) comes back, in nanoseconds; 0 for never.
    pub period_ns: u64,
    /// Rates: what may be spent at once; 0 for a whole period's.
    pub burst: Amount,
    /// Budgets: when the first period ends; [`Time`] 0 for one period from now.
    pub due: Time,
}

/// A supply as it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSpec {
    /// Name of the kind.
    pub resource: String,
    /// Name of the node; `None` for a floating pool.
    pub node: Option<String>,
    /// Name, unique among the pools of this kind on the node.
    pub name: String,
    /// What exists, in base units.
    pub capacity: Amount,
    /// Label terms, as a device's model.
    pub labels: Vec<String>,
    /// For kinds that are spent: how they come back.
    pub refill: Refill,
}

/// A scope as it is set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeSpec {
    /// Path from the root of the tree.
    pub path: String,
    /// Share of the parent relative to its siblings, from 1.
    pub weight: u32,
}

/// A bound as it is set; `None` is no bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaSpec {
    /// Scope path from the root of the tree.
    pub scope: String,
    /// Name of the kind.
    pub resource: String,
    /// What the scope can always have.
    pub guaranteed: Amount,
    /// What the scope and its children may hold together.
    pub limit: Option<Amount>,
    /// What may be borrowed above the guarantee.
    pub borrow_limit: Option<Amount>,
    /// What may be lent to siblings.
    pub lend_limit: Option<Amount>,
    /// For kinds that are spent: how the limit comes back.
    pub refill: Refill,
}

/// One thing that the engine is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Command {
    /// The daemon started: fences begin at `epoch << 40`; a new `boot` ends leases with processes.
    Start {
        /// Rises with every start, durable before anything is granted.
        epoch: u64,
        /// `/proc/sys/kernel/random/boot_id`.
        boot: String,
        /// Boot time at this start, in nanoseconds: with the batch's time it tells how long the
        /// daemon was away when it comes back within the same boot.
        boottime_ns: u64,
    },
    /// A kind of thing exists.
    SetResource(ResourceSpec),
    /// A machine exists, or changes.
    SetNode(NodeSpec),
    /// A supply exists, or changes.
    SetPool(PoolSpec),
    /// A scope exists, or changes.
    SetScope(ScopeSpec),
    /// A bound exists, or changes.
    SetQuota(QuotaSpec),
    /// Somebody demands.
    Ask(Ask),
    /// Its holder wants more time.
    Renew {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// From now on, in nanoseconds; 0 for what it asked for at first.
        ttl_ns: u64,
    },
    /// What was used, as measured.
    Settle {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// By kind.
        used: Vec<Used>,
    },
    /// Its holder gives it back.
    Release {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
    },
    /// Somebody with the right to do so ends it.
    Cancel {
        /// Which claim.
        claim: ClaimId,
    },
    /// A process is to live inside the lease.
    Attach {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// By identity.
        process: Process,
    },
    /// An edge made it true.
    Enforced {
        /// Which claim.
        claim: ClaimId,
        /// Attached processes that were joined to it so far; if more were attached meanwhile, it is
        /// not true yet.
        processes: u32,
    },
    /// An edge could not make it true.
    EnforceFailed {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        message: String,
    },
    /// The attached process is gone, and with it the reason for the lease.
    Exited {
        /// Which claim.
        claim: ClaimId,
    },
    /// An edge took it back, with proof.
    Reclaimed {
        /// Which claim.
        claim: ClaimId,
        /// The evidence.
        proof: Proof,
        /// The kernel killed it for passing its own memory limit.
        over_limit: bool,
    },
    /// An edge could not prove the return; it goes on trying.
    ReclaimFailed {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        message: String,
    },
    /// Another plugin decides from here on.
    Swap {
        /// Which strategy.
        role: Role,
        /// Which plugin, and where it runs.
        to: Decider,
    },
    /// Time went on.
    Tick,
    /// All of it is set at one moment, or none of it.
    Apply(Vec<Setting>),
    /// Its holder wants to hold more, in the same lease.
    Extend {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// What it is to hold then, line by line; nothing is below what it holds.
        to: Vec<Size>,
    },
    /// Its holder gives some of it back.
    Shrink {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// What it is to hold then, line by line; nothing is above what it holds.
        to: Vec<Size>,
    },
    /// An edge made the new size true.
    Resized {
        /// Which claim.
        claim: ClaimId,
    },
    /// An edge could not make the new size true; the old one is in force.
    ResizeFailed {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        message: String,
    },
    /// How far demands may fan out from here on.
    SetFanOut(FanOutSpec),
    /// Who takes from whom from here on.
    SetPreemption(PreemptionPolicy),
    /// What holds work up, as far as it appeared, changed or is over since it was last told.
    Find(Vec<Noted>),
    /// A supply is shared under these rules from here on.
    Share {
        /// Name of the kind.
        resource: String,
        /// Name of the node; `None` for a floating pool.
        node: Option<String>,
        /// Name of the pool.
        pool: String,
        /// The rules; `None` for what there is, to as many as fit.
        offer: Option<Offer>,
        /// Who decided.
        by: Decider,
        /// What went wrong with whoever was to decide.
        fault: Option<Fault>,
    },
    /// What a lease used over its life, measured at its end.
    Measured {
        /// Which claim.
        claim: ClaimId,
        /// How much.
        usage: Usage,
    },
    /// An edge has frozen a lease that is to be suspended.
    Frozen {
        /// Which claim.
        claim: ClaimId,
    },
    /// An edge could not freeze it: its processes go on.
    FreezeFailed {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        message: String,
    },
    /// A plugin that acts on the world, or measures it, failed by its own doing.
    Faulted {
        /// What it is.
        role: Role,
        /// What happened.
        fault: Fault,
    },
    /// A strategy may leave waiting what would fit. Whoever waits is tried again, and what its stand-in then places
    /// where it places nothing is its fault.
    Suspect {
        /// Which strategy.
        role: Role,
        /// Some of those who wait though there seems to be room, and why they do.
        left: Vec<Left>,
        /// Whether it is that others were placed past these: then only they are tried by its stand-in, whatever else
        /// it places.
        passed: bool,
    },
    /// What was done because memory runs short, and what that came to.
    Squeezed(Squeeze),
    /// Memory runs short, and a lease has to make room.
    Evict {
        /// Which claim.
        claim: ClaimId,
        /// How long its holder has to give it back by itself, in nanoseconds; 0 where it ends at once.
        grace_ns: u64,
    },
    /// There is room again, and a lease that was to make some goes on.
    Spare {
        /// Which claim.
        claim: ClaimId,
    },
    /// The daemon was held up, as while it was stopped or the machine slept: nobody could renew meanwhile.
    Woke,
}

/// A claim that waits though there seems to be room for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which claim.
    pub claim: ClaimId,
    /// Why it waits, as it was told.
    pub reason: Option<Reason>,
    /// How long it has waited, in nanoseconds.
    pub waited_ns: u64,
}

/// One input and who sent it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// As the transport knows it.
    pub by: Principal,
    /// What.
    pub body: Command,
}

/// What one step of the engine took in and gave out: one row of the journal.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Sequence of the first input; the others follow.
    pub first_seq: u64,
    /// When, for all of them.
    pub at: Time,
    /// What came in.
    pub inputs: Vec<Input>,
    /// What was done; events refer to their inputs and do not repeat them.
    pub events: Vec<Event>,
}

impl Batch {
    /// Sequence of the first input after this batch.
    pub fn next_seq(&self) -> u64 {
        self.first_seq + self.inputs.len() as u64
    }
}
