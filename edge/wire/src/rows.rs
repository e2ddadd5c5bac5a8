//! What is shown: one type per row of the contract, wrapped in one document per list.
use crate::{
    CircleLink, ScopeWait, WaitPart,
    text::{Digits, MaybeDigits},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The phase of a claim that waits.
pub const PENDING: &str = "pending";
/// The ending of a claim that would have waited forever.
pub const DEADLOCK: &str = "deadlock";

/// How far the taking back of a lease has come, in words: nothing is taken, its holder was told, it holds less,
/// its processes are frozen.
pub const TAKING: [&str; 4] = ["none", "told", "shrunk", "suspended"];

/// A demand, from ask to return.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Identity.
    #[serde(with = "Digits")]
    pub id: u64,
    /// The lease's token; null while it waits, and for claims of others.
    #[serde(with = "MaybeDigits")]
    pub fence: Option<u64>,
    /// Scope path.
    pub scope: String,
    /// `pending`, `reserved`, `held`, `draining` or `closed`.
    pub phase: String,
    /// `guaranteed`, `burstable` or `best-effort`.
    pub class: String,
    /// Larger comes first within the class.
    pub priority: u32,
    /// What for.
    pub lines: Vec<Line>,
    /// When it was asked, RFC 3339.
    pub asked_at: Option<String>,
    /// When the lease ends unless it is renewed, RFC 3339.
    pub lease_until: Option<String>,
    /// How long it waited or has waited so far, in milliseconds.
    pub waited_ms: Option<u64>,
    /// Why it waits or was refused.
    pub reason: Option<String>,
    /// Why it ended.
    pub ending: Option<String>,
    /// What proves that all of it came back.
    pub evidence: Option<String>,
    /// What it holds came back without proof and counts as used.
    pub quarantined: bool,
    /// The node it was placed on.
    pub node: Option<String>,
    /// Attached processes.
    pub pids: Vec<u32>,
    /// Which set of lines it was granted by, 0 for the one that was asked for first; null where it had no
    /// choice, and while it waits.
    #[serde(default)]
    pub alternative: Option<u32>,
    /// The lease that it draws from; null for one that draws from the pools alone.
    #[serde(with = "MaybeDigits", default)]
    pub within: Option<u64>,
    /// The lease is to end for a claim with a better right; null while it is not.
    #[serde(default)]
    pub preempting: Option<Preempting>,
    /// What it uses, or used until it ended; null for one that had no processes, and for one that ended before the
    /// daemon started.
    #[serde(default)]
    pub usage: Option<crate::UsageRow>,
    /// It goes on with less than it was granted, for the sake of a claim with a better right; null where it
    /// holds what it should.
    #[serde(default)]
    pub lessened: Option<Lessened>,
    /// Its place among all who wait, in the order in which they are served, from 1; null if it does not wait, if its
    /// gang is not complete, and in answers to asks and orders.
    #[serde(default)]
    pub position: Option<u64>,
    /// What it waited for, or has waited for so far, and who held that; null where that is not known.
    #[serde(default)]
    pub blame: Option<Vec<WaitPart>>,
    /// What its processes find in their environment because of what it holds, as `BURSAR_SCRATCH`.
    #[serde(default)]
    pub environment: BTreeMap<String, String>,
    /// What was done to it of late because memory runs short, newest first; left out where nothing was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pressure: Vec<crate::SqueezeRow>,
}

impl Claim {
    /// How far the taking back of the lease has come: one of [`TAKING`].
    pub fn taking(&self) -> &str {
        let frozen = self.lessened.as_ref().filter(|lessened| lessened.state == TAKING[3]);
        let told = || self.preempting.as_ref().map(|preempting| preempting.rung.as_str());
        let less = || self.lessened.as_ref().map(|lessened| lessened.state.as_str());
        let word = frozen.map(|lessened| lessened.state.as_str()).or_else(told).or_else(less);
        word.unwrap_or(TAKING[0])
    }

    /// What the lease feels of memory that runs short, one of [`crate::PRESSED`]; and how much it is to use at most, in
    /// bytes, where it is asked to use less.
    pub fn pressed(&self) -> (&'static str, Option<u64>) {
        crate::squeeze::pressed(&self.pressure)
    }
}

/// That a lease is to end for another.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Preempting {
    /// Until when it may be given back by itself, RFC 3339; then its processes are ended.
    pub until: Option<String>,
    /// `lent`: what it holds was borrowed, and is wanted back; `band`: a better class or priority waits.
    pub why: String,
    /// How far it has come: `told`, `shrunk` or `suspended`; what is next is that the lease ends.
    #[serde(default)]
    pub rung: String,
}

/// What was taken from a lease that goes on, until there is room for it again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lessened {
    /// `shrunk`, or `suspended`: its processes are frozen.
    pub state: String,
    /// When a suspended lease ends, if there is no room to go on in by then, RFC 3339; null for one that is
    /// not.
    pub until: Option<String>,
    /// What it held before, of what it holds less of now.
    pub before: Vec<Line>,
}

/// One line of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Line {
    /// Name of the kind.
    pub resource: String,
    /// How much, in base units.
    #[serde(with = "Digits")]
    pub amount: u64,
    /// The pool it was taken from, or the one that was named.
    pub pool: Option<String>,
    /// What was really used, as measured.
    #[serde(with = "MaybeDigits")]
    pub used: Option<u64>,
    /// It is drawn from the lease that the claim is within, and not from a pool again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub within: bool,
    /// Of memory: how much may be used without being slowed down, in base units, where that was asked for.
    #[serde(with = "MaybeDigits", default, skip_serializing_if = "Option::is_none")]
    pub soft: Option<u64>,
}

/// A supply.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pool {
    /// Name, unique among the pools of its kind on its node.
    pub id: String,
    /// The node; null for a floating pool.
    pub node: Option<String>,
    /// Name of the kind.
    pub resource: String,
    /// `capacity`, `rate`, `budget` or `unit`.
    pub shape: String,
    /// What exists.
    #[serde(with = "Digits")]
    pub capacity: u64,
    /// What may be promised.
    #[serde(with = "Digits")]
    pub offered: u64,
    /// What can be promised now; 0 also where more is in use than is offered since a supply shrank.
    #[serde(with = "Digits", default)]
    pub free: u64,
    /// What is promised and not yet enforced.
    #[serde(with = "Digits")]
    pub reserved: u64,
    /// What is in use.
    #[serde(with = "Digits")]
    pub held: u64,
    /// What came back without proof.
    #[serde(with = "Digits")]
    pub quarantined: u64,
    /// What is spent and not yet back, of a rate or a budget.
    #[serde(with = "Digits", default)]
    pub spent: u64,
    /// In which all of it comes back, in milliseconds; null for what never does by itself.
    pub period_ms: Option<u64>,
}

/// A machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Node {
    /// Name.
    pub id: String,
    /// `open`, `cordoned`, `draining` or `lost`.
    pub state: String,
    /// Label terms.
    pub labels: Vec<String>,
    /// Leases on it, those that are being taken back included.
    #[serde(default)]
    pub leases: u64,
    /// Draining: when the leases on it end, RFC 3339.
    #[serde(default)]
    pub until: Option<String>,
}

/// A level of the demand tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Scope {
    /// Path; empty at the root.
    pub path: String,
    /// Share of the parent relative to its siblings.
    pub weight: u32,
    /// Live claims of the scope itself.
    pub claims: u32,
    /// What the leases of the scope and of all below it use and used.
    #[serde(default)]
    pub usage: crate::SpentRow,
    /// What its claims and those below it waited for, by kind.
    #[serde(default)]
    pub waits: Vec<ScopeWait>,
    /// How long claims that the asker may see waited for what it and those below it held, in nanoseconds.
    #[serde(with = "Digits", default)]
    pub caused_ns: u64,
}

/// A bound.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quota {
    /// Scope path.
    pub scope: String,
    /// Name of the kind.
    pub resource: String,
    /// What the scope can always have.
    #[serde(with = "Digits")]
    pub guaranteed: u64,
    /// What the scope and its children may hold together; null for no limit.
    #[serde(with = "MaybeDigits")]
    pub limit: Option<u64>,
    /// What they hold, and what they spent and is not yet back.
    #[serde(with = "Digits")]
    pub charged: u64,
    /// What may be borrowed above the guarantee; null for no limit.
    #[serde(with = "MaybeDigits", default)]
    pub borrow_limit: Option<u64>,
    /// What of the guarantee may be lent to siblings; null for all of it.
    #[serde(with = "MaybeDigits", default)]
    pub lend_limit: Option<u64>,
    /// In which the limit comes back, in milliseconds; null for what never does by itself.
    pub period_ms: Option<u64>,
}

/// A plugin that was found, used or not.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Plugin {
    /// Name within its role.
    pub id: String,
    /// The library that it came in.
    pub library: String,
    /// Version of the library.
    pub version: String,
    /// Interface.
    pub role: String,
    /// `inline`, `child` or `linked`.
    pub home: String,
    /// `active`, `ready`, `quarantined`, `disabled` or `refused`.
    pub state: String,
    /// The file; null for what is linked in.
    pub path: Option<String>,
    /// Its checksum.
    pub sha256: Option<String>,
    /// Why it may run in the daemon's own process: `listed`, or `signed by KEY`; null if it may not.
    #[serde(default)]
    pub trust: Option<String>,
    /// Why it is not in use.
    pub reason: Option<String>,
}

/// A key whose signature makes a library trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Key {
    /// As minisign prints it.
    pub key: String,
    /// What it is for.
    pub note: String,
}

/// Who decides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Strategy {
    /// Which decision.
    pub role: String,
    /// Which plugin.
    pub plugin: String,
    /// Where it runs.
    pub home: String,
    /// Faults so far.
    pub faults: u64,
}

/// Why a claim waits.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Explain {
    /// Which claim.
    #[serde(with = "Digits")]
    pub claim: u64,
    /// Where it is in its life.
    pub phase: String,
    /// The reason in a word; null if it does not wait.
    pub reason: Option<String>,
    /// Its place among all who wait, in the order in which they are served, from 1; null if it does not wait, or its
    /// gang is not complete.
    #[serde(default)]
    pub position: Option<u64>,
    /// What is missing.
    pub waiting_on: Vec<WaitingOn>,
    /// How long it will wait from now on, by how long such holders last; null where too little is known of them.
    pub eta_ms: Option<Eta>,
    /// The smallest changes, each of which would be granted now in the place of the claim; of several sets of lines
    /// whose that gives up least comes first.
    pub would_admit: Vec<Change>,
    /// Why its other sets of lines could not be granted either; what is above is about the first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub alternatives: Vec<ExplainSet>,
    /// Refused because waiting would have closed a circle: who would have waited for whom.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub circle: Vec<CircleLink>,
    /// How short memory is, and what was done about it; left out while there is enough and nothing was done to the
    /// claim.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pressure: Option<crate::StrainRow>,
}

/// Why one of several sets of lines could not be granted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExplainSet {
    /// Which, from 1.
    pub alternative: u32,
    /// The reason in a word.
    pub reason: String,
    /// What is missing.
    pub waiting_on: Vec<WaitingOn>,
}

/// How long something will take from now on, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Eta {
    /// As likely more as less.
    pub p50: u64,
    /// In nine of ten cases.
    pub p90: u64,
}

/// A change with which a claim would be granted now: one unit more of anything would not be.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Change {
    /// `less`, `any-pool`, `shared`, `any-model`, or `shorter` (of its estimate).
    pub change: String,
    /// What to ask for, as for `bursar claim`.
    pub options: String,
    /// What to ask for, line by line.
    pub lines: Vec<ChangedLine>,
    /// The estimate of its run time to ask with, in milliseconds; null for the one it had.
    pub expect_ms: Option<u64>,
    /// Which of the sets of lines that were asked for it changes, from 0; null where there was no choice.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alternative: Option<u32>,
}

/// One line of a change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ChangedLine {
    /// Name of the kind.
    pub resource: String,
    /// How much, in base units.
    #[serde(with = "Digits")]
    pub amount: u64,
    /// Only from the pool of this name.
    pub pool: Option<String>,
    /// All of that pool, however much that is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub whole: bool,
}

/// One thing that is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitingOn {
    /// Name of the kind.
    pub resource: String,
    /// How much is missing, in base units.
    #[serde(with = "Digits")]
    pub short_by: u64,
    /// The scope whose quota binds; null where capacity does.
    pub quota: Option<String>,
    /// Who holds it.
    pub holders: Vec<Holder>,
}

/// Who holds something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Holder {
    /// Which claim.
    #[serde(with = "Digits")]
    pub claim: u64,
    /// Its scope.
    pub scope: String,
    /// How much, in base units.
    #[serde(with = "Digits")]
    pub amount: u64,
    /// Until when, RFC 3339, unless it is renewed.
    pub until: Option<String>,
    /// That it is to end for another, and how far that has come.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preempting: Option<Preempting>,
}

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventRow {
    /// Sequence of the input that caused it, or of the batch's end where time did.
    #[serde(with = "Digits")]
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// What, in a word.
    pub kind: String,
    /// The claim that it is about.
    #[serde(with = "MaybeDigits")]
    pub claim: Option<u64>,
    /// More about it.
    pub detail: serde_json::Value,
}

/// What works on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Doctor {
    /// Nothing is wrong.
    pub sound: bool,
    /// What was looked at.
    pub findings: Vec<Finding>,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// What.
    pub what: String,
    /// `ok`, `weak`, `missing`, `wrong` or `unknown`.
    pub state: String,
    /// In words.
    pub detail: String,
    /// What would help; null where nothing has to be done, or nothing is known.
    #[serde(default)]
    pub advice: Option<String>,
}

/// Something that holds work up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Bottleneck {
    /// What, in a word.
    pub kind: String,
    /// `host`, or what it is and its name: `resource cpu`, `claim 7`.
    pub subject: String,
    /// `notice`, `warning` or `critical`.
    pub severity: String,
    /// Since when it stands, RFC 3339.
    pub since: String,
    /// The plugin that found it.
    pub analyzer: String,
    /// The numbers that it rests on, by name with the unit last.
    pub evidence: BTreeMap<String, u64>,
    /// What would help.
    pub advice: String,
}
