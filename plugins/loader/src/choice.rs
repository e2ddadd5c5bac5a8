//! Which of several libraries' plugins of one name is meant, and which are not to be asked at all.
use crate::{Candidate, Footprint, Reject, trust::write_whole};
use bursar_interface::{Home, Manifest, Role};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::PathBuf,
};

/// The version that means the one that is linked in.
const LINKED: &str = "linked";
/// Digits of a checksum that tell it from a version.
const SUM_DIGITS_MIN: usize = 12;
/// All digits of a checksum.
const SUM_DIGITS: usize = 64;

/// Whether a pin can mean any plugin at all: by a whole version, by a checksum or how it begins, or the linked one.
pub fn can_pin(pin: &str) -> bool {
    let sum = (SUM_DIGITS_MIN..=SUM_DIGITS).contains(&pin.len())
        && pin.bytes().all(|digit| digit.is_ascii_hexdigit());
    sum || pin == LINKED || semver::Version::parse(pin).is_ok()
}

/// A plugin that was found, and where it is to run.
pub(crate) struct Pick {
    pub(crate) candidate: Candidate,
    pub(crate) home: Home,
    pub(crate) role: Role,
    pub(crate) id: String,
    pub(crate) version: String,
    pub(crate) footprint: Footprint,
}

impl Pick {
    pub(crate) fn key(&self) -> (String, Role, String) {
        (self.candidate.sha256.clone(), self.role, self.id.clone())
    }

    pub(crate) fn unmade(&self, why: &impl ToString) -> Reject {
        Reject::Make { plugin: format!("{} {}", self.role.name(), self.id), why: why.to_string() }
    }
}

/// Which of a name is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The highest version.
    Highest,
    /// This version or checksum and nothing else.
    Exactly(String),
    /// This one of the libraries', by the config; the linked one stands by.
    Pinned(String),
}

impl Wanted {
    /// What `name` or `name@version` asks for; a pin of the config is for those who ask for no version.
    pub(crate) fn asked<'a>(
        pins: &BTreeMap<String, String>,
        role: Role,
        asked: &'a str,
    ) -> (&'a str, Wanted) {
        match asked.split_once('@') {
            Some((id, wanted)) => (id, Wanted::Exactly(wanted.into())),
            None => (asked, Wanted::pinned(pins, role, asked)),
        }
    }

    /// What the config binds a name to.
    pub(crate) fn pinned(pins: &BTreeMap<String, String>, role: Role, id: &str) -> Wanted {
        let pin = pins.get(&format!("{} {id}", role.name())).or_else(|| pins.get(id));
        pin.map_or(Wanted::Highest, |pin| Wanted::Pinned(pin.clone()))
    }

    /// Whether a plugin of a library will do.
    pub(crate) fn fits(&self, manifest: &Manifest, sha256: &str) -> bool {
        match self {
            Wanted::Highest => true,
            Wanted::Exactly(wanted) | Wanted::Pinned(wanted) => {
                let sum = wanted.len() >= SUM_DIGITS_MIN && sha256.starts_with(&wanted.to_lowercase());
                sum || manifest.version.to_string() == *wanted
            }
        }
    }

    /// Whether the one that is linked in will do.
    pub(crate) fn allows_linked(&self) -> bool {
        !matches!(self, Wanted::Exactly(wanted) if wanted != LINKED)
    }

    /// Whether there has to be a library's.
    pub(crate) fn is_exact(&self) -> bool {
        matches!(self, Wanted::Exactly(wanted) if wanted != LINKED)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Wanted::Highest => write!(to, "the highest version"),
            Wanted::Exactly(wanted) | Wanted::Pinned(wanted) => {
                let what = if wanted.len() >= SUM_DIGITS_MIN { "sha256" } else { "version" };
                write!(to, "{what} {wanted}")
            }
        }
    }
}

/// Plugins that an operator has switched off, in a file of the daemon's own.
#[derive(Debug)]
pub(crate) struct Off {
    path: PathBuf,
    names: BTreeSet<String>,
}

impl Off {
    /// Opens the list; without a file nothing is off.
    pub(crate) fn open(path: PathBuf) -> Result<Off, Reject> {
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Reject::io(&path, &error)),
        };
        Ok(Off { path, names: text.lines().map(str::to_owned).collect() })
    }

    pub(crate) fn has(&self, role: Role, id: &str) -> bool {
        !self.names.is_empty() && self.names.contains(&format!("{} {id}", role.name()))
    }

    pub(crate) fn set(&mut self, role: Role, id: &str, off: bool) -> Result<(), Reject> {
        let name = format!("{} {id}", role.name());
        match off {
            true => self.names.insert(name),
            false => self.names.remove(&name),
        };
        let text: String = self.names.iter().map(|name| format!("{name}\n")).collect();
        write_whole(&self.path, &text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_that_is_asked_for_wins_over_a_pin_and_a_pin_over_the_highest() {
        let pins: BTreeMap<String, String> =
            [("best-fit".into(), "1.0.0".into()), ("qos class".into(), "2.0.0".into())].into();
        let asked = |role, text| Wanted::asked(&pins, role, text);
        assert_eq!(asked(Role::Allocator, "worst-fit"), ("worst-fit", Wanted::Highest));
        assert_eq!(asked(Role::Allocator, "best-fit"), ("best-fit", Wanted::Pinned("1.0.0".into())));
        assert_eq!(asked(Role::Allocator, "best-fit@3.0.0"), ("best-fit", Wanted::Exactly("3.0.0".into())));
        assert_eq!(asked(Role::Qos, "class").1, Wanted::Pinned("2.0.0".into()));
        assert_eq!(asked(Role::Metric, "class").1, Wanted::Highest);
    }

    #[test]
    fn linked_stands_by_unless_something_else_was_asked_for() {
        assert!(Wanted::Highest.allows_linked() && Wanted::Pinned("1.0.0".into()).allows_linked());
        assert!(Wanted::Exactly("linked".into()).allows_linked());
        assert!(!Wanted::Exactly("1.0.0".into()).allows_linked());
    }
}
