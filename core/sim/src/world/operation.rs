//! Everything that somebody may do in the world: one table, a line for each operation.
use super::{NODES, SECOND, Target, World};
use crate::{
    operator, sharing, sizes, spent,
    supply::{kinds, reclaimed},
};
use bursar_interface::{
    Came, Command, Decider, FanOut, FanOutSpec, Fault, Home, NodeSpec, NodeState, Noted, Phase, PoolSpec,
    PreemptionPolicy, QuotaSpec, Role, ScopeSpec, Squeeze, Step, Usage,
};

/// Who does it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    /// Whoever wants something.
    Client,
    /// Whoever has a claim, with its token.
    Holder,
    /// Whoever has a lease over something that is spent, if anybody does.
    Spender,
    /// What makes leases true and takes them back, in time or not.
    Edge,
    /// Whoever administers.
    Operator,
}

/// One operation.
pub(crate) struct Operation {
    /// How often among all.
    pub(crate) weight: u64,
    /// By whom.
    pub(crate) who: Who,
    /// The command, about a claim where it is about one.
    pub(crate) make: fn(&mut World, Target) -> Command,
}

const fn op(weight: u64, who: Who, make: fn(&mut World, Target) -> Command) -> Operation {
    Operation { weight, who, make }
}

/// Scopes that operators bound.
const BOUNDED: [&str; 4] = ["a", "b", "b/c", "a/x"];

/// All of them. What is new gets a line here, and one in `cover.rs`.
pub(crate) const OPERATIONS: &[Operation] = &[
    op(36, Who::Client, |world, _| Command::Ask(world.ask())),
    op(14, Who::Holder, |world, to| Command::Ask(world.more(to.claim))),
    op(4, Who::Holder, |world, to| Command::Renew {
        claim: to.claim,
        fence: to.fence,
        ttl_ns: world.random.below(20 * SECOND),
    }),
    op(8, Who::Holder, |_, to| Command::Release { claim: to.claim, fence: to.fence }),
    op(4, Who::Holder, |world, to| {
        let used = vec![world.used()];
        Command::Settle { claim: to.claim, fence: to.fence, used }
    }),
    // Within what is spent: what is drawn from it, what was used of it, and more or less of it.
    op(16, Who::Spender, |world, to| Command::Ask(world.part(to.claim))),
    op(10, Who::Spender, |world, to| {
        let used = vec![world.used_of(to.claim)];
        Command::Settle { claim: to.claim, fence: to.fence, used }
    }),
    op(12, Who::Spender, |world, to| {
        sizes::resize_spent(&mut world.random, &world.engine, to.claim, to.fence)
    }),
    op(8, Who::Holder, |world, to| {
        let process = world.process();
        Command::Attach { claim: to.claim, fence: to.fence, process }
    }),
    op(4, Who::Client, |_, to| Command::Cancel { claim: to.claim }),
    op(24, Who::Edge, report),
    // Reports that nobody waits for: what is rare otherwise meets every fault as well.
    op(4, Who::Edge, |world, to| {
        let (claim, message) = (to.claim, "the world is bad".to_owned());
        match world.random.below(4) {
            0 => Command::Frozen { claim },
            1 => Command::FreezeFailed { claim, message },
            2 => Command::Resized { claim },
            _ => Command::ResizeFailed { claim, message },
        }
    }),
    op(1, Who::Operator, |world, _| world.random.pick(&kinds()).clone()),
    op(1, Who::Operator, |world, _| {
        let states = [NodeState::Open, NodeState::Open, NodeState::Cordoned];
        let (name, state) = (world.node(), *world.random.pick(&states));
        Command::SetNode(NodeSpec { name, labels: Vec::new(), state })
    }),
    op(1, Who::Operator, |world, _| {
        let (node, capacity) = (Some(world.node()), world.random.below(6000));
        let (resource, name) = ("cpu".to_owned(), "cpu".to_owned());
        Command::SetPool(PoolSpec { resource, node, name, capacity, ..PoolSpec::default() })
    }),
    op(1, Who::Operator, |world, _| {
        let limit = world.random.chance(2, 3).then(|| world.random.below(8000));
        Command::SetQuota(QuotaSpec { limit, ..world.quota() })
    }),
    op(1, Who::Operator, |world, _| {
        let limit = Some(1 + world.random.below(2));
        Command::SetQuota(QuotaSpec { resource: "port".into(), limit, ..world.quota() })
    }),
    op(1, Who::Operator, |world, _| {
        let guaranteed = world.random.below(3000);
        let borrow_limit = world.random.chance(1, 2).then(|| world.random.below(5000));
        let lend_limit = world.random.chance(1, 2).then(|| world.random.below(3000));
        Command::SetQuota(QuotaSpec { guaranteed, borrow_limit, lend_limit, ..world.quota() })
    }),
    op(1, Who::Operator, |world, _| {
        let (path, weight) = ((*world.random.pick(&BOUNDED)).into(), 1 + world.random.below(4) as u32);
        Command::SetScope(ScopeSpec { path, weight })
    }),
    op(1, Who::Operator, |world, _| {
        let to = Decider { plugin: world.swap_allocator(), home: Home::Linked };
        Command::Swap { role: Role::Allocator, to }
    }),
    op(1, Who::Operator, |world, _| {
        let (scope, guaranteed) = (*world.random.pick(&BOUNDED), world.random.below(60));
        let lend_limit = world.random.chance(1, 3).then(|| world.random.below(20));
        spent::assured(scope, guaranteed, lend_limit)
    }),
    op(1, Who::Operator, |world, _| Command::SetPreemption(world.preemption())),
    op(4, Who::Operator, |world, _| operator::settings(&mut world.random, &NODES)),
    op(1, Who::Operator, |world, _| {
        let limits = FanOut {
            claims: world.random.chance(1, 2).then_some(12),
            depth: world.random.chance(1, 2).then_some(3),
            children: world.random.chance(1, 2).then_some(4),
            asks_per_second: world.random.chance(1, 2).then_some(8),
        };
        let scope = world.random.chance(1, 2).then(|| "a".into());
        Command::SetFanOut(FanOutSpec { scope, limits })
    }),
    op(36, Who::Holder, |world, to| sizes::resize(&mut world.random, &world.engine, to.claim, to.fence)),
    op(1, Who::Operator, |world, _| sharing::share(&mut world.random, &world.engine, &NODES)),
    op(1, Who::Operator, |_, _| Command::Find(vec![Noted { kind: "queueing".into(), ..Noted::default() }])),
    op(1, Who::Operator, |_, _| Command::Tick),
    op(1, Who::Operator, |_, _| Command::Faulted {
        role: Role::Driver,
        fault: Fault::new("the world is bad"),
    }),
    op(1, Who::Operator, |world, _| {
        let left = world.engine.left_waiting(world.engine.books().at(), 0);
        // By turns, and not by chance: another draw would make other worlds of all seeds.
        let passed = left.first().is_some_and(|left| left.claim.0.is_multiple_of(2));
        Command::Suspect { role: Role::Allocator, left, passed }
    }),
    op(3, Who::Edge, |world, to| {
        let grace_ns = world.random.below(3) * world.random.below(4 * SECOND);
        Command::Evict { claim: to.claim, grace_ns }
    }),
    op(3, Who::Edge, |world, to| {
        let told = |to: &Target| world.engine.notice(to.claim).is_some();
        let claim = world.live().into_iter().find(told).unwrap_or(to).claim;
        Command::Spare { claim }
    }),
    op(1, Who::Edge, |_, to| {
        let (claim, came) = (Some(to.claim), Came::Freed(Some(1)));
        Command::Squeezed(Squeeze { step: Step::Reclaim, claim, came, used: 2, there: 3, to: 0 })
    }),
];

/// What an edge reports, in time or not.
fn report(world: &mut World, to: Target) -> Command {
    // What is under way comes to an end before long.
    let freezing = |claim| world.engine.to_be_frozen(claim) && !world.engine.is_frozen(claim);
    let under_way = |to: &Target| world.engine.resizing(to.claim).is_some() || freezing(to.claim);
    let to = world.live().into_iter().find(under_way).filter(|_| world.random.chance(1, 3)).unwrap_or(to);
    let (claim, message) = (to.claim, "the world is bad".to_owned());
    if let Some(report) = sizes::report(&mut world.random, &world.engine, claim) {
        return report;
    }
    if world.random.chance(1, 8) {
        let amount = |world: &mut World| world.random.chance(3, 4).then(|| world.random.below(1 << 30));
        let (cpu_ns, memory_mean) = (amount(world), amount(world));
        let usage = Usage { wall_ns: world.random.below(1 << 40), cpu_ns, memory_mean, ..Usage::default() };
        return Command::Measured { claim, usage };
    }
    if world.random.chance(if freezing(claim) { 3 } else { 1 }, if freezing(claim) { 4 } else { 10 }) {
        return match world.random.chance(1, 2) {
            true => Command::Frozen { claim },
            false => Command::FreezeFailed { claim, message },
        };
    }
    match (to.phase, world.random.below(8)) {
        (Phase::Draining, 0..5) => reclaimed(claim),
        (Phase::Draining, _) | (_, 0) => Command::ReclaimFailed { claim, message },
        (_, 1) => Command::EnforceFailed { claim, message },
        (_, 2) => Command::Exited { claim },
        (_, processes) => Command::Enforced { claim, processes: processes as u32 - 3 },
    }
}

impl World {
    fn node(&mut self) -> String {
        (*self.random.pick(&NODES)).to_owned()
    }

    /// Who takes from whom from now on.
    fn preemption(&mut self) -> PreemptionPolicy {
        PreemptionPolicy {
            reclaim: self.random.chance(3, 4),
            by_band: self.random.chance(3, 4),
            grace_ns: [self.random.below(4 * SECOND); 3],
            min_runtime_ns: self.random.below(2) * self.random.below(10 * SECOND),
            bands: if self.random.chance(1, 2) { vec![1] } else { Vec::new() },
            shrink_ns: self.random.below(2) * self.random.below(5 * SECOND),
            shrink_to: self.random.below(101) as u32,
            suspend_ns: self.random.below(2) * self.random.below(20 * SECOND),
            idle: vec!["cpu".into()],
        }
    }

    fn quota(&mut self) -> QuotaSpec {
        let scope = (*self.random.pick(&BOUNDED)).into();
        QuotaSpec { scope, resource: "cpu".into(), ..QuotaSpec::default() }
    }

    /// One of the operations, by weight.
    pub(super) fn any_operation(&mut self) -> &'static Operation {
        let mut left = self.random.below(OPERATIONS.iter().map(|operation| operation.weight).sum());
        for operation in OPERATIONS {
            match left.checked_sub(operation.weight) {
                Some(less) => left = less,
                None => return operation,
            }
        }
        &OPERATIONS[0]
    }
}
