//! A world that tries to break the engine: clients that crash, hang, hoard, burst, lie and forget, capacity
//! that shrinks, clocks that jump, edges that fail, plugins that fault and talk nonsense, disks that fill up
//! and err, restarts at any moment. After every step the laws are checked; then the faults stop, and
//! everything must come back.
mod ask;
mod calm;
mod cover;
mod disk;
mod fault;
mod moody;
mod operation;

pub use cover::{Cover, VERBS, impossible};
pub use fault::{Fault, Faults};

use crate::{
    Random,
    law::{Broken, Law, Witness, broken},
    sizes, spent,
    supply::{kinds, node, told},
};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{
    Allocator, Ask, Batch, ClaimId, Command, Decider, Fence, Home, Input, Phase, Principal, Qos,
    ResourceSpec, Shape, Time, What,
};
use disk::{Disk, Fate};
use moody::{Mood, Spare};
use operation::Who;
use std::collections::{BTreeMap, VecDeque};

/// Steps of the phase in which anything may happen.
const STEPS: usize = 300;
/// Inputs in one step at most, and in a burst.
const INPUTS: [u64; 2] = [6, 40];
/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Nodes of the world, and the millicores of each.
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const CPU_MILLI: u64 = 4000;
/// Leases that have ended and are remembered by those who held them.
const PAST_MAX: usize = 32;

/// Strategies by name; each world needs instances of its own, at least two of each.
#[derive(Default)]
pub struct Strategies {
    /// Where.
    pub allocators: Vec<(String, Box<dyn Allocator>)>,
    /// Who is first.
    pub qos: Vec<(String, Box<dyn Qos>)>,
}

/// How a world went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    /// Claims of gangs of several granted.
    pub ganged: u64,
    /// Claims within others at once, at most.
    pub nested: u64,
    /// Claims refused because waiting would have closed a circle.
    pub circles: u64,
    /// Claims that stood ahead of their own tier after a step, for the sake of others.
    pub heirs: u64,
    /// Which fault met which operation.
    pub cover: Cover,
}

/// A claim that something is done to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Target {
    pub(crate) claim: ClaimId,
    pub(crate) fence: Fence,
    pub(crate) phase: Phase,
}

/// One seed's world.
pub struct World {
    random: Random,
    /// What can go wrong here.
    faults: Faults,
    engine: Engine,
    /// Folds what was recorded, and must always be the same.
    copy: Engine,
    disk: Disk,
    plugins: Plugins,
    spare: Option<Spare>,
    mood: Mood,
    witness: Witness,
    /// Leases that have ended.
    past: VecDeque<(ClaimId, Fence)>,
    /// The last ask with each key.
    keyed: BTreeMap<String, Ask>,
    at: u64,
    epoch: u64,
    boots: u64,
}

impl World {
    /// The world of a seed.
    ///
    /// # Panics
    /// When there are not two allocators and two qos.
    pub fn new(seed: u64, strategies: Strategies) -> World {
        let mut random = Random::new(seed);
        let faults = Faults::of_seed(seed, &mut random);
        let mood = Mood::new(faults, &mut random);
        let (plugins, spare) = moody::plugins(strategies, &mut random, &mood);
        let by_class = plugins.qos.decider.plugin == "class";
        World {
            random,
            faults,
            engine: Engine::new(),
            copy: Engine::new(),
            disk: Disk::new(),
            plugins,
            spare,
            mood,
            witness: Witness::new(faults, by_class),
            past: VecDeque::new(),
            keyed: BTreeMap::new(),
            at: SECOND,
            epoch: 0,
            boots: 1,
        }
    }

    /// The fleet is set up while nothing fails.
    fn begin(&mut self) -> Result<(), Broken> {
        let faults = std::mem::take(&mut self.faults);
        let mut first: Vec<Command> = kinds();
        first.extend([unit("lock", 1 << 20, false), unit("port", 1, true)]);
        first.extend(spent::kinds());
        first.extend(NODES.iter().flat_map(|name| node(name, CPU_MILLI, 16_384, 2, "T4")));
        first.push(self.start());
        self.step(first.into_iter().map(told).collect(), Faults::default())?;
        self.faults = faults;
        Ok(())
    }

    /// Lives through it.
    ///
    /// # Errors
    /// The law that was broken, and at which step.
    pub fn run(mut self) -> Result<Report, Broken> {
        self.begin().map_err(|broken| broken.at("at the beginning"))?;
        for step in 0..STEPS {
            self.turn().map_err(|broken| broken.at(format!("step {step}")))?;
        }
        self.calm_down().map_err(|broken| broken.at("after the faults stopped"))?;
        Ok(self.witness.report)
    }

    /// One moment of the world in which anything may happen.
    fn turn(&mut self) -> Result<(), Broken> {
        let mut met = self.pass_time();
        let mut most = INPUTS[0];
        if self.faults.has(Fault::Burst) && self.random.chance(1, 15) {
            most = INPUTS[1];
            met.add(Fault::Burst);
        }
        // Whoever is held up for so long says so first.
        let mut inputs: Vec<Input> = met.has(Fault::Jump).then(|| told(Command::Woke)).into_iter().collect();
        (0..self.random.below(most)).for_each(|_| self.anything(&mut inputs));
        let restarts = [Fault::Restart, Fault::Reboot].into_iter().find(|&fault| self.faults.has(fault));
        match restarts {
            Some(fault) if self.random.chance(1, 30) => {
                let rebooted =
                    self.faults.has(Fault::Reboot) && (fault == Fault::Reboot || self.random.chance(1, 2));
                met.add(if rebooted { Fault::Reboot } else { Fault::Restart });
                self.restart(rebooted, inputs, met)
            }
            _ => self.step(inputs, met),
        }
    }

    /// Time goes on by nothing, by a little, or by far too much.
    fn pass_time(&mut self) -> Faults {
        let mut met = Faults::default();
        match self.random.below(20) {
            0 if self.faults.has(Fault::Jump) => {
                met.add(Fault::Jump);
                self.at += self.random.below(3600 * SECOND);
            }
            1 | 2 if self.faults.has(Fault::Still) => met.add(Fault::Still),
            _ => self.at += self.random.below(2 * SECOND),
        }
        met
    }

    /// One step of the engine, and what becomes of it on the disk.
    fn step(&mut self, inputs: Vec<Input>, met: Faults) -> Result<(), Broken> {
        let mut met = met;
        if self.disk.full > 0 {
            met.add(Fault::Full);
        }
        if self.shrunk() {
            met.add(Fault::Shrink);
        }
        let inputs = self.disk.let_in(inputs);
        let batch = self.engine.step(Time(self.at), inputs, &mut self.plugins);
        met = met.with(self.mood.seen());
        match self.disk.fate(&batch.inputs, self.faults, &mut self.random) {
            Fate::Recorded => {
                self.meet(&batch, met);
                self.record(batch)?;
                self.witness.look(&mut self.engine)
            }
            Fate::Full => {
                met.add(Fault::Full);
                self.meet(&batch, met);
                self.recover(false)
            }
            Fate::Lost | Fate::Unheard if self.random.chance(1, 2) => {
                met.add(Fault::Torn);
                self.meet(&batch, met);
                self.restart(false, Vec::new(), met)
            }
            _ => {
                met.add(Fault::Torn);
                self.meet(&batch, met);
                self.record(batch)?;
                self.restart(false, Vec::new(), met)
            }
        }
    }

    /// A batch is on the disk: it has happened.
    fn record(&mut self, batch: Batch) -> Result<(), Broken> {
        self.copy.fold(&batch);
        if self.engine.digest() != self.copy.digest() {
            return broken(Law::Fold, "the fold of the events is not the state");
        }
        self.witness.hear(&batch)?;
        self.witness.weigh(&self.copy, &batch)?;
        for event in &batch.events {
            match &event.what {
                What::Queued { claim, .. } => self.meet_holder(*claim, 0),
                What::Granted { claim, fence, .. } => self.past.push_back((*claim, *fence)),
                _ => {}
            }
        }
        while self.past.len() > PAST_MAX {
            self.past.pop_front();
        }
        self.disk.append(batch, &self.copy);
        Ok(())
    }

    /// The engine is what was recorded.
    fn recover(&mut self, crashed: bool) -> Result<(), Broken> {
        self.engine = self.disk.recover(&self.engine, crashed);
        if self.engine.digest() != self.copy.digest() {
            return broken(Law::Durable, "what is recorded does not give the state back");
        }
        Ok(())
    }

    /// The daemon dies and comes back, and hears at once who waited for it.
    fn restart(&mut self, rebooted: bool, inputs: Vec<Input>, met: Faults) -> Result<(), Broken> {
        self.recover(true)?;
        self.witness.restart()?;
        self.boots += u64::from(rebooted);
        self.witness.report.restarts += 1;
        let start = told(self.start());
        // The edge says how far a change is that was under way.
        let change = self.changing().filter(|_| self.random.chance(1, 2));
        let change = change.and_then(|claim| sizes::report(&mut self.random, &self.engine, claim)).map(told);
        self.step([start].into_iter().chain(change).chain(inputs).collect(), met)
    }

    fn start(&mut self) -> Command {
        self.epoch += 1 + self.random.below(2);
        Command::Start { epoch: self.epoch, boot: self.boot(), boottime_ns: self.at }
    }

    fn boot(&self) -> String {
        format!("boot-{}", self.boots)
    }

    /// Whether more is in use of a pool than it has.
    fn shrunk(&self) -> bool {
        let pools = self.engine.view().pools;
        (0..pools.len()).any(|p| pools.reserved[p] + pools.held[p] + pools.quarantined[p] > pools.offered[p])
    }

    /// Counts what was carried out under which faults.
    fn meet(&mut self, batch: &Batch, met: Faults) {
        let refused: Vec<u32> = batch
            .events
            .iter()
            .filter(|event| matches!(event.what, What::Refused(_)))
            .filter_map(|event| event.cause)
            .collect();
        for (index, input) in (0..).zip(&batch.inputs) {
            if !refused.contains(&index) {
                self.witness.report.cover.meet(met, cover::verb(&input.body));
            }
        }
    }

    /// Counts an operation on a claim under what is wrong with its holder.
    fn meet_holder(&mut self, claim: ClaimId, verb: usize) {
        let mut met = Faults::default();
        if let Some(fault) = self.faults.of_holder(claim) {
            met.add(fault);
        }
        self.witness.report.cover.meet(met, verb);
    }

    /// An input of anybody about anything.
    fn anything(&mut self, inputs: &mut Vec<Input>) {
        let operation = self.any_operation();
        let mut to = self.target(operation.who);
        let holds = matches!(operation.who, Who::Holder | Who::Spender);
        let wrong = self.faults.of_holder(to.claim);
        let gone = self.engine.books().claim(to.claim).is_none();
        match wrong {
            Some(Fault::Crash) if holds => return,
            Some(Fault::Hang) if holds && !gone => return,
            Some(Fault::Stale) => to.fence = Fence(to.fence.0.saturating_sub(self.random.below(3))),
            _ => {}
        }
        let mut body = (operation.make)(self, to);
        if let (Some(Fault::Hoard), Command::Release { claim, fence }) = (wrong, &body) {
            body = Command::Renew { claim: *claim, fence: *fence, ttl_ns: 0 };
        }
        let mut twice = wrong == Some(Fault::Double);
        match cover::claim_of(&body) {
            Some(claim) => self.meet_holder(claim, cover::verb(&body)),
            None => twice = false,
        }
        if let (Command::Ask(ask), true) = (&mut body, self.faults.has(Fault::Double)) {
            twice = self.random.chance(1, 10);
            ask.key = ask.key.take().or_else(|| twice.then(|| format!("key-{}", self.random.below(40))));
        }
        let by = match operation.who {
            Who::Edge | Who::Operator => told(Command::Tick).by,
            Who::Client | Who::Holder | Who::Spender => self.speaker(to.claim),
        };
        if twice {
            inputs.push(Input { by: by.clone(), body: body.clone() });
        }
        inputs.push(Input { by, body });
    }

    /// A claim for somebody to do something to: a live one, or one that its holder thinks is alive.
    fn target(&mut self, who: Who) -> Target {
        if who == Who::Holder && !self.past.is_empty() && self.random.chance(1, 4) {
            let (claim, fence) = self.past[self.random.below(self.past.len() as u64) as usize];
            return Target { claim, fence, phase: Phase::Closed };
        }
        let mut live = self.live();
        if who == Who::Spender {
            let spends =
                |to: &Target| to.phase != Phase::Pending && !spent::of(&self.engine, to.claim).is_empty();
            live.retain(spends);
        }
        match live.is_empty() {
            true => Target { claim: ClaimId(self.random.below(50)), fence: Fence(1), phase: Phase::Pending },
            false => *self.random.pick(&live),
        }
    }

    /// Live claims with fence and phase.
    fn live(&self) -> Vec<Target> {
        let view = self.engine.view();
        let rows = (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0);
        rows.map(|c| Target {
            claim: ClaimId(view.claims.id[c]),
            fence: Fence(view.claims.fence[c]),
            phase: Phase::of(view.claims.phase[c]),
        })
        .collect()
    }

    /// A claim whose lines are being changed.
    fn changing(&self) -> Option<ClaimId> {
        self.live().into_iter().map(|live| live.claim).find(|&claim| self.engine.resizing(claim).is_some())
    }

    /// Mostly somebody who may touch the claim.
    fn speaker(&mut self, claim: ClaimId) -> Principal {
        let books = self.engine.books();
        match books.claim(claim) {
            Some(row) if self.random.chance(3, 4) => {
                let root = books.scope_path(books.tables().claims.scope[row as usize]).to_string();
                Principal { uid: 1, admin: root.is_empty(), root, within: None }
            }
            _ => self.somebody(),
        }
    }

    /// Another allocator decides from here on; its name.
    fn swap_allocator(&mut self) -> String {
        let Some((id, allocator)) = self.spare.take() else {
            return self.plugins.allocator.decider.plugin.clone();
        };
        let before = self.plugins.allocator.decider.plugin.clone();
        let decider = Decider { plugin: id.clone(), home: Home::Linked };
        self.spare = Some((before, self.plugins.allocator.swap(decider, allocator)));
        id
    }
}

fn unit(name: &str, springs: u64, driven: bool) -> Command {
    let (name, unit, shape) = (name.into(), "pieces".into(), Shape::Unit);
    Command::SetResource(ResourceSpec { name, shape, unit, min: 1, step: 1, piece: 0, springs, driven })
}
