//! A second opinion on what leases have used: each counts once, to its scope and all those above it.
use super::{Law, broken, broken::Broken};
use bursar_engine::Engine;
use bursar_interface::{Batch, ClaimId, Command, Event, Spent, What};
use std::collections::BTreeSet;

/// What was measured so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Measured {
    sum: Spent,
    counted: BTreeSet<ClaimId>,
}

impl Measured {
    pub(super) fn hear(&mut self, batch: &Batch, event: &Event) -> Result<(), Broken> {
        match &event.what {
            What::Closed { claim, .. } => {
                self.counted.remove(claim);
            }
            What::Measured(claim) => {
                let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
                let Some(Command::Measured { usage, .. }) = input.map(|input| &input.body) else {
                    return broken(Law::Measure, format!("{claim} was measured by nobody"));
                };
                if !self.counted.insert(*claim) {
                    return broken(Law::Measure, format!("{claim} counts twice"));
                }
                self.sum.add(usage);
            }
            _ => {}
        }
        Ok(())
    }

    pub(super) fn look(&self, engine: &Engine) -> Result<(), Broken> {
        let told = engine.used_below("");
        match told == self.sum {
            true => Ok(()),
            false => broken(Law::Measure, format!("{told:?} was used, and should be {:?}", self.sum)),
        }
    }
}
