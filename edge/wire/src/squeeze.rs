//! Memory that runs short, as it is told: how short, and what was done about it.
use crate::text::{Digits, MaybeDigits};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How short memory is on this machine, and what was done about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StrainRow {
    /// `calm`, `pressed`, `short` or `critical`.
    pub level: String,
    /// Memory that is in use and cannot simply be dropped, in bytes.
    #[serde(with = "Digits")]
    pub used_bytes: u64,
    /// What there is, in bytes.
    #[serde(with = "Digits")]
    pub there_bytes: u64,
    /// Nobody more is let in until there is room.
    pub stopped: bool,
    /// What was done of late about all leases and about this one, newest first.
    pub steps: Vec<SqueezeRow>,
}

/// One step that was taken because memory runs short.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SqueezeRow {
    /// When, RFC 3339.
    pub at: String,
    /// `stop`, `ask`, `purge`, `reclaim`, `collect`, `slow`, `freeze`, `evict` or `kill`.
    pub step: String,
    /// `taken`, `freed`, `undone` or `unavailable`.
    pub came: String,
    /// What was freed by it, in bytes, as measured; null where that is not known.
    #[serde(with = "MaybeDigits")]
    pub freed_bytes: Option<u64>,
    /// Asked to use less: how much at most, in bytes; else null.
    #[serde(with = "MaybeDigits", default)]
    pub to_bytes: Option<u64>,
    /// Why it could not be taken; else null.
    #[serde(default)]
    pub message: Option<String>,
}
