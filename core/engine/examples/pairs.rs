//! So many asks and releases, and nothing else: something to count instructions of. Both batches are
//! used again, as the engine allows: what is counted is its own work.
//!
//! `pairs N BATCH`: four lines each, with a deadline, `BATCH` in one step.
#[path = "../tests/plain/mod.rs"]
mod plain;

use bursar_engine::Engine;
use bursar_interface::*;
use plain::{ask_of_four, fleet, inputs, plugins};

fn main() {
    let number = |at: usize| std::env::args().nth(at).and_then(|text| text.parse::<u64>().ok());
    let (pairs, batch) = (number(1).unwrap_or(1000), number(2).unwrap_or(1).max(1));
    let mut plugins = plugins();
    let mut engine = Engine::new();
    engine.step(Time(1), inputs(fleet()), &mut plugins);
    let mut asks =
        Batch { inputs: inputs((0..batch).map(|_| Command::Ask(ask_of_four()))), ..Batch::default() };
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
