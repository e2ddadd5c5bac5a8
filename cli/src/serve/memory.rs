//! What an operator may set about memory: by what it is admitted, when it counts as short, and what is done then.
use anyhow::{Context, Result, bail};
use bursar_monitor::{Admission, Thresholds};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};

/// Looking more often than this costs more than it tells.
const ANALYTICS_MIN: Duration = Duration::from_millis(100);
/// Well below a threshold, in thousandths of what there is.
const SLACK_MILLI: u64 = 50;
/// The classes by their names in the config, in the order of their numbers.
const CLASSES: [&str; 3] = ["guaranteed", "burstable", "best-effort"];

/// When memory runs short.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Memory {
    /// How often each lease is looked at, as `1s`; less often when that would take a hundredth of a core.
    #[serde(alias = "analytics_interval")]
    pub analytics_interval: String,
    /// By what memory is admitted: `asked`, what all ask for is no more than the pool has; `headroom`, that and no
    /// more than leases use and the machine has left; `measured`, more than there is for those who are burstable, by
    /// what leases really use together.
    pub admission: AdmissionWord,
    /// Whether something is done when memory runs short; else it is only told.
    pub ladder: bool,
    /// Of all memory that is in use: from where on nobody more is let in, and holders are asked to use less.
    #[serde(alias = "pressure_threshold")]
    pub pressure_threshold: f64,
    /// From where on what can be given up without harm is.
    #[serde(alias = "gc_trigger_threshold")]
    pub gc_trigger_threshold: f64,
    /// From where on leases have to make room; half way from the one before to all of it if left out.
    #[serde(alias = "critical_threshold")]
    pub critical_threshold: Option<f64>,
    /// How long a lease has that is told to make room, as `5s`.
    pub grace: String,
    /// Leases that may end at once in a minute.
    pub kills_per_minute: u32,
    /// A command for `sh` that is run for each lease that is asked to use less.
    pub callback: String,
    /// Commands for `sh`, by class, that have a lease's processes give back what they do not need.
    pub gc: BTreeMap<String, String>,
    /// Keep processes ready in pools. Acts when pools exist.
    #[serde(alias = "enable_smart_pooling")]
    pub enable_smart_pooling: Option<bool>,
    /// Start processes of pools ahead. Acts when pools exist.
    #[serde(alias = "pool_preallocation")]
    pub pool_preallocation: Option<Preallocation>,
}

/// By what memory is admitted, as it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AdmissionWord {
    /// What is asked for.
    Asked,
    /// What there really is.
    #[default]
    Headroom,
    /// What is used.
    Measured,
}

/// Whether, or how much of a pool is started ahead.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Preallocation {
    /// Whether.
    Whether(bool),
    /// How much of it.
    Share(f64),
}

impl Default for Memory {
    fn default() -> Self {
        Memory {
            analytics_interval: "1s".into(),
            admission: AdmissionWord::default(),
            ladder: true,
            pressure_threshold: 0.8,
            gc_trigger_threshold: 0.9,
            critical_threshold: None,
            grace: "5s".into(),
            kills_per_minute: 6,
            callback: String::new(),
            gc: BTreeMap::new(),
            enable_smart_pooling: None,
            pool_preallocation: None,
        }
    }
}

impl Memory {
    /// How often each lease is looked at.
    ///
    /// # Errors
    /// When it is no time, or too short.
    pub fn analytics(&self) -> Result<Duration> {
        let text = &self.analytics_interval;
        let every = time("analytics-interval", text)?;
        if every < ANALYTICS_MIN {
            bail!("config: memory.analytics-interval {text:?} is too short; use 100ms or more");
        }
        Ok(every)
    }

    /// How long a lease has that is told to make room.
    ///
    /// # Errors
    /// When it is no time.
    pub fn grace(&self) -> Result<Duration> {
        time("grace", &self.grace)
    }

    /// By what memory is admitted.
    pub fn admission(&self) -> Admission {
        match self.admission {
            AdmissionWord::Asked => Admission::Asked,
            AdmissionWord::Headroom => Admission::Headroom,
            AdmissionWord::Measured => Admission::Measured,
        }
    }

    /// Where it begins to be short.
    ///
    /// # Errors
    /// When a threshold is no share of all memory, or they are not in order.
    pub fn thresholds(&self) -> Result<Thresholds> {
        let (pressed, short) = (self.pressure_threshold, self.gc_trigger_threshold);
        let critical = self.critical_threshold.unwrap_or(f64::midpoint(short, 1.0));
        let named = [
            ("pressure-threshold", pressed),
            ("gc-trigger-threshold", short),
            ("critical-threshold", critical),
        ];
        for (key, value) in named {
            if !(0.1..=1.0).contains(&value) {
                bail!(
                    "config: memory.{key}: {value} is no share of all memory; use one from 0.1 to 1, as 0.8"
                );
            }
        }
        if pressed > short || short > critical {
            bail!(
                "config: memory: pressure-threshold {pressed}, gc-trigger-threshold {short} and \
                 critical-threshold {critical} have to rise"
            );
        }
        let milli = |value: f64| (value * 1000.0).round() as u64;
        let (pressed, short, critical) = (milli(pressed), milli(short), milli(critical));
        Ok(Thresholds { pressed, short, critical, slack: SLACK_MILLI })
    }

    /// The command for a class, by its number, that has processes give back what they do not need.
    ///
    /// # Errors
    /// When a class is named that there is not.
    pub fn collectors(&self) -> Result<[Option<String>; 3]> {
        if let Some(class) = self.gc.keys().find(|class| !CLASSES.contains(&class.as_str())) {
            bail!("config: memory.gc: there is no class {class:?}; there are {}", CLASSES.join(", "));
        }
        Ok(CLASSES.map(|class| self.gc.get(class).filter(|command| !command.is_empty()).cloned()))
    }

    /// What is set and does nothing yet, each with why.
    pub fn idle_keys(&self) -> Vec<(&'static str, &'static str)> {
        let waits = "acts when pools exist";
        let keys = [
            ("memory.enable-smart-pooling", self.enable_smart_pooling.is_some()),
            ("memory.pool-preallocation", self.pool_preallocation.is_some()),
        ];
        keys.into_iter().filter(|(_, set)| *set).map(|(key, _)| (key, waits)).collect()
    }
}

fn time(key: &str, text: &str) -> Result<Duration> {
    let time = bursar_wire::duration(text).map_err(anyhow::Error::msg);
    time.with_context(|| format!("config: memory.{key} {text:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_are_read_in_either_spelling_and_what_is_wrong_is_named() {
        let read = |text: &str| toml::from_str::<Memory>(text).expect("it can be read");
        let both = read(
            "pressure_threshold = 0.7\ngc_trigger_threshold = 0.8\nenable_smart_pooling = true\n\
             pool_preallocation = 0.25\nanalytics_interval = \"2s\"\nadmission = \"measured\"\n",
        );
        let expected = Thresholds { pressed: 700, short: 800, critical: 900, slack: SLACK_MILLI };
        assert_eq!(both.thresholds().expect("in order"), expected);
        assert_eq!((both.idle_keys().len(), both.admission()), (2, Admission::Measured));
        assert_eq!(Memory::default().thresholds().expect("the default"), Thresholds::default());
        assert!(Memory::default().idle_keys().is_empty());
        for (text, word) in [
            ("pressure-threshold = 0.95", "have to rise"),
            ("pressure-threshold = 80.0", "no share of all memory"),
            ("grace = \"soon\"", "memory.grace"),
            ("[gc]\nplatinum = \"x\"", "platinum"),
        ] {
            let memory = read(text);
            let wrong = memory.thresholds().err().or(memory.grace().err()).or(memory.collectors().err());
            assert!(wrong.expect("wrong").to_string().contains(word), "{text}");
        }
    }
}
