//! In the steady state a step allocates nothing: what it writes on is kept and used again.
mod plain;

use bursar_engine::Engine;
use bursar_interface::{
    Ask, Batch, ClaimId, Command, Fence, LineAsk, PoolSpec, Shape, Time, What, bound::KEPT_MAX,
};
use plain::{ask_of_four, fleet, inputs, kind, plugins};

const BATCH: usize = 64;

#[test]
fn a_step_in_the_steady_state_allocates_nothing() {
    let mut plugins = plugins();
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(fleet()), &mut plugins);
    let ask = Ask { scope: "team".into(), ..ask_of_four() };
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

#[test]
fn a_line_that_moves_allocates_for_its_trees_alone() {
    const UNITS: u64 = 64;
    let mut plugins = plugins();
    let mut engine = Engine::new();
    let pool =
        PoolSpec { resource: "slot".into(), name: "slot".into(), capacity: UNITS, ..PoolSpec::default() };
    engine.step(Time(1), inputs([kind("slot", Shape::Unit, 0), Command::SetPool(pool)]), &mut plugins);
    let ask = |n: u64| {
        let lines = vec![LineAsk { resource: "slot".into(), amount: 1, ..LineAsk::default() }];
        let scope = format!("s{}", n % 100);
        Command::Ask(Ask { ttl_ns: 1 << 40, wait_ns: 1 << 40, scope, lines, ..Ask::default() })
    };
    let asks = (0..UNITS).map(ask);
    let mut batch = Batch { inputs: inputs(asks.clone().chain(asks)), ..Batch::default() };
    for n in 0..1_000 / UNITS {
        let asks = (0..UNITS).map(|k| ask(n * UNITS + k));
        engine.step(Time(1), inputs(asks), &mut plugins);
    }
    let claims = engine.view().claims;
    let leases = (0..claims.len()).filter(|&c| claims.id[c] != 0 && claims.fence[c] != 0);
    let mut held: Vec<_> = leases.map(|c| (ClaimId(claims.id[c]), Fence(claims.fence[c]))).collect();
    let mut turns = |turns: usize| {
        for _ in 0..turns {
            for (input, (claim, fence)) in batch.inputs.iter_mut().zip(held.drain(..)) {
                input.body = Command::Release { claim, fence };
            }
            engine.advance(Time(2), &mut batch, &mut plugins);
            held.extend(batch.events.iter().filter_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some((claim, fence)),
                _ => None,
            }));
            assert_eq!(held.len() as u64, UNITS);
        }
    };
    turns(2 * KEPT_MAX / BATCH);
    let counted = allocation_counter::measure(|| turns(100));
    // Nodes of ordered sets that split and merge; nothing for each ask, nothing for each grant.
    assert!(counted.count_total < 100 * UNITS / 4, "{counted:?}");
}
