//! Names in the config that no plugin has: what is written for them is for nobody, and mostly for somebody else.
use super::settings::Plugins;
use bursar_interface::Role;
use bursar_loader::Loader;
use bursar_wire as wire;
use std::collections::BTreeSet;

/// How alike two names must be for one to be meant by the other (Jaro and Winkler's measure, from 0 to 1).
const ALIKE: f64 = 0.75;

/// A finding for each table of the config that is for a plugin which there is not.
pub fn misnamed(plugins: &Plugins, loader: &Loader) -> Vec<wire::Finding> {
    let known: BTreeSet<String> = Role::ALL.into_iter().flat_map(|role| loader.ids(role)).collect();
    let config = plugins.config.keys().map(|name| ("config", name));
    let grant = plugins.grant.keys().map(|name| ("grant", name));
    let pin = plugins.pin.keys().map(|name| ("pin", name));
    let all = config.chain(grant).chain(pin);
    all.filter_map(|(table, key)| {
        // A pin may be for a role's alone.
        let name = key.rsplit_once(' ').filter(|_| table == "pin").map_or(key.as_str(), |(_, name)| name);
        (!known.contains(name)).then(|| told(table, key, name, &known))
    })
    .collect()
}

fn told(table: &str, key: &str, name: &str, known: &BTreeSet<String>) -> wire::Finding {
    let alike = |other: &&String| strsim::jaro_winkler(name, other);
    let meant = known.iter().filter(|other| alike(other) >= ALIKE);
    let meant = meant.max_by(|a, b| alike(a).total_cmp(&alike(b)));
    let advice = match meant {
        Some(meant) => format!("did you mean {meant:?}? `bursar plugin list` shows those that there are"),
        None => "`bursar plugin list` shows those that there are".into(),
    };
    wire::Finding {
        what: format!("plugins.{table}.{key}"),
        state: "weak".into(),
        detail: format!("there is no plugin {name:?}: what is written for it is for nobody"),
        advice: Some(advice),
    }
}
