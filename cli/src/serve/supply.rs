//! What this node offers: found by the drivers, corrected by the config, told to the engine.
use super::settings::Settings;
use crate::near::near;
use anyhow::{Result, anyhow};
use bursar_engine::Engine;
use bursar_interface::{
    Amount, Command, FanOut, FanOutSpec, NONE, NodeSpec, NodeState, PoolSpec, QuotaSpec, Refill,
    ResourceSpec, Row, ScopeSpec, Supply, bound::WEIGHT_MAX,
};
use bursar_wire::{bounds_per_time, per_time, quantity};
use std::collections::{BTreeMap, BTreeSet};

/// What drivers found.
#[derive(Default)]
pub struct Found {
    pub supplies: Vec<Supply>,
    /// Who answered, be it that there is nothing.
    pub answered: BTreeSet<String>,
}

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
    found: Found,
) -> Result<Vec<Command>> {
    let node = node_name(settings);
    let known: BTreeSet<String> = kinds.iter().map(|kind| kind.name.clone()).collect();
    let mut commands: Vec<Command> = kinds.into_iter().map(Command::SetResource).collect();
    let labels = settings.node.labels.clone();
    // Whoever closed it opens it again, however often the daemon starts.
    let state = engine.books().node(&node).map_or(NodeState::Open, |row| engine.books().node_state(row));
    commands.push(Command::SetNode(NodeSpec { name: node.clone(), labels, state }));
    commands.extend(offers(settings, engine, found, &known, |_| true)?);
    for kind in settings.node.sharing.keys().filter(|kind| !known.contains(*kind)) {
        // Any other may come with a library while the daemon runs.
        if let Some(meant) = near(kind, known.iter().map(String::as_str)) {
            return Err(anyhow!(
                "config: node.sharing: there is no resource {kind:?}; did you mean {meant:?}?"
            ));
        }
    }
    commands.extend(demanded(settings, engine)?);
    let policy = super::preemption::policy(&settings.preemption)?;
    // What is known already need not be written down at every start.
    if *engine.preemption_policy() != policy {
        commands.push(Command::SetPreemption(policy));
    }
    Ok(commands)
}

/// What the config says of supplies on no node and of scopes: each thing once, within its bounds.
fn demanded(settings: &Settings, engine: &Engine) -> Result<Vec<Command>> {
    let (mut commands, mut said) = (Vec::new(), BTreeSet::new());
    let mut once = |what: String| match said.insert(what.clone()) {
        true => Ok(what),
        false => Err(anyhow!("config: {what}: it is set twice; say it once")),
    };
    for set in &settings.pool {
        let what = once(format!("pool {}:{}", set.resource, set.name))?;
        let floating = floating(set).map_err(|why| anyhow!("config: {what}: {why}"))?;
        commands.push(Command::SetPool(floating));
    }
    for set in &settings.scope {
        let (what, weight) = (once(format!("scope {:?}", set.path))?, set.weight);
        if !(1..=WEIGHT_MAX).contains(&weight) {
            return Err(anyhow!("config: {what}: weight: {weight} is no weight; from 1 to {WEIGHT_MAX}"));
        }
        commands.push(Command::SetScope(ScopeSpec { path: set.path.clone(), weight }));
    }
    commands.extend(fan_out(settings, engine));
    for set in &settings.quota {
        let what = once(format!("quota of {:?} on {}", set.scope, set.resource))?;
        let bound = bound(set).map_err(|why| anyhow!("config: {what}: {why}"))?;
        commands.push(Command::SetQuota(bound));
    }
    Ok(commands)
}

/// What was found of the kinds that are spoken of by the drivers that answered, corrected by the config; what is not
/// there any more is offered no longer.
pub fn offers(
    settings: &Settings,
    engine: &Engine,
    Found { supplies, mut answered }: Found,
    known: &BTreeSet<String>,
    spoken: impl Fn(&str) -> bool,
) -> Result<Vec<Command>> {
    let node = node_name(settings);
    answered.extend(supplies.iter().map(|supply| supply.resource.clone()));
    let mut supplies = corrected(settings, supplies, known)?;
    supplies.retain(|supply| spoken(&supply.resource));
    let mut commands = gone(engine, &node, &supplies, &answered);
    let of_it = |command: &Command| matches!(command, Command::SetPool(pool) if spoken(&pool.resource));
    commands.retain(of_it);
    let found = supplies.into_iter().map(|supply| pool(&node, supply));
    commands.extend(found.filter(|spec| !by_hand(settings, engine, spec)).map(Command::SetPool));
    Ok(commands)
}

/// Whether an operator set another capacity than what is found: it stays, unless the config names one.
fn by_hand(settings: &Settings, engine: &Engine, found: &PoolSpec) -> bool {
    let books = engine.books();
    let known = books
        .resource(&found.resource)
        .and_then(|kind| books.pool_on(kind, found.node.as_deref(), &found.name));
    !settings.node.capacity.contains_key(&found.resource) && known.is_some_and(|pool| engine.is_by_hand(pool))
}

/// How far demands may fan out; a scope that the config bounds no more is free again.
fn fan_out(settings: &Settings, engine: &Engine) -> Vec<Command> {
    let agents = FanOutSpec { scope: None, limits: settings.limits.fan_out() };
    let scopes = settings.scope.iter().map(|scope| (scope.path.clone(), scope.fan_out()));
    let set: BTreeMap<String, FanOut> = scopes.filter(|(_, limits)| *limits != FanOut::default()).collect();
    let free = engine.fan_scopes().filter(|path| !set.contains_key(*path));
    let free = free.map(|path| (path.to_owned(), FanOut::default())).collect::<Vec<_>>();
    let of_scope = |(path, limits)| FanOutSpec { scope: Some(path), limits };
    let all = [agents].into_iter().chain(free.into_iter().chain(set).map(of_scope));
    all.map(Command::SetFanOut).collect()
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
    let read = bounds_per_time(&set.resource, set.limit.as_deref(), set.guaranteed.as_deref());
    let read = read.map_err(|(key, why)| format!("{key}: {why}"))?;
    Ok(QuotaSpec {
        scope: set.scope.clone(),
        resource: set.resource.clone(),
        guaranteed: read.guaranteed.unwrap_or(0),
        limit: read.limit,
        borrow_limit: amount(&set.resource, &set.borrow_limit)?,
        lend_limit: amount(&set.resource, &set.lend_limit)?,
        refill: Refill {
            period_ns: read.period_ns.unwrap_or(0),
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
fn gone(engine: &Engine, node: &str, supplies: &[Supply], answered: &BTreeSet<String>) -> Vec<Command> {
    let (view, books) = (engine.view(), engine.books());
    let found: BTreeMap<(&str, &str), ()> =
        supplies.iter().map(|supply| ((supply.resource.as_str(), supply.pool.as_str()), ())).collect();
    let ours = books.node(node);
    let here = (0..view.pools.len() as Row)
        .filter(|&row| view.pools.id[row as usize] != 0 && view.pools.node[row as usize] != NONE)
        .filter(|&row| Some(view.pools.node[row as usize]) == ours);
    let specs = here.filter_map(|row| {
        let (r, name) = (row as usize, books.pool_name(row));
        let spec = books.spec(view.pools.resource[r]);
        let resource = &spec.name;
        let used = view.pools.reserved[r] + view.pools.held[r] + view.pools.quarantined[r];
        // What is in use now is left as it is: a port that its holder listens on cannot be found free. Where nobody
        // is there to make a lease true, holders keep what they hold, and nobody else gets any.
        let left = used > 0 && (answered.contains(resource) || !spec.driven && engine.is_by_hand(row));
        let missing = !found.contains_key(&(resource.as_str(), name)) && view.pools.capacity[r] > 0;
        (missing && !left).then(|| PoolSpec {
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
