//! What an ask says may be said in any order, and what a lease around has more of is there for whoever waits in it.
mod plain;

use bursar_engine::{Engine, Plugins, Relaxed};
use bursar_interface::*;
use plain::{inputs, kind, plugins};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;

struct World {
    engine: Engine,
    copy: Engine,
    plugins: Plugins,
    at: u64,
}

impl World {
    /// One node with memory and two devices, and three ports on none.
    fn new() -> World {
        let (engine, copy) = (Engine::new(), Engine::new());
        let mut world = World { engine, copy, plugins: plugins(), at: SECOND };
        let pool = |resource: &str, node: Option<&str>, name: &str, capacity, label: &str| {
            let labels = if label.is_empty() { Vec::new() } else { vec![label.to_owned()] };
            let (resource, node, name) = (resource.into(), node.map(str::to_owned), name.into());
            Command::SetPool(PoolSpec { resource, node, name, capacity, labels, ..PoolSpec::default() })
        };
        let devices = ResourceSpec {
            name: "gpu".into(),
            shape: Shape::Unit,
            unit: "milli".into(),
            min: 1,
            step: 1,
            piece: 1000,
            springs: 0,
            driven: false,
        };
        world.tell(vec![
            kind("memory", Shape::Capacity, 0),
            kind("lock", Shape::Unit, 8),
            Command::SetResource(devices),
            kind("port", Shape::Unit, 0),
            Command::SetNode(NodeSpec { name: "n".into(), ..NodeSpec::default() }),
            pool("memory", Some("n"), "memory", 8000, ""),
            pool("gpu", Some("n"), "g0", 1000, "T4"),
            pool("gpu", Some("n"), "g1", 1000, "P4"),
            pool("port", None, "20000", 1, ""),
            pool("port", None, "20001", 1, ""),
            pool("port", None, "20002", 1, ""),
            Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 },
        ]);
        world
    }

    fn tell(&mut self, bodies: Vec<Command>) -> Vec<What> {
        let batch = self.engine.step(Time(self.at), inputs(bodies), &mut self.plugins);
        self.copy.fold(&batch);
        assert_eq!(self.engine.digest(), self.copy.digest(), "the fold is the state");
        assert!(self.engine.books().balanced(), "the books are balanced");
        batch.events.into_iter().map(|event| event.what).collect()
    }

    fn ask(&mut self, ask: Ask) -> (ClaimId, Fence, Vec<String>) {
        let told = self.tell(vec![Command::Ask(ask.clone())]);
        let granted = told.iter().find_map(|what| match what {
            What::Granted { claim, fence, pools, .. } => {
                let row = |id: &PoolId| {
                    self.engine.view().pools.id.iter().position(|known| *known == id.0).expect("a pool")
                };
                let name = |id| self.engine.books().pool_name(row(id) as Row).to_string();
                Some((*claim, *fence, pools.iter().map(name).collect()))
            }
            _ => None,
        });
        granted.unwrap_or_else(|| panic!("{:?}: {told:?}", ask.lines))
    }

    /// Asks that wait are tried until none wants to be any more.
    fn settle(&mut self) -> Vec<What> {
        let mut told = Vec::new();
        while self.engine.wake_at().is_some_and(|at| at.0 <= self.at) {
            told.extend(self.tell(vec![Command::Tick]));
            assert!(told.len() < 100, "it never rests: {told:?}");
        }
        told
    }

    fn phase(&self, claim: ClaimId) -> Option<Phase> {
        self.engine.books().claim(claim).map(|row| self.engine.books().phase(row))
    }
}

/// `gpu:g0=700@T4`, `memory=1`, `gpu=whole`.
fn line(text: &str) -> LineAsk {
    let (kind, amount) = text.split_once('=').expect("an amount");
    let (resource, pool) = kind.split_once(':').map_or((kind, None), |(kind, pool)| (kind, Some(pool)));
    let (amount, model) =
        amount.split_once('@').map_or((amount, None), |(amount, model)| (amount, Some(model)));
    LineAsk {
        resource: resource.into(),
        amount: amount.parse().unwrap_or(1),
        pool: pool.map(Into::into),
        models: model.into_iter().map(Into::into).collect(),
        whole: amount == "whole",
        soft: None,
    }
}

fn ask(lines: &[&str]) -> Ask {
    Ask { ttl_ns: 3600 * SECOND, lines: lines.iter().map(|text| line(text)).collect(), ..Ask::default() }
}

fn within(claim: ClaimId, lines: &[&str]) -> Ask {
    Ask { within: Within::Lease(claim, None), wait_ns: 20 * SECOND, ..ask(lines) }
}

fn size(resource: &str, amount: Amount) -> Vec<Size> {
    vec![Size { resource: resource.into(), pool: None, amount }]
}

/// All orders of a few lines.
fn orders<'a>(lines: &[&'a str]) -> Vec<Vec<&'a str>> {
    let Some((first, rest)) = lines.split_first() else { return vec![Vec::new()] };
    let mut all = Vec::new();
    for order in orders(rest) {
        for at in 0..=order.len() {
            let mut next = order.clone();
            next.insert(at, first);
            all.push(next);
        }
    }
    all
}

#[test]
fn in_whichever_order_lines_are_said_they_fit_an_idle_fleet() {
    for lines in [
        &["gpu=1000", "gpu:g0=1000"][..],
        &["gpu=500", "gpu:g0=700"],
        &["gpu=500", "gpu=700", "gpu:g1=300"],
        &["gpu=1000", "gpu=1000@T4"],
        &["gpu=300", "gpu=700@T4", "gpu:g0=300", "memory=1"],
        &["port=1", "port=1", "port:20000=1"],
        &["port=1", "port:20001=1", "port:20000=1"],
    ] {
        for order in orders(lines) {
            let mut world = World::new();
            let (_, _, pools) = world.ask(ask(&order));
            for (said, pool) in order.iter().zip(&pools) {
                let named = said.split(['=', '@']).next().and_then(|kind| kind.split_once(':'));
                assert!(named.is_none_or(|(_, name)| name == pool), "{order:?}: {pools:?}");
            }
        }
    }
}

#[test]
fn in_whichever_order_lines_are_said_what_they_need_is_kept_for_the_head() {
    for order in [["gpu=1000", "gpu:g0=1000"], ["gpu:g0=1000", "gpu=1000"]] {
        let mut world = World::new();
        world.ask(Ask { expect_ns: 100 * SECOND, ..ask(&["gpu:g0=1000"]) });
        let (claim, fence, _) = world.ask(Ask { expect_ns: 60 * SECOND, ..ask(&["gpu:g1=1000"]) });
        world.tell(vec![Command::Ask(Ask { wait_ns: 600 * SECOND, ..ask(&order) })]);
        world.at += 40 * SECOND;
        world.settle();
        world.tell(vec![Command::Release { claim, fence }]);
        let told = world.tell(vec![Command::Ask(ask(&["gpu=500"]))]);
        assert!(!told.iter().any(|what| matches!(what, What::Granted { .. })), "{order:?}: {told:?}");
    }
}

#[test]
fn in_whichever_order_lines_are_said_they_fit_a_lease_around() {
    for lines in [&["gpu=1000", "gpu:g0=1000"][..], &["gpu=500", "gpu:g0=700"], &["gpu=1000", "gpu=1000@T4"]]
    {
        for order in orders(lines) {
            let mut world = World::new();
            let (outer, ..) = world.ask(ask(&["gpu:g0=1000", "gpu:g1=1000"]));
            world.ask(within(outer, &order));
        }
    }
}

#[test]
fn only_what_springs_from_a_name_is_taken_whole() {
    let mut world = World::new();
    world.ask(ask(&["lock:a=whole"]));
    for said in ["gpu=whole", "gpu:g0=whole", "memory=whole", "port=whole"] {
        let told = world.tell(vec![Command::Ask(ask(&[said]))]);
        let [What::Refused(refusal)] = &told[..] else { panic!("{said}: {told:?}") };
        assert_eq!(refusal.reason, Reason::BadRequest, "{said}: {refusal}");
    }
}

#[test]
fn whoever_waits_within_a_lease_hears_that_it_grew() {
    let mut world = World::new();
    let (outer, fence, _) = world.ask(ask(&["memory=1000"]));
    world.ask(within(outer, &["memory=1000"]));
    world.tell(vec![Command::Ask(within(outer, &["memory=1"]))]);
    let waits = ClaimId(outer.0 + 2);
    world.settle();
    assert_eq!(world.phase(waits), Some(Phase::Pending));
    world.tell(vec![Command::Extend { claim: outer, fence, to: size("memory", 5000) }]);
    world.settle();
    assert_eq!(world.phase(waits), Some(Phase::Held));
}

#[test]
fn what_an_edge_has_not_made_true_yet_is_nobodys_within() {
    for made_true in [true, false] {
        let mut world = World::new();
        let (outer, fence, _) = world.ask(ask(&["memory=1000"]));
        let process = Process { pid: 7, started: 1, boot: "b".into() };
        world.tell(vec![Command::Attach { claim: outer, fence, process }]);
        world.tell(vec![Command::Enforced { claim: outer, processes: 1 }]);
        let (inner, inner_fence, _) = world.ask(within(outer, &["memory=1000"]));
        world.tell(vec![Command::Ask(within(outer, &["memory=2000"]))]);
        let refused = world.phase(ClaimId(outer.0 + 2));
        assert_eq!(refused, None, "more than there is around");
        world.tell(vec![Command::Ask(within(outer, &["memory=900"]))]);
        world.tell(vec![Command::Ask(within(outer, &["memory=800"]))]);
        let [first, second] = [2, 3].map(|next| ClaimId(outer.0 + next));
        world.settle();
        world.tell(vec![Command::Extend { claim: outer, fence, to: size("memory", 5000) }]);
        world.tell(vec![Command::Release { claim: inner, fence: inner_fence }]);
        world.settle();
        assert_eq!([first, second].map(|claim| world.phase(claim)), [Some(Phase::Pending); 2]);
        world.tell(vec![match made_true {
            true => Command::Resized { claim: outer },
            false => Command::ResizeFailed { claim: outer, message: "no".into() },
        }]);
        world.settle();
        let then = if made_true { Phase::Held } else { Phase::Pending };
        assert_eq!([first, second].map(|claim| world.phase(claim)), [Some(Phase::Held), Some(then)]);
    }
}

#[test]
fn what_a_refusal_offers_is_granted() {
    let mut world = World::new();
    world.ask(Ask { expect_ns: 60 * SECOND, ..ask(&["memory=6000"]) });
    world.tell(vec![Command::Ask(Ask { wait_ns: 600 * SECOND, ..ask(&["memory=8000"]) })]);
    world.at += 31 * SECOND;
    world.settle();
    let refused = ask(&["memory=1000"]);
    let closed = world.tell(vec![Command::Ask(refused.clone())]);
    assert!(!closed.iter().any(|what| matches!(what, What::Granted { .. })), "{closed:?}");
    let mut plugins = plugins();
    let changes = world.engine.trial_of(refused).changes(&mut plugins);
    for change in changes {
        let mut tried = world.engine.clone();
        let told = tried.step(Time(world.at), inputs([Command::Ask(change.ask.clone())]), &mut plugins);
        let granted = told.events.iter().any(|event| matches!(event.what, What::Granted { .. }));
        assert!(granted, "{change:?}");
        assert_ne!(change.how, Relaxed::Less, "one byte is kept for the head as well");
    }
}
