//! The config's word on preemption as the engine is told it, and the signal by which holders are told.
use super::settings;
use anyhow::{Result, anyhow, bail};
use bursar_interface::{
    PreemptionPolicy,
    bound::{IDLE_MAX, NAME_BYTES_MAX},
};
use bursar_wire::duration;
use nix::sys::signal::Signal;
use std::str::FromStr;

/// The classes by their names in the config, in the order of their numbers.
const CLASSES: [&str; 3] = ["guaranteed", "burstable", "best-effort"];

/// The policy of a config.
///
/// # Errors
/// Names the key that is wrong, and what would be right.
pub fn policy(set: &settings::Preemption) -> Result<PreemptionPolicy> {
    let ns = |key: &str, text: &str| {
        let time = duration(text).map_err(|why| anyhow!("config: preemption.{key}: {why}"))?;
        u64::try_from(time.as_nanos()).map_err(|_| anyhow!("config: preemption.{key}: {text} is too long"))
    };
    let rung = |key: &str, text: &str| if text.is_empty() { Ok(0) } else { ns(key, text) };
    let mut grace_ns = [ns("grace", &set.grace)?; 3];
    for (class, grace) in &set.grace_of {
        let Some(number) = CLASSES.iter().position(|known| known == class) else {
            bail!(
                "config: preemption.grace-of: there is no class {class:?}; there are {}",
                CLASSES.join(", ")
            );
        };
        grace_ns[number] = ns("grace-of", grace)?;
    }
    if set.shrink_to > 100 {
        bail!("config: preemption.shrink-to: {} % is more than what is held; at most 100", set.shrink_to);
    }
    // A kind may come with a library; a name that none can have is wrong from the start.
    if let Some(kind) = set.idle.iter().find(|kind| !is_kind(kind)) {
        bail!(
            "config: preemption.idle: {kind:?} is no name of a kind; write 1 to {NAME_BYTES_MAX} bytes without `:`, \
             `=`, `/` and spaces, as cpu"
        );
    }
    if set.idle.len() > IDLE_MAX {
        bail!("config: preemption.idle: {} kinds are too many; at most {IDLE_MAX}", set.idle.len());
    }
    Ok(PreemptionPolicy {
        reclaim: set.enabled,
        by_band: set.enabled,
        grace_ns,
        min_runtime_ns: ns("min-runtime", &set.min_runtime)?,
        bands: set.bands.clone(),
        shrink_ns: rung("shrink", &set.shrink)?,
        shrink_to: set.shrink_to,
        suspend_ns: rung("suspend", &set.suspend)?,
        idle: set.idle.clone(),
    })
}

/// Whether a kind may be called so: it can be written as `KIND=AMOUNT` and `KIND:NAME`.
fn is_kind(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len())
        && !name.chars().any(|c| ":=/".contains(c) || c.is_whitespace() || c.is_control())
}

/// The signal by which attached processes are told that their lease is to end; `None` for none.
///
/// # Errors
/// When there is no such signal.
pub fn signal(set: &settings::Preemption) -> Result<Option<i32>> {
    if set.signal.is_empty() {
        return Ok(None);
    }
    match Signal::from_str(&set.signal) {
        Ok(signal) => Ok(Some(signal as i32)),
        Err(_) => {
            bail!("config: preemption.signal: there is no signal {:?}; write it as SIGUSR1", set.signal)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::settings::Preemption;

    #[test]
    fn what_is_wrong_in_the_config_is_named() {
        let lawful = Preemption { signal: "SIGUSR1".into(), ..Preemption::default() };
        let told = policy(&lawful).expect("the default");
        assert_eq!((told.grace_ns, told.min_runtime_ns), ([10_000_000_000; 3], 10_000_000_000));
        assert_eq!(signal(&lawful).expect("a signal"), Some(10));
        let grace_of = [("best-effort".to_owned(), "1s".to_owned())].into();
        let quick = policy(&Preemption { grace_of, ..Preemption::default() }).expect("a grace");
        assert_eq!(quick.grace_ns, [10_000_000_000, 10_000_000_000, 1_000_000_000]);
        let of_none = [("platinum".to_owned(), "1s".to_owned())].into();
        for (set, word) in [
            (Preemption { grace: "soon".into(), ..Preemption::default() }, "preemption.grace"),
            (Preemption { min_runtime: "x".into(), ..Preemption::default() }, "min-runtime"),
            (Preemption { shrink_to: 101, ..Preemption::default() }, "preemption.shrink-to: 101 %"),
            (Preemption { grace_of: of_none, ..Preemption::default() }, "platinum"),
            (
                Preemption { idle: vec!["cpu".into(), String::new()], ..Preemption::default() },
                "idle: \"\" is no",
            ),
            (
                Preemption { idle: vec!["cpu=1".into()], ..Preemption::default() },
                "idle: \"cpu=1\" is no name",
            ),
            (
                Preemption { idle: vec!["c p u".into()], ..Preemption::default() },
                "idle: \"c p u\" is no name",
            ),
            (Preemption { idle: vec!["x".into(); 17], ..Preemption::default() }, "preemption.idle: 17 kinds"),
        ] {
            assert!(policy(&set).expect_err("wrong").to_string().contains(word));
        }
        let (shrink, suspend) = ("20s".into(), "1m".into());
        let rungs = policy(&Preemption { shrink, suspend, ..Preemption::default() }).expect("rungs");
        assert_eq!((told.shrink_ns, told.suspend_ns), (0, 0), "no rung is taken that nobody asked for");
        assert_eq!((rungs.shrink_ns, rungs.suspend_ns), (20_000_000_000, 60_000_000_000));
        assert!(policy(&Preemption { suspend: "x".into(), ..Preemption::default() }).is_err());
        let unknown = Preemption { signal: "USR9".into(), ..Preemption::default() };
        assert!(signal(&unknown).expect_err("wrong").to_string().contains("SIGUSR1"));
    }
}
