//! What the front door needs of the house behind it: the one seam to the host.
use bursar_interface::{Ask, Change, ClaimId, Command, Principal, Process, Refusal, Role, Setting};
use bursar_wire as wire;
use std::future::Future;

/// Who is at the other end of a connection, as the kernel says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Process id at the time of connecting; unknown over TCP. It may have been recycled since.
    pub pid: Option<u32>,
    /// It came over the socket and has no pid here: it lives in another pid namespace, which is not seen from this one.
    pub unseen: bool,
}

/// What a submitted command came to, once it is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// The claim that it was about or that it made.
    pub claim: Option<ClaimId>,
}

/// What is known of a lease to whoever waits for it to be another thing; `None` for what it does not ask about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Known {
    /// What is being taken of it, one of [`bursar_wire::TAKING`].
    pub taking: Option<String>,
    /// What it feels of memory that runs short, one of [`bursar_wire::PRESSED`].
    pub pressed: Option<String>,
}

/// The house behind the door. Reads come from a published copy of the tables and are cheap; each
/// takes the principal that asks and shows only what that one may see.
pub trait House: Send + Sync + 'static {
    /// Who acts through a connection of this peer. Asked once, at accept.
    fn principal(&self, peer: &Peer) -> Principal;

    /// Hands a command in; resolves when its outcome is durable. Goes on though the future is dropped.
    ///
    /// # Errors
    /// What the engine refuses; `QueueFull` when too much waits for it; `Stopping` when it ends.
    fn submit(&self, by: Principal, body: Command) -> impl Future<Output = Result<Done, Refusal>> + Send;

    /// Hands commands in that stay together; resolves when the outcome of all of them is durable, in their
    /// order. One that is refused holds up none of the others. Goes on though the future is dropped.
    ///
    /// # Errors
    /// `QueueFull` when too much waits, `Stopping` when the house ends: then nothing was carried out.
    fn submit_all(
        &self,
        by: Principal,
        bodies: Vec<Command>,
    ) -> impl Future<Output = Result<Vec<Result<Done, Refusal>>, Refusal>> + Send;

    /// As [`House::submit`] of an ask. If it is granted at once, the process is attached in the same moment;
    /// otherwise it is not.
    ///
    /// # Errors
    /// Those of [`House::submit`].
    fn ask_to_join(
        &self,
        by: Principal,
        ask: Ask,
        process: Process,
    ) -> impl Future<Output = Result<Done, Refusal>> + Send;

    /// The processes that were attached to a claim that has not ended.
    fn bodies(&self, claim: ClaimId) -> Vec<Process>;

    /// Whether a process is there still.
    fn lives(&self, process: &Process) -> bool;

    /// Claims wait on whoever leaves; they do so after a restart as well, and that is written down when this returns.
    fn stay(&self, claims: &[ClaimId]);

    /// Resolves when a claim does not wait any more: granted, now or earlier.
    ///
    /// # Errors
    /// The refusal that the claim ended in, as the asker may see it, if it was never granted.
    fn decided(&self, by: &Principal, claim: ClaimId) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Resolves when every process attached so far lives inside the lease, or the lease has ended.
    fn enforced(&self, claim: ClaimId) -> impl Future<Output = ()> + Send;

    /// Resolves when no change of what a claim holds is under way.
    ///
    /// # Errors
    /// `InUse` when the last change could not be made true; `LeaseExpired` when the lease ended meanwhile.
    fn resized(&self, claim: ClaimId) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Resolves when something else is being taken from a lease than is known, or memory that runs short has it feel
    /// something else, or it ends.
    fn taken_otherwise(&self, claim: ClaimId, known: &Known) -> impl Future<Output = ()> + Send;

    /// Resolves when a claim is gone and what it held is free, or it is not known.
    fn closed(&self, claim: ClaimId) -> impl Future<Output = ()> + Send;

    /// Resolves when there is an event whose sequence is above `since`.
    fn moved(&self, since: u64) -> impl Future<Output = ()> + Send;

    /// The process that a peer calls `pid`, by identity, if it may live in a lease at all.
    ///
    /// # Errors
    /// `BadRequest` when there is no such process, it cannot be told for certain which one a peer in another pid
    /// namespace means, or no lease can own it: the daemon, what it runs under, and what the kernel runs.
    fn identify(&self, peer: &Peer, pid: u32) -> Result<Process, Refusal>;

    /// Lets another plugin decide from here on; resolves when that is durable.
    ///
    /// # Errors
    /// When there is no such plugin, it cannot serve, or the principal may not.
    fn use_strategy(
        &self,
        by: Principal,
        role: Role,
        plugin: String,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Lets whoever decided before decide again; resolves when that is durable.
    ///
    /// # Errors
    /// When nobody did, it cannot serve any more, or the principal may not.
    fn roll_back(&self, by: Principal, role: Role) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Carries out an operator's order about plugins; it outlives a restart.
    ///
    /// # Errors
    /// What is wrong with it; and when the principal may not.
    fn order(
        &self,
        by: Principal,
        order: wire::PluginOrder,
    ) -> impl Future<Output = Result<(), Refusal>> + Send;

    /// Sets all of it at one moment or none of it, and resolves when that is durable; with `dry_run` only
    /// says what would come of it. What comes of each is in their order.
    ///
    /// # Errors
    /// What the engine refuses: then nothing was set.
    fn apply(
        &self,
        by: Principal,
        settings: Vec<Setting>,
        dry_run: bool,
    ) -> impl Future<Output = Result<Vec<Change>, Refusal>> + Send;

    /// Resolves when no lease is on a node any more.
    fn emptied(&self, node: &str) -> impl Future<Output = ()> + Send;

    /// Whether claims are taken: the house is not ending, and the journal can be written.
    ///
    /// # Errors
    /// Why none are.
    fn ready(&self) -> Result<(), Refusal>;

    /// One claim, alive or remembered.
    fn claim(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim>;

    /// The same with its place in the line, if it waits.
    fn placed(&self, by: &Principal, id: ClaimId) -> Option<wire::Claim>;

    /// Every claim, alive or remembered.
    fn claims(&self, by: &Principal) -> Vec<wire::Claim>;

    /// With which changes an ask that was refused for want of something would be granted now; none where there
    /// are none, or there is no time to look for them.
    fn counter_offer(&self, by: &Principal, ask: &Ask) -> Vec<wire::Change>;

    /// Why a claim waits; `None` for one that is not known.
    fn explain(&self, by: &Principal, id: ClaimId) -> Option<wire::Explain>;

    /// Supplies.
    fn pools(&self, by: &Principal) -> Vec<wire::Pool>;

    /// Machines.
    fn nodes(&self, by: &Principal) -> Vec<wire::Node>;

    /// The demand tree.
    fn scopes(&self, by: &Principal) -> Vec<wire::Scope>;

    /// Bounds.
    fn quotas(&self, by: &Principal) -> Vec<wire::Quota>;

    /// Plugins, in use or not.
    fn plugins(&self, by: &Principal) -> Vec<wire::Plugin>;

    /// What holds work up.
    fn findings(&self, by: &Principal) -> Vec<wire::Bottleneck>;

    /// Figures: what metrics measured last, and what plugins count of themselves; for those who see everybody.
    fn metrics(&self, by: &Principal) -> Vec<wire::Metric>;

    /// Keys whose signature makes a library trusted.
    fn keys(&self, by: &Principal) -> Vec<wire::Key>;

    /// Who decides, by role.
    fn strategies(&self, by: &Principal) -> Vec<wire::Strategy>;

    /// What works on this host and what does not.
    fn doctor(&self, by: &Principal) -> wire::Doctor;

    /// Writes down what somebody who administers did or tried at once, with its places in the log and the time. What
    /// was carried out of it is on the disk when this returns.
    fn note(&self, acts: Vec<wire::AuditRow>);

    /// At most `max` rows of that log whose sequence is above `since`, oldest first.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn audit(&self, by: &Principal, since: u64, max: usize) -> Result<Vec<wire::AuditRow>, Refusal>;

    /// At most `max` events whose sequence is above `since`, oldest first. Events of one sequence are
    /// never parted, so that a reader may go on from the last sequence it saw.
    ///
    /// # Errors
    /// When events from there on are not kept any more.
    fn events(&self, by: &Principal, since: u64, max: usize) -> Result<Vec<wire::EventRow>, Refusal>;

    /// At most `max` events after a place, oldest first, wherever that ends, and the place after them. Goes past
    /// what does not concern the reader, so that nobody waits before it.
    ///
    /// # Errors
    /// As [`House::events`].
    fn events_after(
        &self,
        by: &Principal,
        place: Place,
        max: usize,
    ) -> Result<(Vec<wire::EventRow>, Place), Refusal>;
}

/// How far a reader of events has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// A sequence that is past.
    pub since: u64,
    /// Events above it that are past as well: what happened at once can be too much for one page.
    pub events: usize,
}
