//! Crowds of claims that come, wait and go: what the benches time and what instructions are counted of.
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use std::hint::black_box;

pub(crate) const UNITS: u64 = 64;
pub(crate) const AGENTS: u64 = 10_000;
const SCOPES: u64 = 1_000;
const LONG: u64 = 1 << 50;

struct First;
impl Allocator for First {
    fn place(&mut self, _: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        for &claim in queue {
            plan.place(claim, NONE);
        }
        Ok(())
    }
}
impl Qos for First {
    fn rank(&mut self, _: &View<'_>, _: &[Row], _: &mut [Rank]) -> Result<(), Fault> {
        Ok(())
    }
}

fn engine(setup: Vec<Command>) -> (Engine, Plugins) {
    let mut plugins = Plugins {
        qos: Seat::linked("first", || Box::new(First) as Box<dyn Qos>),
        allocator: Seat::linked("first", || Box::new(First) as Box<dyn Allocator>),
    };
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(setup), &mut plugins);
    (engine, plugins)
}

fn inputs(bodies: Vec<Command>) -> Vec<Input> {
    let by = Principal { admin: true, ..Principal::default() };
    bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect()
}

fn kind(name: &str, shape: Shape) -> Command {
    let (name, unit) = (name.into(), "pieces".into());
    let (min, step, piece, springs, driven) = (1, 1, 0, 0, false);
    Command::SetResource(ResourceSpec { name, shape, unit, min, step, piece, springs, driven })
}

fn ask(scope: String, resource: &str, wait_ns: u64) -> Command {
    let line = LineAsk { resource: resource.into(), amount: 1, ..LineAsk::default() };
    Command::Ask(Ask { scope, wait_ns, ttl_ns: LONG, lines: vec![line], ..Ask::default() })
}

/// Who holds gives back and stands in line again; somebody else is granted.
pub(crate) struct Fair {
    engine: Engine,
    plugins: Plugins,
    held: Vec<(ClaimId, Fence, u64)>,
    next: u64,
}

impl Fair {
    /// So many wait.
    pub(crate) fn new(waiting: u64) -> Fair {
        let pool =
            PoolSpec { resource: "slot".into(), name: "slot".into(), capacity: UNITS, ..PoolSpec::default() };
        let weights = (0..SCOPES)
            .map(|n| Command::SetScope(ScopeSpec { path: format!("s{n}"), weight: 1 + n as u32 % 4 }));
        let setup = [kind("slot", Shape::Unit), Command::SetPool(pool)].into_iter().chain(weights).collect();
        let (engine, plugins) = engine(setup);
        let mut fair = Fair { engine, plugins, held: Vec::new(), next: 0 };
        for _ in 0..(UNITS + waiting) / UNITS {
            let asks = (0..UNITS).map(|_| fair.ask()).collect();
            fair.step(asks);
        }
        fair
    }

    fn ask(&mut self) -> Command {
        self.next += 1;
        ask(format!("s{}", self.next % SCOPES), "slot", LONG)
    }

    fn step(&mut self, bodies: Vec<Command>) {
        let batch = self.engine.step(Time(2), inputs(bodies), &mut self.plugins);
        let granted = batch.events.iter().filter_map(|event| match event.what {
            What::Granted { claim, fence, .. } => Some((claim, fence, 0)),
            _ => None,
        });
        self.held.extend(granted);
    }

    pub(crate) fn cycles(&mut self, cycles: u64) {
        for _ in 0..cycles / UNITS {
            let mut bodies: Vec<Command> =
                self.held.drain(..).map(|(claim, fence, _)| Command::Release { claim, fence }).collect();
            let asks: Vec<Command> = bodies.iter().map(|_| self.ask()).collect();
            bodies.extend(asks);
            self.step(bodies);
            assert_eq!(self.held.len() as u64, UNITS);
        }
    }
}

/// Agents below teams below the fleet, each with a rate of its own.
pub(crate) struct Rates {
    engine: Engine,
    plugins: Plugins,
    batch: Batch,
    at: u64,
}

impl Rates {
    pub(crate) fn new() -> Rates {
        let refill = Refill { period_ns: 1_000_000, ..Refill::default() };
        let pool = PoolSpec {
            resource: "tokens".into(),
            name: "acct".into(),
            capacity: 1 << 30,
            refill,
            ..PoolSpec::default()
        };
        let quota = |scope: String, limit| {
            let (resource, limit) = ("tokens".to_owned(), Some(limit));
            Command::SetQuota(QuotaSpec { scope, resource, limit, refill, ..QuotaSpec::default() })
        };
        let mut setup = vec![kind("tokens", Shape::Rate), Command::SetPool(pool)];
        setup.extend((0..AGENTS / 100).map(|team| quota(format!("t{team}"), 1 << 20)));
        setup.extend((0..AGENTS).map(|agent| quota(format!("t{}/a{agent}", agent / 100), 1 << 10)));
        let (engine, plugins) = engine(setup);
        let asks =
            (0..256u64).map(|n| (n * 39) % AGENTS).map(|n| ask(format!("t{}/a{n}", n / 100), "tokens", 0));
        let batch = Batch { inputs: inputs(asks.collect()), ..Batch::default() };
        Rates { engine, plugins, batch, at: 2 }
    }

    pub(crate) fn checks(&mut self, checks: u64) {
        for _ in 0..checks / 256 {
            self.at += 1_000_000;
            self.engine.advance(Time(self.at), black_box(&mut self.batch), &mut self.plugins);
            let granted = self.batch.events.iter().filter_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some(Command::Release { claim, fence }),
                _ => None,
            });
            let releases = inputs(granted.collect());
            self.engine.step(Time(self.at), releases, &mut self.plugins);
        }
    }
}
