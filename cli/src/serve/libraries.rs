//! What the config says of libraries: where they lie, which of a name is meant, and which may run in the daemon itself.
use super::settings::{Plugins, Settings};
use anyhow::{Context, Result, anyhow, bail};
use bursar_loader::{INLINE_MAX, PAUSE_MAX, Settings as LoaderSettings, can_pin};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::Duration,
};

/// How long a driver or a metric may take.
const CALL_MAX: Duration = Duration::from_secs(2);
/// Digits of a checksum.
const SUM_DIGITS: usize = 64;

/// How plugins are found, and which program hosts those in a child: this one.
pub fn loader_settings(settings: &Settings, flags: &[PathBuf], state: &Path) -> Result<LoaderSettings> {
    let mut dirs: Vec<PathBuf> = flags.iter().chain(&settings.plugins.dirs).cloned().collect();
    for dir in &dirs {
        if !dir.is_dir() {
            return Err(anyhow!("{} is no folder of plugins (plugins.dirs, --plugins)", dir.display()));
        }
    }
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from);
    let data = data.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".local/share")));
    dirs.extend(data.map(|data| data.join("bursar/plugins")).filter(|dir| dir.is_dir()));
    dirs.extend(Some(PathBuf::from("/usr/lib/bursar/plugins")).filter(|dir| dir.is_dir()));
    judge(&settings.plugins)?;
    let trusted: BTreeSet<String> = settings.plugins.inline.iter().map(|sum| sum.to_lowercase()).collect();
    Ok(LoaderSettings {
        dirs,
        stage: state.join("plugins"),
        trusted,
        host: (std::env::current_exe().context("this program's own path")?, vec!["plugin-host".into()]),
        strategy_deadline: settings.deadline()?.min(INLINE_MAX),
        call_deadline: CALL_MAX,
        strikes_max: settings.plugins.strikes,
        quarantine: Duration::from_millis(settings.plugins.quarantine_ms).min(PAUSE_MAX),
        pins: settings.plugins.pin.clone(),
        grants: settings.plugins.grant.clone(),
    })
}

/// Whether what is said of single libraries can be meant for any; one that is not there may still come.
///
/// # Errors
/// Names the key, what is wrong and what would be right.
fn judge(plugins: &Plugins) -> Result<()> {
    let is_sum = |sum: &String| sum.len() == SUM_DIGITS && sum.bytes().all(|digit| digit.is_ascii_hexdigit());
    if let Some(sum) = plugins.inline.iter().find(|sum| !is_sum(sum)) {
        bail!(
            "config: plugins.inline: {sum:?} is no sha256; write {SUM_DIGITS} hexadecimal digits, as `sha256sum` does"
        );
    }
    match plugins.pin.iter().find(|(_, pin)| !can_pin(pin)) {
        Some((name, pin)) => bail!(
            "config: plugins.pin.{name}: {pin:?} is no version and no sha256; write it as 0.1.0, as 12 hexadecimal \
             digits or more, or as linked"
        ),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_meant_for_no_library_is_named() {
        let sum = "aB".repeat(32);
        let judged = |inline: &str, pin: &str| {
            let pin = [("qos mine".to_owned(), pin.to_owned())].into();
            judge(&Plugins { inline: vec![inline.into()], pin, ..Plugins::default() })
        };
        for pin in ["0.1.0", "1.2.3-rc.1+x", "linked", &sum[..12], &sum] {
            judged(&sum, pin).expect(pin);
        }
        for (inline, pin, told) in [
            ("trusted", "0.1.0", "plugins.inline: \"trusted\" is no sha256; write 64 hexadecimal digits"),
            (&sum[1..], "0.1.0", "plugins.inline: "),
            (&sum, "", "plugins.pin.qos mine: \"\" is no version and no sha256; write it as 0.1.0"),
            (&sum, "0.1", "plugins.pin.qos mine: \"0.1\""),
            (&sum, "newest", "plugins.pin.qos mine: \"newest\""),
            (&sum, &sum[..11], "plugins.pin.qos mine: "),
            (&sum, &sum.repeat(2), "plugins.pin.qos mine: "),
        ] {
            let error = judged(inline, pin).expect_err(told).to_string();
            assert!(error.contains(told), "{error}");
        }
    }
}
