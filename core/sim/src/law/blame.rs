//! What waits are charged to, weighed: by the times at which claims came and went, as whoever asked would.
use bursar_engine::{Blame, Engine, Part};
use bursar_interface::{Batch, ClaimId, Time, What};
use std::collections::BTreeMap;

/// Waiting claims that are weighed at each step while they wait.
const WEIGHED_MAX: usize = 8;

/// The record, and when each claim that waits came.
#[derive(Clone, Debug, Default)]
pub(super) struct Blamed {
    blame: Blame,
    came: BTreeMap<ClaimId, Time>,
}

impl Blamed {
    pub(super) fn hear(&mut self, engine: &Engine, batch: &Batch) -> Result<(), String> {
        self.blame.fold(engine, batch);
        for event in &batch.events {
            match event.what {
                What::Queued { claim, .. } => {
                    self.came.insert(claim, batch.at);
                }
                What::Granted { claim, .. } | What::Closed { claim, .. } => {
                    if let Some(came) = self.came.remove(&claim) {
                        self.weigh(claim, came, batch.at)?;
                    }
                }
                _ => {}
            }
        }
        let waiting = self.came.iter().take(WEIGHED_MAX);
        { waiting }.try_for_each(|(&claim, &came)| self.weigh(claim, came, batch.at.after(1_234_567)))
    }

    /// As a restart would have it.
    pub(super) fn restart(&mut self) -> Result<(), String> {
        let written = postcard::to_stdvec(&self.blame).map_err(|error| error.to_string())?;
        self.blame = postcard::from_bytes(&written).map_err(|error| error.to_string())?;
        Ok(())
    }

    fn weigh(&self, claim: ClaimId, came: Time, now: Time) -> Result<(), String> {
        let parts = self.blame.parts(claim, now).unwrap_or_default();
        let (sum, waited) = (parts.iter().map(|part| part.ns).sum::<u64>(), now.0 - came.0);
        if sum != waited {
            return Err(format!("claim {claim} waited {waited} ns, and {sum} are charged: {parts:?}"));
        }
        let over = |part: &&Part| part.holders().map(|share| share.ns).sum::<u64>() > part.ns;
        if let Some(part) = parts.iter().find(over) {
            return Err(format!("of claim {claim} more is charged to holders than it waited: {part:?}"));
        }
        match parts.iter().find(|part| part.cause.reason.is_none()) {
            Some(part) => Err(format!("of claim {claim} it is not known what {} ns were for", part.ns)),
            None => Ok(()),
        }
    }
}
