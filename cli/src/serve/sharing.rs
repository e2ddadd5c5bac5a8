//! How pools are shared: the config names a strategy for each, which is asked at the start. Its rules are told to the
//! engine, which judges and keeps them; where it fails, one holder at a time is the rule.
use super::{seats::config_of, settings::Settings, supply::node_name};
use anyhow::{Result, anyhow};
use bursar_engine::Engine;
use bursar_interface::{
    Command, Decider, Fault, FaultKind, Home, NONE, Offer, Row, Sharing, bound::SETTINGS_MAX,
};
use bursar_loader::{Loader, Seated};
use bursar_sdk::Config;
use std::collections::BTreeMap;

/// The strategy that decides where the chosen one cannot.
const DEFAULT: &str = "share-exclusive";

/// The rules of every pool for which the config names a strategy, and none for those that it names no more; what is
/// so already is left out.
pub fn commands(loader: &mut Loader, settings: &Settings, engine: &Engine) -> Result<Vec<Command>> {
    let wanted = wanted(settings, engine);
    let mut told = Vec::new();
    for (id, pools) in &wanted {
        let sharing = loader.sharing(id, &config_of(settings, id));
        let Seated { decider, mut plugin, .. } =
            sharing.map_err(|reject| anyhow!("config: sharing: {reject}"))?;
        let (offers, fault) = match asked(&mut *plugin, engine, pools) {
            Ok(offers) => (offers, None),
            Err(fault) => (fallback(engine, pools)?, Some(fault.by(&decider.plugin))),
        };
        let by = match fault {
            None => decider,
            Some(_) => Decider { plugin: DEFAULT.into(), home: Home::Linked },
        };
        for (&pool, offer) in pools.iter().zip(offers) {
            if fault.is_some() || engine.books().offer(pool) != Some(&offer) {
                told.push(share(engine, pool, Some(offer), by.clone(), fault.clone()));
            }
        }
    }
    let named: Vec<Row> = wanted.into_values().flatten().collect();
    let nobody = Decider { plugin: String::new(), home: Home::Linked };
    let freed = (0..engine.view().pools.len() as Row)
        .filter(|pool| engine.books().offer(*pool).is_some() && !named.contains(pool));
    told.extend(freed.map(|pool| share(engine, pool, None, nobody.clone(), None)));
    told.truncate(SETTINGS_MAX);
    Ok(told)
}

/// Whether the config names a strategy for any pool.
pub fn is_asked_for(settings: &Settings) -> bool {
    !settings.node.sharing.is_empty() || settings.pool.iter().any(|pool| pool.sharing.is_some())
}

/// Pools by the strategy that the config names for them: those of this node by kind, others by name.
fn wanted(settings: &Settings, engine: &Engine) -> BTreeMap<String, Vec<Row>> {
    let (view, books) = (engine.view(), engine.books());
    let own = books.node(&node_name(settings));
    let mut wanted: BTreeMap<String, Vec<Row>> = BTreeMap::new();
    for pool in (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0) {
        let kind = &books.spec(view.pools.resource[pool]).name;
        let node = view.pools.node[pool];
        let name = match node {
            NONE => {
                let mut set = settings.pool.iter();
                let set = set.find(|set| set.resource == *kind && set.name == books.pool_name(pool as Row));
                set.and_then(|set| set.sharing.as_ref())
            }
            node if Some(node) == own => settings.node.sharing.get(kind),
            _ => None,
        };
        if let Some(name) = name {
            wanted.entry(name.clone()).or_default().push(pool as Row);
        }
    }
    wanted
}

fn asked(sharing: &mut dyn Sharing, engine: &Engine, pools: &[Row]) -> Result<Vec<Offer>, Fault> {
    let view = engine.view();
    let capacity = |pool: Row| view.pools.capacity[pool as usize];
    let mut offers: Vec<Offer> = pools.iter().map(|&pool| Offer::plain(capacity(pool))).collect();
    sharing.offer(&view, pools, &mut offers)?;
    for (offer, &pool) in offers.iter().zip(pools) {
        offer.lawful(capacity(pool)).map_err(|why| Fault::of(FaultKind::Nonsense, why))?;
    }
    Ok(offers)
}

fn fallback(engine: &Engine, pools: &[Row]) -> Result<Vec<Offer>> {
    let mut linked = bursar_sdk::linked().filter(|entry| entry.id == DEFAULT);
    let linked = linked.find_map(|entry| entry.sharing(&Config::default())?.ok());
    let mut linked = linked.ok_or_else(|| anyhow!("{DEFAULT} is missing from this build"))?;
    asked(&mut *linked, engine, pools).map_err(|fault| anyhow!("{DEFAULT}: {fault}"))
}

fn share(engine: &Engine, pool: Row, offer: Option<Offer>, by: Decider, fault: Option<Fault>) -> Command {
    let (books, pools) = (engine.books(), engine.view().pools);
    let node = pools.node[pool as usize];
    Command::Share {
        resource: books.spec(pools.resource[pool as usize]).name.clone(),
        node: (node != NONE).then(|| books.node_name(node).to_owned()),
        pool: books.pool_name(pool).to_owned(),
        offer,
        by,
        fault,
    }
}
