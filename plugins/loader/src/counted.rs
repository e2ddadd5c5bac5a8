//! What plugins count of themselves, in whichever home.
use crate::{Loader, health::printable};
use bursar_abi::PluginRoot_Ref;
use bursar_interface::{Home, Role, bound::NAME_BYTES_MAX};
use bursar_sdk::COUNTS_MAX;
use std::{collections::BTreeMap, io::Write};

/// How a child marks a line that tells of a count: no level of the log.
pub(crate) const COUNT: &str = "m";

/// A count of a plugin.
#[derive(Clone, Debug, PartialEq)]
pub struct Counted {
    /// Which plugin.
    pub plugin: String,
    /// In which role; `None` where that is not told apart.
    pub role: Option<Role>,
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
    /// What those plugins count of themselves that were asked for last under their names, as far as their children
    /// have told; no two have the same plugin, role, home and name.
    pub fn counted(&self) -> Vec<Counted> {
        let mut all = BTreeMap::new();
        let mut tell = |home: Home, role: Option<Role>, (plugin, name, value): (String, String, f64)| {
            all.insert((plugin, role, home as u8, name.clone()), (home, value));
        };
        bursar_sdk::counted().into_iter().for_each(|count| tell(Home::Linked, None, count));
        for (sum, root) in &self.opened {
            let sits = |plugin: &str| self.sits_by(plugin, sum);
            read(root)
                .into_iter()
                .filter(|(plugin, ..)| sits(plugin))
                .for_each(|count| tell(Home::Inline, None, count));
        }
        for ((sum, role, plugin), footprint) in &self.footprints {
            if self.seated.get(&(*role, plugin.clone())).is_some_and(|(_, sits)| sits.as_ref() == Some(sum)) {
                let child = footprint.counted().into_iter();
                child.for_each(|(name, value)| tell(Home::Child, Some(*role), (plugin.clone(), name, value)));
            }
        }
        let row = |((plugin, role, _, name), (home, value))| Counted { plugin, role, home, name, value };
        all.into_iter().map(row).collect()
    }

    /// Whether a plugin of this name sits there by this library; what is no plugin's name is some crate's of it.
    fn sits_by(&self, plugin: &str, sum: &str) -> bool {
        let mut named = self.seated.iter().filter(|((_, id), _)| id == plugin).peekable();
        named.peek().is_none() || named.any(|(_, (_, sits))| sits.as_deref() == Some(sum))
    }
}
