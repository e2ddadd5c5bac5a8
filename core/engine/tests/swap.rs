//! A swapped strategy decides about those who wait already as about those who come.
mod plain;

use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use plain::{First, inputs, kind};

/// By class: the best first, or the worst.
struct ByClass {
    worst_first: bool,
}
impl Qos for ByClass {
    fn rank(&mut self, view: &View<'_>, claims: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (&claim, rank) in claims.iter().zip(ranks) {
            let class = u64::from(view.claims.class[claim as usize]);
            *rank = Rank { tier: if self.worst_first { 9 - class } else { class }, share: 0 };
        }
        Ok(())
    }
}

fn told(engine: &mut Engine, at: u64, plugins: &mut Plugins, bodies: Vec<Command>) -> Vec<What> {
    engine.step(Time(at), inputs(bodies), plugins).events.into_iter().map(|event| event.what).collect()
}

fn ask(class: Class) -> Command {
    let lines = vec![LineAsk { resource: "cpu".into(), amount: 1, ..LineAsk::default() }];
    Command::Ask(Ask { class, lines, wait_ns: 1 << 40, ttl_ns: 1 << 40, ..Ask::default() })
}

#[test]
fn those_who_wait_are_ranked_anew_by_the_next_qos() {
    let mut plugins = Plugins {
        qos: Seat::linked("class", || Box::new(ByClass { worst_first: false }) as Box<dyn Qos>),
        allocator: Seat::linked("first", || Box::new(First) as Box<dyn Allocator>),
    };
    let mut engine = Engine::new();
    let pool = PoolSpec {
        resource: "cpu".into(),
        node: Some("n".into()),
        name: "cpu".into(),
        capacity: 1,
        ..PoolSpec::default()
    };
    let node = NodeSpec { name: "n".into(), ..NodeSpec::default() };
    let supply = vec![kind("cpu", Shape::Capacity, 0), Command::SetNode(node), Command::SetPool(pool)];
    told(&mut engine, 1, &mut plugins, supply);
    let events = told(&mut engine, 2, &mut plugins, vec![ask(Class::Burstable)]);
    let fence = events.iter().find_map(|what| match what {
        What::Granted { claim: ClaimId(1), fence, .. } => Some(*fence),
        _ => None,
    });
    told(&mut engine, 2, &mut plugins, vec![ask(Class::BestEffort), ask(Class::Guaranteed)]);
    let to = Decider { plugin: "reversed".into(), home: Home::Linked };
    plugins.qos.swap(to.clone(), Box::new(ByClass { worst_first: true }));
    told(&mut engine, 3, &mut plugins, vec![Command::Swap { role: Role::Qos, to }]);
    let release = Command::Release { claim: ClaimId(1), fence: fence.expect("the first one has it") };
    let events = told(&mut engine, 4, &mut plugins, vec![release]);
    let granted: Vec<u64> = { events.iter() }
        .filter_map(|what| match what {
            What::Granted { claim, .. } => Some(claim.0),
            _ => None,
        })
        .collect();
    assert_eq!(granted, [2], "the worst class goes first now: {events:?}");
}
