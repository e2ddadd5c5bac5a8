//! Who sits where at the start: strategies with their linked-in fallbacks, kinds, drivers, metrics.
use super::{
    roster::{Choice, Roster, name_of},
    settings::Settings,
    steering::exact,
};
use anyhow::{Context, Result, anyhow};
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::{Allocator, Analyzer, Decider, Driver, Home, Metric, Qos, ResourceSpec, Role};
use bursar_loader::{Loader, Reject, Seated};
use bursar_sdk::Config;
use std::collections::{BTreeMap, BTreeSet};

/// The allocator that always decides when the chosen one cannot.
const ALLOCATOR: &str = "best-fit";
/// The same for who is first.
const QOS: &str = "class";

/// The linked-in plugin that decides where no other can.
pub fn default_of(role: Role) -> &'static str {
    if role == Role::Qos { QOS } else { ALLOCATOR }
}

/// What an operator gave to a plugin, as JSON text.
pub fn config_of(settings: &Settings, id: &str) -> String {
    settings.plugins.config.get(name_of(id)).map(ToString::to_string).unwrap_or_default()
}

/// The strategies: the ones last chosen live, else those of the config.
pub fn strategies(
    loader: &mut Loader,
    settings: &Settings,
    engine: &Engine,
    roster: &mut Roster,
) -> Result<Plugins> {
    let chosen = |roster: &Roster, role: Role, configured: &str| {
        let decider = engine.decider(role);
        decider.map_or(configured.to_owned(), |decider| roster.asked(role, &decider.plugin))
    };
    let configured = &settings.strategy.allocator;
    let wanted = chosen(roster, Role::Allocator, configured);
    let allocator = seated(&wanted, configured, |id| loader.allocator(id, &config_of(settings, id)))?;
    roster.take(Role::Allocator, Choice { asked: wanted, exact: exact(&allocator) });
    let configured = &settings.strategy.qos;
    let wanted = chosen(roster, Role::Qos, configured);
    let qos = seated(&wanted, configured, |id| loader.qos(id, &config_of(settings, id)))?;
    roster.take(Role::Qos, Choice { asked: wanted, exact: exact(&qos) });
    Ok(Plugins { allocator: seat(allocator, ALLOCATOR, linked_allocator)?, qos: seat(qos, QOS, linked_qos)? })
}

/// The wanted plugin; the configured one where that cannot be had any more.
fn seated<T: ?Sized>(
    wanted: &str,
    configured: &str,
    mut load: impl FnMut(&str) -> Result<Seated<T>, Reject>,
) -> Result<Seated<T>> {
    match load(wanted) {
        Err(reject) if wanted != configured => {
            tracing::warn!(%reject, configured, "the strategy that was chosen last is gone; the configured one decides");
            load(configured).map_err(|reject| anyhow!(reject))
        }
        Err(Reject::MakeLinked { why, .. }) => Err(set_wrong(name_of(wanted), &why)),
        other => other.map_err(|reject| anyhow!(reject)),
    }
}

/// What is set for a plugin that is linked in, and refused by it.
fn set_wrong(id: &str, why: &str) -> anyhow::Error {
    anyhow!("config: plugins.config.{id}: {}", why.strip_prefix("config: ").unwrap_or(why))
}

fn seat<T: ?Sized>(
    Seated { decider, plugin, .. }: Seated<T>,
    default: &str,
    linked: impl Fn(&str) -> Option<Box<T>>,
) -> Result<Seat<T>> {
    let own = linked(&decider.plugin).map(|fallback| (decider.plugin.clone(), fallback));
    let (id, fallback) = own
        .or_else(|| linked(default).map(|fallback| (default.to_owned(), fallback)))
        .context("the linked-in defaults are missing from this build")?;
    let fallback_decider = Decider { plugin: id, home: Home::Linked };
    Ok(Seat::new(decider, plugin, fallback_decider, fallback))
}

/// Fresh instances of those who decide now, linked in; of the defaults where a plugin is not linked in.
pub fn linked(engine: &Engine) -> Option<Plugins> {
    let id = |role: Role| engine.decider(role).map_or("", |decider| decider.plugin.as_str());
    let allocator = |id: &str| linked_allocator(id).map(|_| id.to_owned());
    let qos = |id: &str| linked_qos(id).map(|_| id.to_owned());
    let chosen = allocator(id(Role::Allocator)).or_else(|| allocator(ALLOCATOR))?;
    let first = qos(id(Role::Qos)).or_else(|| qos(QOS))?;
    let seated = |id: &str| Decider { plugin: id.to_owned(), home: Home::Linked };
    Some(Plugins {
        allocator: Seat::new(
            seated(&chosen),
            linked_allocator(&chosen)?,
            seated(&chosen),
            linked_allocator(&chosen)?,
        ),
        qos: Seat::new(seated(&first), linked_qos(&first)?, seated(&first), linked_qos(&first)?),
    })
}

/// A linked-in allocator by name.
pub fn linked_allocator(id: &str) -> Option<Box<dyn Allocator>> {
    let mut entries = bursar_sdk::linked().filter(|entry| entry.id == id);
    entries.find_map(|entry| entry.allocator(&Config::default())?.ok())
}

/// A linked-in qos by name.
pub fn linked_qos(id: &str) -> Option<Box<dyn Qos>> {
    let mut entries = bursar_sdk::linked().filter(|entry| entry.id == id);
    entries.find_map(|entry| entry.qos(&Config::default())?.ok())
}

/// Every kind that a plugin defines. One that cannot be asked is left out, and that is said.
///
/// # Errors
/// As [`of_library`].
pub fn kinds(loader: &mut Loader, settings: &Settings) -> Result<Vec<ResourceSpec>> {
    let ids = loader.ids(Role::Resource);
    let load = |id: String| of_library(&id, loader.resource(&id, &config_of(settings, &id))).transpose();
    ids.into_iter().filter_map(load).map(|seated| seated.map(|seated| *seated.plugin)).collect()
}

/// Every driver by name.
///
/// # Errors
/// As [`of_library`].
pub fn drivers(loader: &mut Loader, settings: &Settings) -> Result<BTreeMap<String, Seated<dyn Driver>>> {
    every(loader.ids(Role::Driver), |id| loader.driver(id, &config_of(settings, id)))
}

/// Every metric by name.
///
/// # Errors
/// As [`of_library`].
pub fn metrics(loader: &mut Loader, settings: &Settings) -> Result<BTreeMap<String, Seated<dyn Metric>>> {
    every(loader.ids(Role::Metric), |id| loader.metric(id, &config_of(settings, id)))
}

/// Every analyzer by name.
///
/// # Errors
/// As [`of_library`].
pub fn analyzers(loader: &mut Loader, settings: &Settings) -> Result<BTreeMap<String, Seated<dyn Analyzer>>> {
    every(loader.ids(Role::Analyzer), |id| loader.analyzer(id, &config_of(settings, id)))
}

fn every<T: ?Sized>(
    ids: BTreeSet<String>,
    mut load: impl FnMut(&str) -> Result<Seated<T>, Reject>,
) -> Result<BTreeMap<String, Seated<T>>> {
    let made =
        ids.into_iter().map(|id| of_library(&id, load(&id)).map(|made| made.map(|seated| (id, seated))));
    made.filter_map(Result::transpose).collect()
}

/// A plugin; none, which is said, if a library's cannot be had: it may be mended while the daemon runs.
///
/// # Errors
/// Names the plugin whose config one that is linked in refuses: only who starts the daemon anew can mend it.
fn of_library<T: ?Sized>(id: &str, made: Result<Seated<T>, Reject>) -> Result<Option<Seated<T>>> {
    match made {
        Err(Reject::MakeLinked { why, .. }) => Err(set_wrong(id, &why)),
        made => Ok(made.inspect_err(|reject| tracing::error!(%reject, "a plugin is left out")).ok()),
    }
}
