//! The kinds of a machine as the simulated worlds have them.
use bursar_interface::{ClaimId, Command, Input, NodeSpec, PoolSpec, Principal, Proof, ResourceSpec, Shape};

/// An input of the daemon itself.
pub(crate) fn told(body: Command) -> Input {
    Input { by: Principal { admin: true, ..Principal::default() }, body }
}

/// cpu, memory and gpu, as `res-host` defines them.
pub(crate) fn kinds() -> Vec<Command> {
    let kind = |name: &str, shape, unit: &str, piece| {
        Command::SetResource(ResourceSpec {
            name: name.into(),
            shape,
            unit: unit.into(),
            min: 1,
            step: 1,
            piece,
            springs: 0,
            driven: false,
        })
    };
    vec![
        kind("cpu", Shape::Capacity, "millicores", 0),
        kind("memory", Shape::Capacity, "bytes", 0),
        kind("gpu", Shape::Unit, "milli-devices", 1000),
    ]
}

/// A node and its pools; each device is a pool of a thousand with its model as label.
pub(crate) fn node(name: &str, cpu_milli: u64, memory: u64, gpus: u64, model: &str) -> Vec<Command> {
    let pool = |resource: &str, pool: String, capacity, labels: Vec<String>| {
        let (resource, node) = (resource.into(), Some(name.into()));
        Command::SetPool(PoolSpec { resource, node, name: pool, capacity, labels, ..PoolSpec::default() })
    };
    let labels: Vec<String> =
        Some(model).filter(|model| !model.is_empty()).map(str::to_owned).into_iter().collect();
    let mut commands = vec![
        Command::SetNode(NodeSpec { name: name.into(), ..NodeSpec::default() }),
        pool("cpu", "cpu".into(), cpu_milli, Vec::new()),
        pool("memory", "memory".into(), memory, Vec::new()),
    ];
    commands.extend((0..gpus).map(|gpu| pool("gpu", format!("gpu{gpu}"), 1000, labels.clone())));
    commands
}

/// What an edge says when it took a lease back.
pub(crate) fn reclaimed(claim: ClaimId) -> Command {
    Command::Reclaimed { claim, proof: Proof { evidence: "the world says so".into() }, over_limit: false }
}
