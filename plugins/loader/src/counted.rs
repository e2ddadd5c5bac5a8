//! What plugins count of themselves, in whichever home.
use crate::{Loader, health::printable};
use bursar_abi::PluginRoot_Ref;
use bursar_interface::{Home, bound::NAME_BYTES_MAX};
use bursar_sdk::COUNTS_MAX;
use std::{collections::BTreeMap, io::Write};

/// How a child marks a line that tells of a count: no level of the log.
pub(crate) const COUNT: &str = "m";

/// A count of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Which plugin.
    pub plugin: String,
    /// Where it runs.
    pub home: Home,
    /// What it counts, its unit last, with labels as `name{label="value"}`.
    pub name: String,
    /// How much.
    pub value: f64,
}

/// Plugin, name and value of each count of an opened library; none of one that is older than counts.
pub(crate) fn read(root: &PluginRoot_Ref) -> Vec<(String, String, f64)> {
    let told = root.counted().and_then(|counted| counted().into_result().ok());
    let mut read: Vec<(String, String, f64)> =
        told.and_then(|told| serde_json::from_slice(&told).ok()).unwrap_or_default();
    read.truncate(2 * COUNTS_MAX);
    read
}

/// Tells the host of a child's counts that are not what it was told last.
pub(crate) fn tell(root: &PluginRoot_Ref, told: &mut BTreeMap<String, f64>) {
    for (_, name, value) in read(root) {
        let name = printable(&name, NAME_BYTES_MAX + 8);
        if told.get(&name) != Some(&value) {
            // Without a reader there is nobody to tell.
            let _ = writeln!(std::io::stderr(), "{COUNT}\t{name}\t{value}");
            told.insert(name, value);
        }
    }
}

impl Loader {
    /// What all plugins count of themselves that were asked for at least once, as far as their children have told;
    /// where they have it, by those of an older version as well.
    pub fn counted(&self) -> Vec<Counted> {
        let here = |home: Home| {
            move |(plugin, name, value): (String, String, f64)| Counted { plugin, home, name, value }
        };
        let mut all: Vec<Counted> = bursar_sdk::counted().into_iter().map(here(Home::Linked)).collect();
        all.extend(self.opened.values().flat_map(read).map(here(Home::Inline)));
        for ((_, _, plugin), footprint) in &self.footprints {
            let child = footprint.counted().into_iter();
            all.extend(child.map(|(name, value)| Counted {
                plugin: plugin.clone(),
                home: Home::Child,
                name,
                value,
            }));
        }
        all
    }
}
