//! Figures: what metrics measured last, and what plugins count of themselves.
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One figure.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Metric {
    /// The plugin that it is from.
    pub plugin: String,
    /// In which role; empty where that is not told apart: plugins of one name in one library count together there.
    pub role: String,
    /// Where that runs.
    pub home: String,
    /// What, with its unit last, and labels as `name{label="value"}`.
    pub name: String,
    /// How much; null where it could not be measured.
    pub value: Option<f64>,
    /// When it was measured (RFC 3339); null for what is as of now.
    pub at: Option<String>,
}
