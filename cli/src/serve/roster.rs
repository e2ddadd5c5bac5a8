//! Who decides, of which library exactly, and who did before: kept beside the journal, so that a choice of one
//! version outlives a restart, and a swap can be taken back.
use bursar_interface::Role;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

/// The file in the state directory.
const FILE: &str = "strategies.json";

/// A choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// As it was asked for: `best-fit`, `best-fit@1.2.0`.
    pub asked: String,
    /// What it came to: `best-fit@SHA256`, `best-fit@linked`.
    pub exact: String,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Seat {
    now: Choice,
    before: Option<Choice>,
}

/// The choices of each role.
#[derive(Debug, Default)]
pub struct Roster {
    path: PathBuf,
    seats: BTreeMap<String, Seat>,
}

/// The name in front of a version.
pub fn name_of(asked: &str) -> &str {
    asked.split_once('@').map_or(asked, |(name, _)| name)
}

impl Roster {
    /// Reads what was chosen; one that cannot be read is begun anew, and that is said.
    pub fn open(state: &Path) -> Roster {
        let path = state.join(FILE);
        let seats = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "what was chosen before is not known");
                BTreeMap::new()
            }),
            Err(_) => BTreeMap::new(),
        };
        Roster { path, seats }
    }

    /// What was asked for when it came to the plugin of this name; the name itself where that is not known.
    pub fn asked(&self, role: Role, id: &str) -> String {
        let seat = self.seats.get(role.name()).filter(|seat| name_of(&seat.now.exact) == id);
        seat.map_or_else(|| id.to_owned(), |seat| seat.now.asked.clone())
    }

    /// The choice of now.
    pub fn now(&self, role: Role) -> Option<&Choice> {
        self.seats.get(role.name()).map(|seat| &seat.now)
    }

    /// The choice before.
    pub fn before(&self, role: Role) -> Option<&Choice> {
        self.seats.get(role.name())?.before.as_ref()
    }

    /// Writes a choice down.
    pub fn take(&mut self, role: Role, now: Choice) {
        let before = match self.seats.remove(role.name()) {
            Some(seat) if seat.now.exact == now.exact => seat.before,
            Some(seat) => Some(seat.now),
            None => None,
        };
        self.seats.insert(role.name().into(), Seat { now, before });
        // Without a place there is no next time.
        if self.path.as_os_str().is_empty() {
            return;
        }
        if let Err(error) = self.save() {
            tracing::warn!(%error, path = %self.path.display(), "the choice holds until the next start only");
        }
    }

    fn save(&self) -> std::io::Result<()> {
        let draft = self.path.with_extension("draft");
        fs::write(&draft, serde_json::to_vec_pretty(&self.seats)?)?;
        fs::rename(&draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choice(asked: &str, exact: &str) -> Choice {
        Choice { asked: asked.into(), exact: exact.into() }
    }

    #[test]
    fn what_was_chosen_before_outlives_a_restart() {
        let state = tempfile::TempDir::new().expect("a folder");
        let mut roster = Roster::open(state.path());
        roster.take(Role::Allocator, choice("best-fit", "best-fit@aa"));
        roster.take(Role::Allocator, choice("best-fit@2.0.0", "best-fit@bb"));
        // The same again is no change.
        roster.take(Role::Allocator, choice("best-fit@2.0.0", "best-fit@bb"));
        let roster = Roster::open(state.path());
        assert_eq!(roster.before(Role::Allocator), Some(&choice("best-fit", "best-fit@aa")));
        assert_eq!(roster.asked(Role::Allocator, "best-fit"), "best-fit@2.0.0");
        assert_eq!(roster.asked(Role::Allocator, "worst-fit"), "worst-fit", "the journal knows of another");
        assert_eq!(roster.before(Role::Qos), None);
    }

    #[test]
    fn one_that_cannot_be_read_is_begun_anew() {
        let state = tempfile::TempDir::new().expect("a folder");
        fs::write(state.path().join(FILE), "{").expect("written");
        assert_eq!(Roster::open(state.path()).now(Role::Qos), None);
    }
}
