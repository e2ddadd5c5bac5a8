//! Processes that come with their ask: what is granted at once has them attached in the same moment, so that one
//! sync does for both.
use bursar_interface::{Batch, Command, Input, Process, What};

/// The inputs that attach each process to what the ask of its input was granted, where it was.
pub fn attaches(batch: &Batch, joining: Vec<(u32, Process)>) -> Vec<Input> {
    let attach = |(input, process): (u32, Process)| {
        let asked = |what: &What| match what {
            What::Queued { claim, .. } => Some(*claim),
            _ => None,
        };
        let own = batch.events.iter().filter(|event| event.cause == Some(input));
        let asked = own.filter_map(|event| asked(&event.what)).next()?;
        let (claim, fence) = batch.events.iter().find_map(|event| match &event.what {
            What::Granted { claim, fence, .. } if *claim == asked => Some((*claim, *fence)),
            _ => None,
        })?;
        let by = batch.inputs.get(input as usize)?.by.clone();
        Some(Input { by, body: Command::Attach { claim, fence, process } })
    };
    joining.into_iter().filter_map(attach).collect()
}
