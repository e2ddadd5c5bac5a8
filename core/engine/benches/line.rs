//! Goals 3 and 4: a fair line of 10,000 claims of 1,000 scopes on 64 units, against tokio's semaphore, which
//! is first come first served and knows neither scopes nor weights; and a rate that is checked at three
//! levels for 10,000 agents, against one textbook rate of the `governor` crate.
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use governor::{Quota, RateLimiter};
use std::{hint::black_box, num::NonZeroU32, sync::Arc, time::Instant};

const ROUNDS: usize = 5;
const UNITS: u64 = 64;
const WAITING: u64 = 10_000;
const SCOPES: u64 = 1_000;
const CYCLES: u64 = 20_000;
const AGENTS: u64 = 10_000;
const CHECKS: u64 = 20_000;
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

fn main() {
    let [mut line, mut semaphore, mut rate, mut single] = [const { Vec::new() }; 4];
    let mut fair = Fair::new();
    let mut rates = Rates::new();
    for _ in 0..ROUNDS {
        line.push(per_second(CYCLES, || fair.cycles()));
        semaphore.push(per_second(CYCLES, semaphores));
        rate.push(per_second(CHECKS, || rates.checks()));
        single.push(per_second(CHECKS, governor));
    }
    let [line, semaphore, rate, single] = [line, semaphore, rate, single].map(|mut rates: Vec<f64>| {
        rates.sort_by(f64::total_cmp);
        rates[rates.len() / 2] / 1e6
    });
    println!("fair line, 10,000 waiting, 1,000 scopes   {line:>8.3} M grants/s");
    println!("peer: tokio semaphore, 10,000 tasks       {semaphore:>8.3} M grants/s");
    println!("goal 3: {:.2} of the peer (goal ≥ 1)", line / semaphore);
    println!("rate at three levels, 10,000 agents       {rate:>8.3} M claims/s");
    println!("peer: governor, keyed, one level          {single:>8.3} M checks/s");
    println!("goal 4: {:.3} of the peer (goal 10 ÷ 29 = 0.34)", rate / single);
}

fn per_second(times: u64, run: impl FnOnce()) -> f64 {
    let start = Instant::now();
    run();
    times as f64 / start.elapsed().as_secs_f64()
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
struct Fair {
    engine: Engine,
    plugins: Plugins,
    held: Vec<(ClaimId, Fence, u64)>,
    next: u64,
}

impl Fair {
    fn new() -> Fair {
        let pool =
            PoolSpec { resource: "slot".into(), name: "slot".into(), capacity: UNITS, ..PoolSpec::default() };
        let weights = (0..SCOPES)
            .map(|n| Command::SetScope(ScopeSpec { path: format!("s{n}"), weight: 1 + n as u32 % 4 }));
        let setup = [kind("slot", Shape::Unit), Command::SetPool(pool)].into_iter().chain(weights).collect();
        let (engine, plugins) = engine(setup);
        let mut fair = Fair { engine, plugins, held: Vec::new(), next: 0 };
        for _ in 0..(UNITS + WAITING) / UNITS {
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

    fn cycles(&mut self) {
        for _ in 0..CYCLES / UNITS {
            let mut bodies: Vec<Command> =
                self.held.drain(..).map(|(claim, fence, _)| Command::Release { claim, fence }).collect();
            let asks: Vec<Command> = bodies.iter().map(|_| self.ask()).collect();
            bodies.extend(asks);
            self.step(bodies);
            assert_eq!(self.held.len() as u64, UNITS);
        }
    }
}

fn semaphores() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let semaphore = Arc::new(tokio::sync::Semaphore::new(UNITS as usize));
        let tasks: Vec<_> = (0..WAITING)
            .map(|_| {
                let semaphore = semaphore.clone();
                tokio::spawn(async move {
                    for _ in 0..CYCLES / WAITING {
                        let permit = semaphore.acquire().await.expect("open");
                        tokio::task::yield_now().await;
                        drop(permit);
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.expect("no panic");
        }
    });
}

/// Agents below teams below the fleet, each with a rate of its own.
struct Rates {
    engine: Engine,
    plugins: Plugins,
    batch: Batch,
    at: u64,
}

impl Rates {
    fn new() -> Rates {
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

    fn checks(&mut self) {
        for _ in 0..CHECKS / 256 {
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

fn governor() {
    let limiter = RateLimiter::keyed(Quota::per_second(NonZeroU32::new(1 << 30).expect("not zero")));
    for n in 0..CHECKS {
        let _ = black_box(limiter.check_key(&(n % AGENTS)));
    }
}
