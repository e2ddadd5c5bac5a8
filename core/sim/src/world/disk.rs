//! The world's journal: what was recorded is what there is, whatever the engine thought of it.
use super::fault::{Fault, Faults};
use crate::Random;
use bursar_engine::Engine;
use bursar_interface::{Batch, Command, Input, canary};

/// Batches after which a checkpoint is taken.
const CHECKPOINT_EVERY: usize = 48;
/// Steps for which a disk stays full at most.
const FULL_MAX: u64 = 8;

/// What becomes of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It is recorded, and answered.
    Recorded,
    /// There is no room: the step did not happen.
    Full,
    /// The disk errs, and the batch is lost.
    Lost,
    /// The disk errs, and the batch is there.
    Unheard,
}

/// A checkpoint and the batches behind it.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    checkpoint: Engine,
    batches: Vec<Batch>,
    /// Steps until there is room again; 0 while there is.
    pub(super) full: u64,
}

impl Disk {
    pub(super) fn new() -> Disk {
        Disk { checkpoint: Engine::new(), ..Disk::default() }
    }

    /// What is let in: while the disk is full only what gives back.
    pub(super) fn let_in(&mut self, mut inputs: Vec<Input>) -> Vec<Input> {
        if self.full > 0 {
            self.full -= 1;
            inputs.retain(|input| !grows(&input.body));
        }
        inputs
    }

    pub(super) fn fate(&mut self, inputs: &[Input], faults: Faults, random: &mut Random) -> Fate {
        let starts = inputs.iter().any(|input| matches!(input.body, Command::Start { .. }));
        if !starts && self.full == 0 && faults.has(Fault::Full) && random.chance(1, 20) {
            self.full = 1 + random.below(FULL_MAX);
            return Fate::Full;
        }
        match random.below(60) {
            0 if faults.has(Fault::Torn) => Fate::Lost,
            1 if faults.has(Fault::Torn) => Fate::Unheard,
            _ => Fate::Recorded,
        }
    }

    /// Records a batch; `follower` has folded all up to it.
    pub(super) fn append(&mut self, batch: Batch, follower: &Engine) {
        self.batches.push(batch);
        if self.batches.len() >= CHECKPOINT_EVERY {
            self.checkpoint = follower.clone();
            self.batches.clear();
        }
    }

    /// The engine that goes on from what is recorded, in the place of another. After a crash the checkpoint
    /// is read back from its bytes, so that nothing is there but what was written.
    ///
    /// # Panics
    /// When the checkpoint cannot be read back.
    pub(super) fn recover(&self, lost: &Engine, crashed: bool) -> Engine {
        let written = || postcard::from_bytes(&postcard::to_stdvec(&self.checkpoint)?);
        let mut engine: Engine = match crashed {
            true => written().expect("a checkpoint is read as it was written"),
            false => self.checkpoint.clone(),
        };
        let missing = usize::from(canary!("the last batch is lost"));
        let kept = self.batches.len().saturating_sub(missing);
        self.batches[..kept].iter().for_each(|batch| engine.fold(batch));
        engine.resume_in_place_of(lost)
    }
}

/// What a full disk refuses, as the daemon does.
fn grows(body: &Command) -> bool {
    !matches!(
        body,
        Command::Renew { .. }
            | Command::Settle { .. }
            | Command::Release { .. }
            | Command::Cancel { .. }
            | Command::Enforced { .. }
            | Command::EnforceFailed { .. }
            | Command::Exited { .. }
            | Command::Reclaimed { .. }
            | Command::ReclaimFailed { .. }
            | Command::Measured { .. }
            | Command::Swap { .. }
            | Command::Start { .. }
            | Command::Tick
            | Command::Woke
    )
}
