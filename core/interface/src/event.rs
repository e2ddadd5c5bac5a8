//! What the engine did: the only truth. State is the fold of these, and nothing else.
use crate::{
    Amount, Change, ClaimId, Claimed, Decider, Ending, Fault, Fence, PoolId, Promise, Reason, Refusal, Role,
    Rung, ScopeId, Time, bound::LINES_MAX,
};
use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// The pool of each line of a claim, in order. It lives in the event itself: a grant allocates nothing.
pub type Places = ArrayVec<PoolId, LINES_MAX>;

/// Something that was done, and the input that caused it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Index of the input in its batch; `None` when time caused it.
    pub cause: Option<u32>,
    /// What was done.
    pub what: What,
}

/// What was done. Where a variant says *as asked*, the content is that of the causing input.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum What {
    /// A new start of the daemon, as told.
    Started,
    /// A kind, as told.
    ResourceSet,
    /// A node, as told.
    NodeSet,
    /// A pool, as told.
    PoolSet,
    /// A pool that sprang from its name, for the claim that is queued next.
    PoolSprang {
        /// Its identity.
        pool: PoolId,
        /// Name of the kind.
        resource: String,
        /// Its name.
        name: String,
    },
    /// A scope, as told.
    ScopeSet,
    /// A quota, as told.
    QuotaSet,
    /// The input was refused; nothing changed.
    Refused(Refusal),
    /// The same ask was answered before; nothing changed.
    Repeated(ClaimId),
    /// A claim entered the books, as asked.
    Queued {
        /// Its identity.
        claim: ClaimId,
        /// Its scope.
        scope: ScopeId,
    },
    /// Why a claim waits now.
    Waiting {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        reason: Reason,
        /// When what is short will have come back; [`Time`] 0 where that cannot be told.
        retry_at: Time,
    },
    /// A claim was granted.
    Granted {
        /// Which claim.
        claim: ClaimId,
        /// Its token.
        fence: Fence,
        /// The pool of each line, in order.
        pools: Places,
        /// When the lease ends unless it is renewed.
        lease_until: Time,
        /// Who decided.
        by: Arc<Decider>,
    },
    /// A process is to live inside the lease, as told.
    Attached(ClaimId),
    /// The lease is true.
    Enforced(ClaimId),
    /// What was used, as told.
    Settled(ClaimId),
    /// The lease lasts longer.
    Renewed {
        /// Which claim.
        claim: ClaimId,
        /// Until when now.
        lease_until: Time,
    },
    /// The lease ended; what it held is being taken back.
    Draining {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        ending: Ending,
    },
    /// What it held came back without proof and counts as used until there is one.
    Quarantined {
        /// Which claim.
        claim: ClaimId,
        /// What stands in the way.
        message: String,
    },
    /// The claim is gone and what it held is free.
    Closed {
        /// Which claim.
        claim: ClaimId,
        /// Why.
        ending: Ending,
    },
    /// A plugin failed; the linked-in default decided in its place.
    PluginFault {
        /// Which strategy.
        role: Role,
        /// What happened.
        fault: Fault,
    },
    /// Another plugin decides from here on, as told.
    Swapped,
    /// All of it was set, as told; what each setting came to, in order.
    Applied(Vec<Change>),
    /// The lease's node is draining: its holder is asked to leave.
    Leaving {
        /// Which claim.
        claim: ClaimId,
        /// When the lease ends, renewed or not.
        until: Time,
    },
    /// Of the sets of lines of a claim that is granted next, this one was taken.
    Chosen {
        /// Which claim.
        claim: ClaimId,
        /// Its number; 0 for the lines that the ask names first.
        alternative: u32,
    },
    /// A lease is to hold other amounts, and an edge must make that true first: what is more is held from
    /// now on, what is less only when the edge says so.
    Resizing {
        /// Which claim.
        claim: ClaimId,
        /// The lines that change.
        lines: Vec<LineSize>,
    },
    /// A lease holds other amounts from now on.
    Resized {
        /// Which claim.
        claim: ClaimId,
        /// The lines that changed.
        lines: Vec<LineSize>,
    },
    /// An edge could not make the new amounts true: the lease holds what it held.
    ResizeFailed {
        /// Which claim.
        claim: ClaimId,
        /// What stands in the way.
        message: String,
    },
    /// How far demands may fan out, as told.
    FanOutSet,
    /// What a claim held was proved back; it closes once those that draw from it have.
    Returned {
        /// Which claim.
        claim: ClaimId,
        /// Why it ended.
        ending: Ending,
    },
    /// Who takes from whom, as told.
    PreemptionSet,
    /// Others are to give back for somebody who waits; what they free is kept for it.
    Promised(Promise),
    /// A lease is to end for somebody who waits: its holder has until then to give it back by itself.
    Preempting {
        /// Which lease.
        claim: ClaimId,
        /// For whom.
        by: ClaimId,
        /// Until when.
        until: Time,
        /// Why.
        why: Claimed,
    },
    /// Nobody needs the lease any more: it goes on.
    Spared(ClaimId),
    /// What was kept for a waiting claim is anybody's again.
    Unpromised(ClaimId),
    /// A claim would have taken back from whoever took from its like a moment ago: it waits.
    LoopBroken {
        /// Who would have taken.
        claim: ClaimId,
        /// From whom.
        from: ClaimId,
    },
    /// What holds work up, as told; nothing of the books changed.
    Found,
    /// Waiting would close a circle: the claim, which is closed next, is refused.
    Deadlocked {
        /// Which claim.
        claim: ClaimId,
        /// Who waits for whom, from the claim on to a lease that its own asker holds; empty where there was too
        /// much to look at to tell.
        circle: Vec<Link>,
    },
    /// A supply is shared under other rules, as told.
    Shared,
    /// What a lease used over its life counts to its scope, as told.
    Measured(ClaimId),
    /// A lease that was told to end takes this rung. Shrunk: it is to hold less, and the change follows.
    /// Suspended: an edge is to freeze it. Told: others give back enough for now, and it has more time.
    Rung {
        /// Which lease.
        claim: ClaimId,
        /// Which rung.
        rung: Rung,
        /// When it takes the next one, unless nobody needs that any more.
        until: Time,
        /// The lines that are to hold less, with what they are to hold then.
        lines: Vec<LineSize>,
    },
    /// A rung cannot be had on this machine, or not now: the lease takes the next one.
    RungFailed {
        /// Which lease.
        claim: ClaimId,
        /// Which rung.
        rung: Rung,
        /// What stands in the way.
        message: String,
    },
    /// The processes of a lease are frozen, and what they do not use is given back.
    Suspended {
        /// Which lease.
        claim: ClaimId,
        /// When it ends, if there is no room to go on in by then.
        until: Time,
        /// The lines that gave back, with what they hold now.
        lines: Vec<LineSize>,
    },
    /// A suspended lease goes on: it holds so much from now on, and an edge is to thaw it.
    Resumed {
        /// Which lease.
        claim: ClaimId,
        /// The lines that hold more, with what they hold now.
        lines: Vec<LineSize>,
    },
    /// A strategy may leave waiting what would fit, as told: all who wait are tried again.
    Suspected,
    /// What was done because memory runs short, as told; nothing of the books changed.
    Squeezed(Option<ClaimId>),
    /// The daemon was held up, as told, and goes on.
    Woken,
}

/// One step of a circle: who waits for what, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// Who waits.
    pub claim: ClaimId,
    /// The kind that it waits for.
    pub resource: String,
    /// The pool, where it is that one alone.
    pub pool: Option<String>,
    /// The lease that holds it, whose holder asked for the next one.
    pub lease: ClaimId,
}

/// How much one line of a claim holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSize {
    /// Which of its lines, from 0.
    pub line: u32,
    /// How much, in base units.
    pub amount: Amount,
}
