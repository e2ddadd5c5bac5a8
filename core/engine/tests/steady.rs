//! In the steady state a step allocates nothing: what it writes on is kept and used again.
mod plain;

use bursar_engine::Engine;
use bursar_interface::{
    Ask, Batch, Command, LineAsk, NodeSpec, PoolSpec, Shape, Time, What, bound::KEPT_MAX,
};
use plain::{inputs, kind, plugins};

const KINDS: [&str; 4] = ["cpu", "memory", "pids", "disk"];
const BATCH: usize = 64;

fn fleet() -> Vec<Command> {
    let mut commands = vec![Command::SetNode(NodeSpec { name: "n".into(), ..NodeSpec::default() })];
    for name in KINDS {
        let (resource, node) = (name.into(), Some("n".into()));
        let pool = PoolSpec {
            resource,
            node,
            name: name.into(),
            capacity: 1 << 40,
            labels: Vec::new(),
            ..PoolSpec::default()
        };
        commands.extend([kind(name, Shape::Capacity, 0), Command::SetPool(pool)]);
    }
    commands
}

#[test]
fn a_step_in_the_steady_state_allocates_nothing() {
    let mut plugins = plugins();
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(fleet()), &mut plugins);
    let line = |name: &&str| LineAsk { resource: (*name).into(), amount: 3, ..LineAsk::default() };
    let lines: Vec<LineAsk> = KINDS.iter().map(line).collect();
    let ask = Ask { ttl_ns: 1 << 40, scope: "team".into(), lines, ..Ask::default() };
    let mut asks =
        Batch { inputs: inputs(std::iter::repeat_n(Command::Ask(ask.clone()), BATCH)), ..Batch::default() };
    let mut releases =
        Batch { inputs: inputs(std::iter::repeat_n(Command::Tick, BATCH)), ..Batch::default() };
    // One lease stays, and with it the scope.
    engine.step(Time(1), inputs([Command::Ask(ask)]), &mut plugins);
    let mut pairs = |turns: usize| {
        for _ in 0..turns {
            engine.advance(Time(2), &mut asks, &mut plugins);
            let granted = asks.events.iter().filter_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some(Command::Release { claim, fence }),
                _ => None,
            });
            releases.inputs.iter_mut().zip(granted).for_each(|(input, release)| input.body = release);
            engine.advance(Time(2), &mut releases, &mut plugins);
        }
        assert_eq!(engine.books().live(), 1);
    };
    // Until everything that is bounded has reached its bound.
    pairs(2 * KEPT_MAX / BATCH);
    let counted = allocation_counter::measure(|| pairs(100));
    assert_eq!(counted.count_total, 0, "{counted:?}");
}
