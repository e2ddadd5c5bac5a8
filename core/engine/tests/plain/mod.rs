//! The plainest strategies there are, for engines that are tried by hand: nobody goes before anybody, and each
//! claim goes to the first node that takes it.
#![allow(dead_code, reason = "whoever tries something needs a part of this")]
use bursar_engine::{Plugins, Seat};
use bursar_interface::*;

/// Ranks nobody, and places on the first node that has room, or on none where nothing lies on nodes.
pub(crate) struct First;

impl Allocator for First {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        for &claim in queue {
            (0..view.nodes.len() as Row).chain([NONE]).find(|&node| plan.place(claim, node));
        }
        Ok(())
    }
}

impl Qos for First {
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Ok(())
    }
}

/// Both of it.
pub(crate) fn plugins() -> Plugins {
    Plugins {
        qos: Seat::linked("first", || Box::new(First) as Box<dyn Qos>),
        allocator: Seat::linked("first", || Box::new(First) as Box<dyn Allocator>),
    }
}

/// What an operator says.
pub(crate) fn inputs(bodies: impl IntoIterator<Item = Command>) -> Vec<Input> {
    let by = Principal { admin: true, ..Principal::default() };
    bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect()
}

/// A kind that is counted in pieces; with `springs`, a pool of so many comes of each name.
pub(crate) fn kind(name: &str, shape: Shape, springs: Amount) -> Command {
    let (name, unit) = (name.into(), "pieces".into());
    let (min, step, piece, driven) = (1, 1, 0, false);
    Command::SetResource(ResourceSpec { name, shape, unit, min, step, piece, springs, driven })
}

/// The kinds of [`fleet`].
pub(crate) const KINDS: [&str; 4] = ["cpu", "memory", "pids", "disk"];

/// One node with more of four kinds than anybody asks for.
pub(crate) fn fleet() -> Vec<Command> {
    let mut commands = vec![Command::SetNode(NodeSpec { name: "n".into(), ..NodeSpec::default() })];
    for name in KINDS {
        let (resource, node) = (name.into(), Some("n".into()));
        let pool = PoolSpec { resource, node, name: name.into(), capacity: 1 << 40, ..PoolSpec::default() };
        commands.extend([kind(name, Shape::Capacity, 0), Command::SetPool(pool)]);
    }
    commands.push(Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 });
    commands
}

/// An ask for some of each, for an hour.
pub(crate) fn ask_of_four() -> Ask {
    let line = |name: &&str| LineAsk { resource: (*name).into(), amount: 3, ..LineAsk::default() };
    Ask { ttl_ns: 3_600_000_000_000, lines: KINDS.iter().map(line).collect(), ..Ask::default() }
}
