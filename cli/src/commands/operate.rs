//! What operators do while everything goes on: apply, set, cordon, uncordon, drain.
use super::{
    Context, manifest,
    names::Named,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Apply, Drain, Node, Output, Set, SetPool, SetQuota, SetWhat};
use bursar_interface::NodeState;
use bursar_wire::{
    ApplyBody, NodeAnswer, NodeBody, Nodes, PoolBody, Pools, QuotaBody, ScopeBody, bounds_per_time, per_time,
    quantity,
};
use std::{
    io::{Read, stdin},
    path::Path,
};

/// Bytes that are read of a file at most: more than a request may have.
const FILE_BYTES_MAX: u64 = 1 << 20;

/// `bursar apply`.
pub fn apply(context: &Context, apply: &Apply) -> Outcome {
    let named = |failed: Failed| failed.of_file(&apply.file);
    let (mut body, here) = manifest::read(&text(&apply.file)?).map_err(named)?;
    if !here.is_empty() {
        let node = only_node(context)?;
        body.pools.extend(here.into_iter().map(|(kind, capacity)| PoolBody {
            name: kind.clone(),
            resource: kind,
            node: Some(node.clone()),
            capacity: Some(capacity),
            ..PoolBody::default()
        }));
    }
    body.dry_run = apply.dry_run;
    send(context, &body)
}

fn text(file: &Path) -> Result<String, Failed> {
    let mut text = String::new();
    let read = match file.as_os_str() == "-" {
        true => stdin().take(FILE_BYTES_MAX + 1).read_to_string(&mut text),
        false => {
            std::fs::File::open(file).and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        }
    };
    let read = read.map_err(|error| Failed::usage(format!("{}: {error}", file.display())))?;
    match read as u64 > FILE_BYTES_MAX {
        true => Err(Failed::usage(format!("{} is longer than {FILE_BYTES_MAX} bytes", file.display()))),
        false => Ok(text),
    }
}

/// The node that a file means when it names none.
fn only_node(context: &Context) -> Result<String, Failed> {
    let nodes: Nodes = context.client().list()?;
    match nodes.nodes.as_slice() {
        [node] => Ok(node.id.clone()),
        nodes => Err(Failed::usage(format!("node.capacity: there are {} nodes", nodes.len()))
            .hint("use `bursar set pool KIND CAPACITY --node NODE`")),
    }
}

/// `bursar set`.
pub fn set(context: &Context, set: &Set) -> Outcome {
    let mut body = ApplyBody::default();
    match &set.what {
        SetWhat::Quota(set) => body.quotas.push(quota(set)?),
        SetWhat::Pool(set) => body.pools.push(pool(context, set)?),
        SetWhat::Scope(set) => {
            body.scopes.push(ScopeBody { path: set.path.clone(), weight: set.weight });
        }
    }
    send(context, &body)
}

fn quota(set: &SetQuota) -> Result<QuotaBody, Failed> {
    let wrong = |option: &str, why: String| Failed::usage(format!("--{option}: {why}"));
    let amount = |option: &str, text: &Option<String>| {
        text.as_ref().map(|text| quantity(&set.kind, text)).transpose().map_err(|why| wrong(option, why))
    };
    let bound = |option: &str, text: &Option<String>| match text.as_deref() {
        Some("none") => Ok(Some(None)),
        _ => amount(option, text).map(|amount| amount.map(Some)),
    };
    let limit = set.limit.as_deref().filter(|&text| text != "none");
    let read = bounds_per_time(&set.kind, limit, set.guaranteed.as_deref());
    let read = read.map_err(|(option, why)| wrong(option, why))?;
    let body = QuotaBody {
        scope: set.scope.clone(),
        resource: set.kind.clone(),
        guaranteed: read.guaranteed,
        limit: set.limit.as_ref().map(|_| read.limit),
        borrow_limit: bound("borrow-limit", &set.borrow_limit)?,
        lend_limit: bound("lend-limit", &set.lend_limit)?,
        period_ms: read.period_ns.map(|period_ns| period_ns / 1_000_000),
        burst: amount("burst", &set.burst)?,
        remove: set.remove,
    };
    let (scope, resource) = (body.scope.clone(), body.resource.clone());
    if body == (QuotaBody { scope, resource, ..QuotaBody::default() }) {
        return Err(Failed::usage("nothing is set of the quota")
            .hint("say --guaranteed, --limit, --borrow-limit, --lend-limit, --burst or --remove"));
    }
    Ok(body)
}

fn pool(context: &Context, set: &SetPool) -> Result<PoolBody, Failed> {
    let (resource, name) = set.pool.split_once(':').unwrap_or((&set.pool, &set.pool));
    let capacity = set.capacity.as_ref().map(|text| per_time(resource, text)).transpose();
    let (capacity, period_ns) = capacity.map_err(Failed::usage)?.unzip();
    let burst = set.burst.as_ref().map(|text| quantity(resource, text)).transpose();
    let burst = burst.map_err(|why| Failed::usage(format!("--burst: {why}")))?;
    let node = match &set.node {
        Some(node) => Some(node.clone()),
        None => node_of(context, resource, name)?,
    };
    Ok(PoolBody {
        resource: resource.into(),
        name: name.into(),
        node,
        capacity,
        period_ms: period_ns.filter(|&period_ns| period_ns > 0).map(|period_ns| period_ns / 1_000_000),
        burst,
        remove: set.remove,
    })
}

/// The node that has the only pool of this name; none for a floating or a new one.
fn node_of(context: &Context, resource: &str, name: &str) -> Result<Option<String>, Failed> {
    let pools: Pools = context.client().list()?;
    let mut same = pools.pools.into_iter().filter(|pool| pool.resource == resource && pool.id == name);
    match (same.next(), same.count()) {
        (first, 0) => Ok(first.and_then(|pool| pool.node)),
        (_, others) => Err(Failed::usage(format!("there are {} pools {resource}:{name}", others + 1))
            .hint("say which with --node")),
    }
}

fn send(context: &Context, body: &ApplyBody) -> Outcome {
    let answer = context.client().apply(body)?;
    match context.output {
        Output::Table => show::line(&show::changes(&answer.changes)),
        Output::Name => answer.changes.iter().for_each(|change| show::line(&change.name())),
        output => show::document(&answer, output),
    }
    Ok(())
}

/// `bursar cordon` and `bursar uncordon`.
pub fn turn(context: &Context, node: &Node, state: NodeState) -> Outcome {
    put(context, node, &NodeBody { state, grace: None }, None).map(drop)
}

/// `bursar drain`.
pub fn drain(context: &Context, drain: &Drain) -> Outcome {
    let body = NodeBody { state: NodeState::Draining, grace: drain.grace.clone() };
    let left = put(context, &drain.node, &body, drain.wait.as_deref())?;
    match &drain.wait {
        Some(wait) if left > 0 => {
            let message = format!("{left} leases are on node {} after {wait}", drain.node.name);
            Err(Failed::from(anyhow::anyhow!(message)).hint("see `bursar get claims`").shown())
        }
        _ => Ok(()),
    }
}

/// Opens or closes a node; returns how many leases are on it then.
fn put(context: &Context, node: &Node, body: &NodeBody, wait: Option<&str>) -> Result<u64, Failed> {
    let node = context.client().set_node(&node.name, body, wait)?;
    let leases = node.leases;
    match context.output {
        Output::Table => show::line(&show::nodes(&[node])),
        Output::Name => show::line(&node.name()),
        output => show::document(&NodeAnswer { node }, output),
    }
    Ok(leases)
}
