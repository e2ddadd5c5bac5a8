//! What one change costs while many wait, counted in comparisons and in scopes that are looked at again: it
//! may grow as the logarithm of the scopes, and not with the claims.
use crate::{Engine, Plugins, line::counted, plain};
use bursar_interface::*;

const SCOPES: u64 = 1_000;
const UNITS: u64 = 64;
const CHANGES: u64 = 200;

struct Crowd {
    engine: Engine,
    plugins: Plugins,
    held: Vec<(ClaimId, Fence)>,
    came: u64,
}

impl Crowd {
    /// So many wait for 64 units; with `limit`, no scope may have more than so many of them.
    fn new(waiting: u64, limit: Option<u64>) -> Crowd {
        let plugins = plain::plugins();
        let (engine, held) = (Engine::new(), Vec::new());
        let mut crowd = Crowd { engine, plugins, held, came: 0 };
        let (name, unit, shape) = ("slot".to_owned(), "pieces".to_owned(), Shape::Unit);
        let (min, step, piece, springs, driven) = (1, 1, 0, 0, false);
        let kind = ResourceSpec { name, shape, unit, min, step, piece, springs, driven };
        let capacity = if limit.is_some() { 2 * SCOPES } else { UNITS };
        let (resource, name) = ("slot".to_owned(), "slot".to_owned());
        let pool = PoolSpec { resource, name, capacity, ..PoolSpec::default() };
        let scopes = (0..SCOPES).map(|n| ScopeSpec { path: path(n), weight: 1 + n as u32 % 4 });
        let quotas = (0..SCOPES).filter(|_| limit.is_some()).map(|n| {
            let resource = "slot".to_owned();
            Command::SetQuota(QuotaSpec { scope: path(n), resource, limit, ..QuotaSpec::default() })
        });
        let setup = [Command::SetResource(kind), Command::SetPool(pool)];
        crowd.step(setup.into_iter().chain(scopes.map(Command::SetScope)).chain(quotas).collect());
        let held = limit.map_or(UNITS, |limit| limit * SCOPES);
        for _ in 0..(waiting + held).div_ceil(500) {
            let asks = (0..500).map(|_| crowd.ask()).collect();
            crowd.step(asks);
        }
        assert_eq!(crowd.held.len() as u64, held);
        crowd
    }

    fn ask(&mut self) -> Command {
        self.came += 1;
        let line = LineAsk { resource: "slot".into(), amount: 1, ..LineAsk::default() };
        let (wait_ns, ttl_ns) = (1 << 50, 1 << 50);
        Command::Ask(Ask { scope: path(self.came), wait_ns, ttl_ns, lines: vec![line], ..Ask::default() })
    }

    fn step(&mut self, bodies: Vec<Command>) {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        let batch = self.engine.step(Time(1), inputs, &mut self.plugins);
        self.held.extend(batch.events.iter().filter_map(|event| match event.what {
            What::Granted { claim, fence, .. } => Some((claim, fence)),
            _ => None,
        }));
    }

    /// The most work that one of many changes took: a unit comes back, somebody gets it, somebody comes.
    fn most(&mut self) -> u64 {
        let costs = (0..CHANGES).map(|_| {
            let (claim, fence) = self.held.remove(0);
            let (before, held) = (counted(), self.held.len());
            let ask = self.ask();
            self.step(vec![Command::Release { claim, fence }, ask]);
            assert_eq!(self.held.len(), held + 1, "what came back is given out again");
            counted() - before
        });
        costs.max().unwrap_or(0)
    }
}

fn path(number: u64) -> String {
    format!("t{}/s{}", number % SCOPES / 100, number % SCOPES)
}

#[test]
fn work_for_a_change_does_not_grow_with_those_who_wait() {
    // Ten teams of a hundred: 4 and 7 comparisons, for each of the few times that a scope moves.
    const MOST: u64 = 16 * (4 + 7);
    for limit in [None, Some(1)] {
        let costs = [1_000, 10_000, 99_000].map(|waiting| Crowd::new(waiting, limit).most());
        assert!(costs.iter().all(|&cost| cost <= MOST), "{costs:?}, at most {MOST}");
        assert!(costs[2] <= costs[0] + costs[0] / 2 + 16, "a hundred times as many wait: {costs:?}");
    }
}
