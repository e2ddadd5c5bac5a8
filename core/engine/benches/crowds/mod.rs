//! Crowds of claims that come, wait and go: what the benches time and what instructions are counted of.
#[path = "../../tests/plain/mod.rs"]
mod plain;

use bursar_engine::{Engine, Plugins};
use bursar_interface::*;
use bursar_pool::Books;
use plain::{inputs, kind, plugins};
use std::hint::black_box;

pub(crate) const UNITS: u64 = 64;
pub(crate) const AGENTS: u64 = 10_000;
const SCOPES: u64 = 1_000;
const LONG: u64 = 1 << 50;

fn engine(setup: Vec<Command>) -> (Engine, Plugins) {
    let mut plugins = plugins();
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(setup), &mut plugins);
    (engine, plugins)
}

fn ask(scope: String, resource: &str, wait_ns: u64) -> Command {
    let line = LineAsk { resource: resource.into(), amount: 1, ..LineAsk::default() };
    Command::Ask(Ask { scope, wait_ns, ttl_ns: LONG, lines: vec![line], ..Ask::default() })
}

/// Who holds gives back and stands in line again; somebody else is granted.
pub(crate) struct Fair {
    engine: Engine,
    plugins: Plugins,
    /// Steps to come: those who give back, then those who ask.
    batches: Vec<Batch>,
    held: Vec<(ClaimId, Fence)>,
    next: u64,
}

impl Fair {
    /// So many wait.
    pub(crate) fn new(waiting: u64) -> Fair {
        let pool =
            PoolSpec { resource: "slot".into(), name: "slot".into(), capacity: UNITS, ..PoolSpec::default() };
        let weights = (0..SCOPES)
            .map(|n| Command::SetScope(ScopeSpec { path: format!("s{n}"), weight: 1 + n as u32 % 4 }));
        let setup =
            [kind("slot", Shape::Unit, 0), Command::SetPool(pool)].into_iter().chain(weights).collect();
        let (engine, plugins) = engine(setup);
        let mut fair = Fair { engine, plugins, batches: Vec::new(), held: Vec::new(), next: 0 };
        for _ in 0..(UNITS + waiting) / UNITS {
            let asks = inputs((0..UNITS).map(|_| fair.ask()));
            fair.step(Batch { inputs: asks, ..Batch::default() });
        }
        fair
    }

    fn ask(&mut self) -> Command {
        self.next += 1;
        ask(format!("s{}", self.next % SCOPES), "slot", LONG)
    }

    fn step(&mut self, mut batch: Batch) -> Batch {
        self.engine.advance(Time(2), &mut batch, &mut self.plugins);
        self.held.extend(batch.events.iter().filter_map(|event| match event.what {
            What::Granted { claim, fence, .. } => Some((claim, fence)),
            _ => None,
        }));
        batch
    }

    /// Writes the inputs of so many cycles: that is the clients' work.
    pub(crate) fn prepare(&mut self, cycles: u64) {
        self.batches = (0..cycles / UNITS)
            .map(|_| {
                let gives_back = (0..UNITS).map(|_| Command::Release { claim: ClaimId(0), fence: Fence(0) });
                let bodies = gives_back.collect::<Vec<_>>().into_iter().chain((0..UNITS).map(|_| self.ask()));
                let (inputs, events) = (inputs(bodies), Vec::with_capacity(4 * UNITS as usize));
                Batch { inputs, events, ..Batch::default() }
            })
            .collect();
    }

    /// Steps through what was prepared.
    pub(crate) fn cycles(&mut self) {
        for n in 0..self.batches.len() {
            let mut batch = std::mem::take(&mut self.batches[n]);
            for (input, held) in batch.inputs.iter_mut().zip(self.held.drain(..)) {
                input.body = Command::Release { claim: held.0, fence: held.1 };
            }
            self.batches[n] = self.step(batch);
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
        let mut setup = vec![kind("tokens", Shape::Rate, 0), Command::SetPool(pool)];
        setup.extend((0..AGENTS / 100).map(|team| quota(format!("t{team}"), 1 << 20)));
        setup.extend((0..AGENTS).map(|agent| quota(format!("t{}/a{agent}", agent / 100), 1 << 10)));
        let (engine, plugins) = engine(setup);
        let asks =
            (0..256u64).map(|n| (n * 39) % AGENTS).map(|n| ask(format!("t{}/a{n}", n / 100), "tokens", 0));
        let batch = Batch { inputs: inputs(asks), ..Batch::default() };
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
            let releases = inputs(granted);
            self.engine.step(Time(self.at), releases, &mut self.plugins);
        }
    }

    /// The check alone, as the books do it for each rate that is asked: taken at all three levels and from the
    /// pool, or the first moment at which it could be. Returns how many were taken.
    pub(crate) fn takes(&mut self, books: &mut Books, agents: &[Row], takes: u64) -> u64 {
        const AMOUNT: Amount = 200;
        let (mut taken, pool) = (0, books.tables().resources.first_floating[0]);
        for n in 0..takes as usize {
            if n % 256 == 0 {
                self.at += 1_000;
                books.advance(Time(self.at), |_| ());
            }
            let scope = agents[n * 39 % agents.len()];
            let missing = AMOUNT.saturating_sub(books.tables().pools.free(pool));
            match books.ledger_short(scope, 0, AMOUNT) {
                Some((quota, _)) => drop(black_box(books.meter_ready(quota, AMOUNT))),
                None if missing > 0 => drop(black_box(books.pool_ready(pool, AMOUNT))),
                None => {
                    books.spend(NONE, pool, scope, 0, (0, AMOUNT));
                    taken += 1;
                }
            }
        }
        taken
    }

    /// The books by themselves, and the row of each agent's scope.
    pub(crate) fn books(&self) -> (Books, Vec<Row>) {
        let books = self.engine.books().clone();
        let agents = (0..AGENTS).filter_map(|n| books.scope(&format!("t{}/a{n}", n / 100)));
        let agents = agents.collect();
        (books, agents)
    }
}
