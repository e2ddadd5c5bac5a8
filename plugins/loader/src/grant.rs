//! What an operator lets one plugin reach beyond what its role needs.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// More than a role needs; nothing by default.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Grant {
    /// Files and folders that it may read.
    pub read: Vec<PathBuf>,
    /// Files and folders that it may write.
    pub write: Vec<PathBuf>,
    /// It may open sockets.
    pub network: bool,
    /// It may start programs.
    pub programs: bool,
}
