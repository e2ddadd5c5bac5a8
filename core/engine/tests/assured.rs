//! A rate that a scope is assured of is its own at any time, what it leaves is lent, and nobody is told a wrong
//! moment: over random arrivals, against the arithmetic of the promise itself, side by side and further down.
mod plain;

use bursar_engine::Engine;
use bursar_interface::*;
use plain::{inputs, kind, plugins};

const SECOND: u64 = 1_000_000_000;
/// The pool: 60 a minute, 24 at once.
const RATE: u64 = 60;
const BURST: u64 = 24;
/// Where three scopes may lie in the tree.
const TREES: [[&str; 3]; 3] = [["a", "b", "c"], ["a/x", "b/x/y", "c"], ["t/a", "t/b/x", "t/c"]];
/// What they are assured of in a minute: the last of nothing.
const ASSURED: [u64; 3] = [30, 20, 0];

fn step(engine: &mut Engine, at: u64, bodies: Vec<Command>) -> Batch {
    engine.step(Time(at), inputs(bodies), &mut plugins())
}

fn engine(tree: [&str; 3]) -> Engine {
    let refill = Refill { period_ns: 60 * SECOND, burst: BURST, ..Refill::default() };
    let (resource, name) = ("tokens".to_owned(), "acct".to_owned());
    let pool = PoolSpec { resource, name, capacity: RATE, refill, ..PoolSpec::default() };
    let quotas = tree.into_iter().zip(ASSURED).filter(|(_, guaranteed)| *guaranteed > 0);
    let quotas = quotas.map(|(scope, guaranteed)| {
        let (scope, resource) = (scope.to_owned(), "tokens".to_owned());
        let refill = Refill { period_ns: 60 * SECOND, ..Refill::default() };
        Command::SetQuota(QuotaSpec { scope, resource, guaranteed, refill, ..QuotaSpec::default() })
    });
    let mut engine = Engine::new();
    let setup = [kind("tokens", Shape::Rate, 0), Command::SetPool(pool)];
    step(&mut engine, 1, setup.into_iter().chain(quotas).collect());
    engine
}

fn ask(scope: &str, amount: u64, wait_ns: u64) -> Command {
    let line = LineAsk { resource: "tokens".into(), amount, ..LineAsk::default() };
    let scope = scope.to_owned();
    Command::Ask(Ask { scope, wait_ns, ttl_ns: SECOND, lines: vec![line], ..Ask::default() })
}

fn granted(batch: &Batch) -> bool {
    batch.events.iter().any(|event| matches!(event.what, What::Granted { .. }))
}

struct Random(u64);
impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

/// What each scope was granted by each moment: the first always wants, the second now and then, the third all that
/// it can get, and before the others.
fn traffic(seed: u64, tree: [&str; 3]) -> Vec<(u64, [u64; 3])> {
    let (mut engine, mut random, mut sums, mut seen) = (engine(tree), Random(seed), [0; 3], Vec::new());
    let mut at = SECOND;
    for _ in 0..400 {
        at += 1 + random.below(SECOND);
        for scope in [2, 1, 0] {
            while scope != 1 || random.below(3) == 0 {
                // Whoever asks for little gets in first: what was not kept would be gone.
                let amount = [3, 1 + random.below(4), 1][scope];
                if !granted(&step(&mut engine, at, vec![ask(tree[scope], amount, 0)])) {
                    break;
                }
                sums[scope] += amount;
            }
        }
        seen.push((at, sums));
    }
    seen
}

#[test]
fn a_scope_that_always_wants_gets_its_assured_rate_and_all_together_no_more_than_the_pool_has() {
    for seed in 0..20 {
        let tree = TREES[seed as usize % TREES.len()];
        let seen = traffic(seed, tree);
        for (n, &(since, before)) in seen.iter().enumerate() {
            for &(until, after) in &seen[n..] {
                let minutes = |rate: u64| rate * (until - since) / (60 * SECOND);
                let (got, burst) = (after[0] - before[0], ASSURED[0] * BURST / RATE);
                assert!(got + burst >= minutes(ASSURED[0]), "seed {seed}: {got} from {since} to {until}");
                let all: u64 = after.iter().zip(before).map(|(after, before)| after - before).sum();
                assert!(all <= minutes(RATE) + 1 + BURST, "seed {seed}: {all} from {since} to {until}");
            }
        }
        let (_, sums) = seen[seen.len() - 1];
        assert!(sums[2] > 0, "what is left unused is lent");
        // All that flowed was spent by somebody, but for what `b` may have at once.
        let all: u64 = sums.iter().sum();
        let flowed = RATE * (seen[seen.len() - 1].0 - SECOND) / (60 * SECOND);
        assert!(all + BURST >= flowed, "seed {seed}: {all} of {flowed}");
    }
}

#[test]
fn whoever_borrows_is_told_the_first_moment_at_which_it_is_there() {
    let mut told = 0;
    for seed in 0..40 {
        let tree = TREES[seed as usize % TREES.len()];
        let (mut engine, mut random, mut at) = (engine(tree), Random(seed), SECOND);
        for _ in 0..30 {
            at += 1 + random.below(3 * SECOND);
            let (scope, amount) = (random.below(3) as usize, 1 + random.below(8));
            step(&mut engine, at, vec![ask(tree[scope], amount, 0)]);
        }
        let amount = 1 + random.below(10);
        let batch =
            step(&mut engine, at + 1, vec![ask(tree[random.below(3) as usize], amount, 600 * SECOND)]);
        let retry_at = batch.events.iter().find_map(|event| match event.what {
            What::Waiting { retry_at, .. } => Some(retry_at),
            _ => None,
        });
        let Some(retry_at) = retry_at.filter(|&retry_at| retry_at > Time(0)) else { continue };
        told += 1;
        let mut early = engine.clone();
        assert!(!granted(&step(&mut early, retry_at.0 - 1, vec![])), "seed {seed}: there before it was told");
        assert!(granted(&step(&mut early, retry_at.0, vec![])), "seed {seed}: not there when it was told");
        assert!(granted(&step(&mut engine, retry_at.0, vec![])), "seed {seed}: not there at once");
    }
    assert!(told >= 10, "only {told} of 40 had to wait");
}
