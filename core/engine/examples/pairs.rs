//! So many asks and releases, and nothing else: something to count instructions of. Both batches are
//! used again, as the engine allows: what is counted is its own work.
//!
//! `pairs N BATCH`: four lines each, with a deadline, `BATCH` in one step.
#[path = "../tests/plain/mod.rs"]
mod plain;

use bursar_engine::Engine;
use bursar_interface::*;
use plain::{inputs, kind, plugins};

const KINDS: [&str; 4] = ["cpu", "memory", "pids", "disk"];

fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let (pairs, batch) = (number(1).unwrap_or(1000), number(2).unwrap_or(1).max(1));
    let mut plugins = plugins();
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(fleet()), &mut plugins);
    let mut asks = Batch { inputs: inputs((0..batch).map(|_| ask())), ..Batch::default() };
    let mut releases = Batch { inputs: inputs((0..batch).map(|_| Command::Tick)), ..Batch::default() };
    for turn in 0..pairs / batch {
        engine.advance(Time(turn + 2), &mut asks, &mut plugins);
        let granted = asks.events.iter().filter_map(|event| match event.what {
            What::Granted { claim, fence, .. } => Some(Command::Release { claim, fence }),
            _ => None,
        });
        releases.inputs.iter_mut().zip(granted).for_each(|(input, release)| input.body = release);
        engine.advance(Time(turn + 2), &mut releases, &mut plugins);
    }
    assert_eq!(engine.books().live(), 0);
}

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
    commands.push(Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 });
    commands
}

fn ask() -> Command {
    let line = |name: &&str| LineAsk { resource: (*name).into(), amount: 3, ..LineAsk::default() };
    Command::Ask(Ask { ttl_ns: 3_600_000_000_000, lines: KINDS.iter().map(line).collect(), ..Ask::default() })
}
