//! What those who administer did, or tried to, as it stands in the audit log.
use crate::text::{Digits, MaybeDigits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One administrative act, carried out or refused.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Its place in the log, from 1; none is left out.
    #[serde(with = "Digits")]
    pub seq: u64,
    /// When, RFC 3339.
    pub at: String,
    /// By which door: `unix` or `tcp`.
    pub door: String,
    /// Whose process it was, as the kernel says; null over TCP for one that did not get past the door.
    pub uid: Option<u32>,
    /// Its process id at the time; null over TCP.
    pub pid: Option<u32>,
    /// The scope that it acts in; empty for the root.
    pub scope: String,
    /// The lease that it lives in.
    #[serde(with = "MaybeDigits", default)]
    pub within: Option<u64>,
    /// The token that was shown: `own` for the daemon's own, else how its sha256 begins, as in the config; null over
    /// the socket, and where none was good.
    pub token: Option<String>,
    /// What was to be done: method and path.
    pub act: String,
    /// The document that came with it, cut at 1 KiB.
    pub body: Option<String>,
    /// The HTTP status of the answer.
    pub status: u16,
    /// Why it was refused, in a word; null for what was carried out.
    pub reason: Option<String>,
    /// Refused acts before this one that were too many in a second to be written down.
    #[serde(default)]
    pub omitted: u64,
}
