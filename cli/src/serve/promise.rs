//! Which batches promise something to somebody. Those have to be on the disk before they are known; the others may
//! be in the log only, which outlives the daemon but not the machine: what they did comes about again then.
//!
//! A lease with processes ends with the machine, whether its release was written down or not. That a lease is true,
//! that its processes are gone and that all of it came back is found out anew by whoever adopts it.
use bursar_engine::Engine;
use bursar_interface::{Batch, Command, What};

/// Whether a batch that was stepped makes a promise; `answered` are its inputs that somebody waits for.
pub fn is_made(batch: &Batch, engine: &Engine, mut answered: impl FnMut(usize) -> bool) -> bool {
    let reported = |(input, body): (usize, &Command)| match body {
        Command::Enforced { .. }
        | Command::Exited { .. }
        | Command::Reclaimed { .. }
        | Command::Measured { .. } => true,
        // As measured; what a holder says of a lease is kept.
        Command::Settle { .. } => !answered(input),
        Command::Release { claim, .. } => !engine.bodies(*claim).is_empty(),
        _ => false,
    };
    let plain = |what: &What| {
        matches!(
            what,
            What::Enforced(_)
                | What::Settled(_)
                | What::Measured(_)
                | What::Draining { .. }
                | What::Closed { .. }
                | What::Refused(_)
        )
    };
    let mut inputs = batch.inputs.iter().map(|input| &input.body).enumerate();
    !(inputs.all(reported) && batch.events.iter().all(|event| plain(&event.what)))
}
