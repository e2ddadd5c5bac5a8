//! What this node offers: found by the drivers, corrected by the config, told to the engine.
use super::settings::Settings;
use anyhow::{Result, anyhow};
use bursar_engine::Engine;
use bursar_interface::{
    Amount, Command, NONE, NodeSpec, NodeState, PoolSpec, QuotaSpec, Refill, ResourceSpec, Row, ScopeSpec,
    Supply,
};
use bursar_wire::{per_time, quantity};
use std::collections::{BTreeMap, BTreeSet};

/// The name of this node.
pub fn node_name(settings: &Settings) -> String {
    match settings.node.name.as_str() {
        "" => rustix::system::uname().nodename().to_string_lossy().into_owned(),
        name => name.into(),
    }
}

/// Everything that the engine is to know of this installation, as inputs of its first batch.
pub fn commands(
    settings: &Settings,
    engine: &Engine,
    kinds: Vec<ResourceSpec>,
    supplies: Vec<Supply>,
) -> Result<Vec<Command>> {
    let node = node_name(settings);
    let known: BTreeSet<String> = kinds.iter().map(|kind| kind.name.clone()).collect();
    let mut commands: Vec<Command> = kinds.into_iter().map(Command::SetResource).collect();
    let labels = settings.node.labels.clone();
    commands.push(Command::SetNode(NodeSpec { name: node.clone(), labels, state: NodeState::Open }));
    let supplies = corrected(settings, supplies, &known)?;
    commands.extend(gone(engine, &node, &supplies));
    commands.extend(supplies.into_iter().map(|supply| pool(&node, supply)).map(Command::SetPool));
    for set in &settings.pool {
        let floating =
            floating(set).map_err(|why| anyhow!("config: pool {}:{}: {why}", set.resource, set.name))?;
        commands.push(Command::SetPool(floating));
    }
    commands.extend(
        settings
            .scope
            .iter()
            .map(|scope| Command::SetScope(ScopeSpec { path: scope.path.clone(), weight: scope.weight })),
    );
    for set in &settings.quota {
        let bound = bound(set).map_err(|why| anyhow!("config: quota of {:?}: {why}", set.scope))?;
        commands.push(Command::SetQuota(bound));
    }
    let policy = super::preemption::policy(&settings.preemption)?;
    // What is known already need not be written down at every start.
    if *engine.preemption_policy() != policy {
        commands.push(Command::SetPreemption(policy));
    }
    Ok(commands)
}

/// A pool of the config, which is on no node.
fn floating(set: &super::settings::Pool) -> Result<PoolSpec, String> {
    let (capacity, period_ns) = per_time(&set.resource, &set.capacity)?;
    let burst = amount(&set.resource, &set.burst)?.unwrap_or(0);
    let (resource, name) = (set.resource.clone(), set.name.clone());
    let refill = Refill { period_ns, burst, ..Refill::default() };
    Ok(PoolSpec { resource, name, capacity, refill, ..PoolSpec::default() })
}

/// A quota of the config.
fn bound(set: &super::settings::Quota) -> Result<QuotaSpec, String> {
    let limit = set.limit.as_ref().map(|text| per_time(&set.resource, text)).transpose()?;
    Ok(QuotaSpec {
        scope: set.scope.clone(),
        resource: set.resource.clone(),
        guaranteed: amount(&set.resource, &set.guaranteed)?.unwrap_or(0),
        limit: limit.map(|(limit, _)| limit),
        borrow_limit: amount(&set.resource, &set.borrow_limit)?,
        lend_limit: amount(&set.resource, &set.lend_limit)?,
        refill: Refill {
            period_ns: limit.map_or(0, |(_, period_ns)| period_ns),
            burst: amount(&set.resource, &set.burst)?.unwrap_or(0),
            ..Refill::default()
        },
    })
}

fn amount(resource: &str, text: &Option<String>) -> Result<Option<Amount>, String> {
    text.as_ref().map(|text| quantity(resource, text)).transpose()
}

fn pool(node: &str, supply: Supply) -> PoolSpec {
    let Supply { resource, pool, capacity, labels } = supply;
    PoolSpec { resource, node: Some(node.into()), name: pool, capacity, labels, ..PoolSpec::default() }
}

/// The supplies with the capacities that the config sets instead.
fn corrected(
    settings: &Settings,
    mut supplies: Vec<Supply>,
    known: &BTreeSet<String>,
) -> Result<Vec<Supply>> {
    supplies.retain(|supply| known.contains(&supply.resource));
    for (resource, text) in &settings.node.capacity {
        if !known.contains(resource) {
            let names: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err(anyhow!(
                "config: node.capacity: there is no resource {resource:?}; there are {}",
                names.join(", ")
            ));
        }
        let capacity =
            bursar_wire::quantity(resource, text).map_err(|why| anyhow!("config: node.capacity: {why}"))?;
        let set = Supply { resource: resource.clone(), pool: resource.clone(), capacity, labels: Vec::new() };
        supplies.retain(|supply| supply.resource != *resource);
        supplies.push(set);
    }
    Ok(supplies)
}

/// Pools of this node that are in the books and not there any more: nothing is offered of them.
fn gone(engine: &Engine, node: &str, supplies: &[Supply]) -> Vec<Command> {
    let (view, books) = (engine.view(), engine.books());
    let found: BTreeMap<(&str, &str), ()> =
        supplies.iter().map(|supply| ((supply.resource.as_str(), supply.pool.as_str()), ())).collect();
    let ours = books.node(node);
    let here = (0..view.pools.len() as Row)
        .filter(|&row| view.pools.id[row as usize] != 0 && view.pools.node[row as usize] != NONE)
        .filter(|&row| Some(view.pools.node[row as usize]) == ours);
    let specs = here.filter_map(|row| {
        let (r, name) = (row as usize, books.pool_name(row));
        let resource = &books.spec(view.pools.resource[r]).name;
        let used = view.pools.reserved[r] + view.pools.held[r] + view.pools.quarantined[r];
        // What is in use now is left as it is: a port that its holder listens on cannot be found free.
        let missing =
            !found.contains_key(&(resource.as_str(), name)) && used == 0 && view.pools.capacity[r] > 0;
        missing.then(|| PoolSpec {
            resource: resource.clone(),
            node: Some(node.into()),
            name: name.into(),
            capacity: 0,
            labels: Vec::new(),
            ..PoolSpec::default()
        })
    });
    specs.map(Command::SetPool).collect()
}
