//! A world that tries to break the engine: clients that burst, lie and forget, capacity that shrinks,
//! clocks that jump, edges that fail, plugins that fault and talk nonsense, restarts at any moment. After
//! every step the laws are checked; at the end everything must come back.
use crate::{
    Random,
    law::Witness,
    operator, sizes, spent,
    supply::{kinds, node, told},
};
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::{
    Allocator, Ask, Batch, ClaimId, Class, Command, Decider, FanOut, FanOutSpec, Fault, FaultKind, Fence,
    Home, Input, LineAsk, NONE, NodeSpec, NodeState, Phase, Plan, PoolSpec, Principal, Process, Proof, Qos,
    QuotaSpec, Rank, ResourceSpec, Row, ScopeSpec, Shape, Time, Used, View, Within,
};

/// Steps of the phase in which anything may happen.
const STEPS: usize = 300;
/// Inputs in one step at most.
const BURST: u64 = 6;
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Nodes of the world.
const NODES: [&str; 3] = ["n1", "n2", "n3"];
/// Steps after which everything must have come back, once nobody asks for more.
const SETTLING: usize = 60;

/// Strategies by name; each world needs instances of its own.
#[derive(Default)]
pub struct Strategies {
    /// Where.
    pub allocators: Vec<(String, Box<dyn Allocator>)>,
    /// Who is first.
    pub qos: Vec<(String, Box<dyn Qos>)>,
}

/// How a world went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Events in all.
    pub events: u64,
    /// Claims granted.
    pub granted: u64,
    /// Inputs refused.
    pub refused: u64,
    /// Faults of plugins.
    pub faults: u64,
    /// Restarts of the daemon.
    pub restarts: u64,
    /// Claims within others at once, at most.
    pub nested: u64,
}

/// One seed's world.
pub struct World {
    random: Random,
    engine: Engine,
    /// Folds what the engine did, and must always be the same.
    copy: Engine,
    plugins: Plugins,
    witness: Witness,
    at: u64,
    epoch: u64,
    boots: u64,
    /// Nobody asks any more, and nothing fails.
    calm: bool,
}

impl World {
    /// The world of a seed.
    ///
    /// # Panics
    /// When there is no allocator or no qos, or the fleet cannot be set up.
    pub fn new(seed: u64, strategies: Strategies) -> World {
        let mut random = Random::new(seed);
        let mut world = World {
            plugins: plugins(strategies, &mut random),
            random,
            engine: Engine::new(),
            copy: Engine::new(),
            witness: Witness::default(),
            at: SECOND,
            epoch: 0,
            boots: 1,
            calm: false,
        };
        let fleet = NODES.iter().flat_map(|name| node(name, 4000, 16_384, 2, "T4"));
        let mut first: Vec<Command> = kinds();
        first.extend([unit("lock", 1 << 20, false), unit("port", 1, true)]);
        first.extend(spent::kinds());
        first.extend(fleet.collect::<Vec<_>>());
        first.push(world.start());
        let inputs = first.into_iter().map(told).collect();
        world.step(inputs).expect("the laws hold before anything happens");
        world
    }

    /// Lives through it.
    ///
    /// # Errors
    /// The law that was broken, and at which step.
    pub fn run(mut self) -> Result<Report, String> {
        for step in 0..STEPS {
            let jump = self.jump();
            self.at += jump;
            let inputs: Vec<Input> = (0..self.random.below(BURST)).map(|_| self.anything()).collect();
            self.step(inputs).map_err(|law| format!("step {step}: {law}"))?;
            if self.random.chance(1, 40) {
                self.restart().map_err(|law| format!("restart after step {step}: {law}"))?;
            }
        }
        self.settle()?;
        Ok(self.witness.report)
    }

    fn step(&mut self, inputs: Vec<Input>) -> Result<(), String> {
        let batch: Batch = self.engine.step(Time(self.at), inputs, &mut self.plugins);
        self.copy.fold(&batch);
        if self.engine.digest() != self.copy.digest() {
            return Err("the fold of the events is not the state".into());
        }
        self.witness.hear(&batch)?;
        self.witness.look(&self.engine)
    }

    /// Time goes on by nothing, by a little, or by far too much.
    fn jump(&mut self) -> u64 {
        match self.random.below(20) {
            0 => 0,
            1 => self.random.below(3600 * SECOND),
            _ => self.random.below(2 * SECOND),
        }
    }

    fn start(&mut self) -> Command {
        self.epoch += 1 + self.random.below(2);
        Command::Start { epoch: self.epoch, boot: format!("boot-{}", self.boots), boottime_ns: self.at }
    }

    /// The daemon dies and comes back from what was folded, sometimes on a machine that was restarted.
    fn restart(&mut self) -> Result<(), String> {
        self.engine = self.copy.clone().resume();
        self.boots += self.random.below(2);
        self.witness.report.restarts += 1;
        let start = told(self.start());
        self.step(vec![start])
    }

    /// Nobody asks any more and every edge works: everything must come back.
    fn settle(&mut self) -> Result<(), String> {
        self.calm = true;
        for _ in 0..SETTLING {
            self.at += 31 * 86_400 * SECOND / SETTLING as u64;
            let reports = self.live().into_iter().filter(|(_, _, phase)| *phase == Phase::Draining);
            let inputs: Vec<Input> =
                reports.map(|(claim, ..)| told(reclaimed(claim))).chain([told(Command::Tick)]).collect();
            self.step(inputs)?;
        }
        let view = self.engine.view();
        let taken = (0..view.pools.len())
            .any(|p| view.pools.reserved[p] + view.pools.held[p] + view.pools.quarantined[p] > 0);
        match (self.engine.books().live(), taken) {
            (0, false) => Ok(()),
            (live, _) => Err(format!("{live} claims never came back")),
        }
    }

    /// Live claims with fence and phase.
    fn live(&self) -> Vec<(ClaimId, Fence, Phase)> {
        let view = self.engine.view();
        let rows = (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0);
        rows.map(|c| {
            (ClaimId(view.claims.id[c]), Fence(view.claims.fence[c]), Phase::of(view.claims.phase[c]))
        })
        .collect()
    }

    /// An input of anybody about anything.
    fn anything(&mut self) -> Input {
        let live = self.live();
        let (claim, fence, phase) = match live.is_empty() {
            true => (ClaimId(self.random.below(50)), Fence(1), Phase::Pending),
            false => *self.random.pick(&live),
        };
        // Every tenth token is an old or a made-up one.
        let fence = if self.random.chance(1, 10) { Fence(self.random.below(fence.0 + 2)) } else { fence };
        if self.random.chance(1, 8) {
            let body = sizes::resize(&mut self.random, &self.engine, claim, fence);
            return Input { by: self.somebody(), body };
        }
        let body = match self.random.below(24) {
            0..9 => Command::Ask(self.ask()),
            9 => Command::Renew { claim, fence, ttl_ns: self.random.below(20 * SECOND) },
            10 | 11 => Command::Release { claim, fence },
            12 => Command::Cancel { claim },
            13 => Command::Settle { claim, fence, used: vec![self.used()] },
            14 | 15 => Command::Attach { claim, fence, process: self.process() },
            16..22 => return told(self.edge(claim, phase)),
            _ => return told(self.operator()),
        };
        Input { by: self.somebody(), body }
    }

    fn used(&mut self) -> Used {
        let (resource, most) =
            *self.random.pick(&[("memory", 1 << 34), (spent::RATE, 60), (spent::BUDGET, 60)]);
        Used { resource: resource.into(), pool: None, amount: self.random.below(most) }
    }

    fn somebody(&mut self) -> Principal {
        if self.random.chance(1, 4)
            && let Some((within, root)) = self.lease()
        {
            return Principal { uid: 1, admin: false, root, within: Some(within) };
        }
        let root = *self.random.pick(&["", "a", "a", "b", "b/c"]);
        Principal { uid: 1, admin: root.is_empty(), root: root.into(), within: None }
    }

    /// A claim in which somebody could live, and its scope.
    fn lease(&mut self) -> Option<(ClaimId, String)> {
        let (claim, ..) = *self.random.pick(&Some(self.live()).filter(|live| !live.is_empty())?);
        let books = self.engine.books();
        let scope = books.tables().claims.scope[books.claim(claim)? as usize];
        Some((claim, books.scope_path(scope).to_string()))
    }

    fn within(&mut self) -> Within {
        match self.random.below(12) {
            0 => Within::Pools,
            1 | 2 => self.lease().map_or(Within::Own, |(claim, _)| Within::Lease(claim, None)),
            _ => Within::Own,
        }
    }

    fn process(&mut self) -> Process {
        Process {
            pid: self.random.below(1000) as u32 + 2,
            started: self.random.word() >> 40,
            boot: format!("boot-{}", self.boots),
        }
    }

    fn ask(&mut self) -> Ask {
        let mut lines = Vec::new();
        for (resource, most) in [("cpu", 5000), ("memory", 20_000), ("gpu", 2500)] {
            if self.random.chance(1, 2) {
                lines.push(LineAsk {
                    resource: resource.into(),
                    amount: self.random.below(most),
                    ..LineAsk::default()
                });
            }
        }
        for resource in [spent::RATE, spent::BUDGET] {
            if self.random.chance(1, 6) {
                let amount = 1 + self.random.below(40);
                lines.push(LineAsk { resource: resource.into(), amount, ..LineAsk::default() });
            }
        }
        if self.random.chance(1, 4) {
            let (pool, whole) = (Some(format!("lock-{}", self.random.below(3))), self.random.chance(1, 2));
            lines.push(LineAsk { resource: "lock".into(), amount: 1, pool, whole, ..LineAsk::default() });
        }
        if self.random.chance(1, 6) {
            let pool = Some((8000 + self.random.below(3)).to_string());
            lines.push(LineAsk { resource: "port".into(), amount: 1, pool, ..LineAsk::default() });
        }
        let scope = *self.random.pick(&["", "x", "x/y", "z"]);
        let within = self.within();
        Ask {
            key: self.random.chance(1, 5).then(|| format!("key-{}", self.random.below(40))),
            scope: scope.into(),
            class: *self.random.pick(&[Class::Guaranteed, Class::Burstable, Class::BestEffort]),
            priority: self.random.below(3) as u32,
            wait_ns: self.random.below(2) * self.random.below(20 * SECOND),
            ttl_ns: 1 + self.random.below(30 * SECOND),
            expect_ns: self.random.below(2) * self.random.below(30 * SECOND),
            lines,
            need: Vec::new(),
            bar: Vec::new(),
            apart: self.random.chance(1, 10).then(|| "apart".into()),
            alternatives: if within == Within::Own {
                sizes::alternatives(&mut self.random)
            } else {
                Vec::new()
            },
            within,
        }
    }

    /// What an edge reports, in time or not.
    fn edge(&mut self, claim: ClaimId, phase: Phase) -> Command {
        if let Some(report) = sizes::report(&mut self.random, &self.engine, claim) {
            return report;
        }
        let message = "the world is bad".to_owned();
        match (phase, self.random.below(8)) {
            (Phase::Draining, 0..5) => reclaimed(claim),
            (Phase::Draining, _) | (_, 0) => Command::ReclaimFailed { claim, message },
            (_, 1) => Command::EnforceFailed { claim, message },
            (_, 2) => Command::Exited { claim },
            (_, processes) => Command::Enforced { claim, processes: processes as u32 - 3 },
        }
    }

    /// What an operator changes: supplies shrink and grow, nodes close and open, bounds move.
    fn operator(&mut self) -> Command {
        let name = (*self.random.pick(&NODES)).to_owned();
        match self.random.below(10) {
            9 => Command::SetFanOut(FanOutSpec {
                scope: self.random.chance(1, 2).then(|| "a".into()),
                limits: FanOut {
                    claims: self.random.chance(1, 2).then_some(12),
                    depth: self.random.chance(1, 2).then_some(3),
                    children: self.random.chance(1, 2).then_some(4),
                    asks_per_second: self.random.chance(1, 2).then_some(8),
                },
            }),
            0 => Command::SetNode(NodeSpec {
                name,
                labels: Vec::new(),
                state: *self.random.pick(&[NodeState::Open, NodeState::Open, NodeState::Cordoned]),
            }),
            1 => Command::SetPool(PoolSpec {
                resource: "cpu".into(),
                node: Some(name),
                name: "cpu".into(),
                capacity: self.random.below(6000),
                labels: Vec::new(),
                ..PoolSpec::default()
            }),
            2 => Command::SetQuota(QuotaSpec {
                scope: (*self.random.pick(&["a", "b", "b/c", "a/x"])).into(),
                resource: "cpu".into(),
                guaranteed: 0,
                limit: self.random.chance(2, 3).then(|| self.random.below(8000)),
                ..QuotaSpec::default()
            }),
            3 => {
                let guaranteed = self.random.below(3000);
                Command::SetQuota(QuotaSpec {
                    scope: (*self.random.pick(&["a", "b", "b/c", "a/x"])).into(),
                    resource: "cpu".into(),
                    guaranteed,
                    limit: None,
                    borrow_limit: self.random.chance(1, 2).then(|| self.random.below(5000)),
                    lend_limit: self.random.chance(1, 2).then(|| self.random.below(3000)),
                    ..QuotaSpec::default()
                })
            }
            4 => Command::SetScope(ScopeSpec {
                path: (*self.random.pick(&["a", "b", "b/c", "a/x"])).into(),
                weight: 1 + self.random.below(4) as u32,
            }),
            5 => Command::Tick,
            _ => operator::settings(&mut self.random, &NODES),
        }
    }
}

fn reclaimed(claim: ClaimId) -> Command {
    Command::Reclaimed { claim, proof: Proof { evidence: "the world says so".into() }, over_limit: false }
}

fn unit(name: &str, springs: u64, driven: bool) -> Command {
    let (name, unit, shape) = (name.into(), "pieces".into(), Shape::Unit);
    Command::SetResource(ResourceSpec { name, shape, unit, min: 1, step: 1, piece: 0, springs, driven })
}

/// Plugins that fault now and then in front of fallbacks that do not.
fn plugins(mut strategies: Strategies, random: &mut Random) -> Plugins {
    let first = random.below(strategies.allocators.len() as u64) as usize;
    let (id, moody) = strategies.allocators.swap_remove(first);
    let (fallback_id, fallback) = strategies.allocators.pop().expect("two allocators");
    let (qos_id, qos) = strategies.qos.pop().expect("a qos");
    let decider = |plugin: String| Decider { plugin, home: Home::Linked };
    let mood = Random::new(random.word());
    Plugins {
        allocator: Seat::new(
            decider(id),
            Box::new(Moody { plugin: moody, mood: mood.clone() }),
            decider(fallback_id),
            fallback,
        ),
        qos: Seat::new(decider(qos_id.clone()), Box::new(Moody { plugin: (), mood }), decider(qos_id), qos),
    }
}

/// A plugin with moods: it faults, or talks nonsense, or does its work.
struct Moody<T> {
    plugin: T,
    mood: Random,
}

impl Allocator for Moody<Box<dyn Allocator>> {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        match self.mood.below(12) {
            0 => Err(Fault::of(FaultKind::Panicked, "a bad day")),
            1 => Ok(()),
            2 => {
                let pools = view.pools.len() as u64;
                for &claim in queue {
                    let line = view.claims.first_line[claim as usize];
                    let pool = self.mood.below(pools) as Row;
                    let node = self.mood.below(view.nodes.len() as u64 + 1) as Row;
                    let node = if node as usize == view.nodes.len() { NONE } else { node };
                    plan.take(claim, line, pool, node, self.mood.below(5000));
                }
                Ok(())
            }
            _ => self.plugin.place(view, queue, plan),
        }
    }
}

impl Qos for Moody<()> {
    fn rank(&mut self, _: &View<'_>, _: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        if self.mood.chance(1, 6) {
            return Err(Fault::of(FaultKind::Overrun, "thinking"));
        }
        ranks
            .iter_mut()
            .for_each(|rank| *rank = Rank { tier: self.mood.below(3), share: self.mood.below(3) });
        Ok(())
    }
}
