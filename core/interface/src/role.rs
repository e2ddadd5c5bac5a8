//! What a plugin is for, where it runs, and what its manifest says.
use serde::{Deserialize, Serialize};

/// The interface that a plugin implements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// [`crate::Resource`]: a kind of thing.
    Resource,
    /// [`crate::Driver`]: what makes it true.
    Driver,
    /// [`crate::Qos`]: who is first.
    Qos,
    /// [`crate::Allocator`]: where.
    Allocator,
    /// [`crate::Metric`]: samples.
    Metric,
    /// [`crate::Sharing`]: under which rules a pool is shared.
    Sharing,
    /// [`crate::Analyzer`]: what holds work up.
    Analyzer,
}

impl Role {
    /// All of them, in the order in which they are told.
    pub const ALL: [Role; 7] = [
        Role::Resource,
        Role::Driver,
        Role::Qos,
        Role::Sharing,
        Role::Allocator,
        Role::Analyzer,
        Role::Metric,
    ];

    /// The word of the contract.
    pub fn name(self) -> &'static str {
        match self {
            Role::Resource => "resource",
            Role::Driver => "driver",
            Role::Qos => "qos",
            Role::Allocator => "allocator",
            Role::Metric => "metric",
            Role::Sharing => "sharing",
            Role::Analyzer => "analyzer",
        }
    }
}

/// Where a plugin runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Home {
    /// Compiled into the host: the default and the fallback.
    Linked,
    /// A shared library in the host's own process: trusted like the host.
    Inline,
    /// A shared library in a supervised child process.
    Child,
}

/// What a plugin library says of one plugin, readable without running any of its code.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Name within its role.
    pub id: String,
    /// Interface.
    pub role: Role,
    /// The crate it was built from.
    pub library: String,
    /// Version of that crate.
    pub version: semver::Version,
    /// Border versions that it can talk to.
    pub abi_req: semver::VersionReq,
    /// Border version that it was built with.
    pub abi_built: semver::Version,
    /// `unwind` or `abort`; a library that aborts is refused.
    pub panic: String,
}

/// Who decided: part of every grant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decider {
    /// Plugin id.
    pub plugin: String,
    /// Where it ran.
    pub home: Home,
}
