//! What an operator may set about memory: the thresholds at which something is done, and how often it is looked.
use anyhow::{Context, Result, bail};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Looking more often than this costs more than it tells.
const ANALYTICS_MIN: Duration = Duration::from_millis(100);

/// When memory runs short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Memory {
    /// How often each lease is looked at, as `1s`; less often when that would take a hundredth of a core.
    #[serde(alias = "analytics_interval")]
    pub analytics_interval: String,
}

impl Default for Memory {
    fn default() -> Self {
        Memory { analytics_interval: "1s".into() }
    }
}

impl Memory {
    /// How often each lease is looked at.
    ///
    /// # Errors
    /// When it is no time, or too short.
    pub fn analytics(&self) -> Result<Duration> {
        let text = &self.analytics_interval;
        let every = bursar_wire::duration(text).map_err(anyhow::Error::msg);
        let every = every.with_context(|| format!("config: memory.analytics-interval {text:?}"))?;
        if every < ANALYTICS_MIN {
            bail!("config: memory.analytics-interval {text:?} is too short; use 100ms or more");
        }
        Ok(every)
    }
}
