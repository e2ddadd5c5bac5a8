//! Names in the config that no plugin has: what is written for them is for nobody, and mostly for somebody else.
use super::{follower::Follower, settings::Settings};
use crate::near::near;
use bursar_interface::Role;
use bursar_loader::Loader;
use bursar_wire as wire;
use std::collections::BTreeSet;

/// A finding for each table of the config that is for a plugin which there is not, or for a kind that none has.
pub fn misnamed(settings: &Settings, loader: &Loader, follower: &Follower) -> Vec<wire::Finding> {
    let plugins = &settings.plugins;
    let known: BTreeSet<String> = Role::ALL.into_iter().flat_map(|role| loader.ids(role)).collect();
    let config = plugins.config.keys().map(|name| ("config", name));
    let grant = plugins.grant.keys().map(|name| ("grant", name));
    let named = config.chain(grant).filter(|(_, name)| !known.contains(*name));
    let mut findings: Vec<wire::Finding> = named
        .map(|(table, name)| told(table, name, "plugin", name, known.iter().map(String::as_str)))
        .collect();
    // A pin may be for a role's alone.
    for key in plugins.pin.keys() {
        let (role, name) =
            key.rsplit_once(' ').map_or((None, key.as_str()), |(role, name)| (Some(role), name));
        let roles = || Role::ALL.into_iter().map(Role::name);
        if let Some(role) = role.filter(|role| !roles().any(|known| known == *role)) {
            findings.push(told("pin", key, "role", role, roles()));
        } else if !known.contains(name) {
            findings.push(told("pin", key, "plugin", name, known.iter().map(String::as_str)));
        }
    }
    let unknown = follower.read(|engine| {
        let shared = settings.node.sharing.keys().map(|kind| (format!("node.sharing.{kind}"), kind));
        let idle = settings.preemption.idle.iter().map(|kind| ("preemption.idle".to_owned(), kind));
        let unknown = shared.chain(idle).filter(|(_, kind)| engine.books().resource(kind).is_none());
        unknown.map(|(what, kind)| (what, kind.clone())).collect::<Vec<_>>()
    });
    findings.extend(unknown.into_iter().map(|(what, kind)| wire::Finding {
        what,
        state: "weak".into(),
        detail: format!("there is no resource {kind:?}: what is written for it is for nobody"),
        advice: Some("`bursar get pools` shows what there is; a kind may come with a library".into()),
    }));
    findings
}

fn told<'a>(
    table: &str,
    key: &str,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> wire::Finding {
    let see = "`bursar plugin list` shows those that there are";
    wire::Finding {
        what: format!("plugins.{table}.{key}"),
        state: "weak".into(),
        detail: format!("there is no {what} {name:?}: what is written for it is for nobody"),
        advice: Some(match near(name, known) {
            Some(meant) => format!("did you mean {meant:?}? {see}"),
            None => see.into(),
        }),
    }
}
