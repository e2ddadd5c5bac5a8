//! What waits are charged to: to the kinds that were short, and to those who held them.
use crate::text::Digits;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A part of a wait: the parts add up to it, to the nanosecond.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WaitPart {
    /// Why it waited, in a word; null for what was before anybody kept a record.
    pub reason: Option<String>,
    /// Name of the kind that it was short of; null where it was none, as for who stands behind another.
    pub resource: Option<String>,
    /// The scope whose quota bound; null where capacity did.
    pub quota: Option<String>,
    /// How long, in nanoseconds.
    #[serde(with = "Digits")]
    pub waited_ns: u64,
    /// Who held it meanwhile: scopes that the asker may see, each with its part.
    pub holders: Vec<Blamed>,
    /// What others held it, and what is nobody's by name, in nanoseconds: with the holders it adds up.
    #[serde(with = "Digits")]
    pub others_ns: u64,
}

/// Who others waited for, and how long.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Blamed {
    /// A scope in the top-level scope of whoever waited; of others their top-level scope.
    pub scope: String,
    /// How long, in nanoseconds.
    #[serde(with = "Digits")]
    pub waited_ns: u64,
}

/// What the claims of a scope, and of those below it, waited for of one kind: waits that are over, added up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ScopeWait {
    /// Name of the kind; null where it was none.
    pub resource: Option<String>,
    /// How long, in nanoseconds.
    #[serde(with = "Digits")]
    pub waited_ns: u64,
    /// Who held it meanwhile: scopes that the asker may see, each with its part.
    pub holders: Vec<Blamed>,
    /// What others held it, in nanoseconds: with the holders it adds up.
    #[serde(with = "Digits")]
    pub others_ns: u64,
}
