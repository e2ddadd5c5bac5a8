//! What edges do in a room that settles: they make leases true, or cannot; now and then a report is late.
use crate::{Random, supply::reclaimed};
use bursar_interface::{Batch, ClaimId, Command, Process, Rung, What};

/// Reports that edges owe.
pub(super) struct Edge {
    random: Random,
    due: Vec<Command>,
}

impl Edge {
    pub(super) fn new(random: &mut Random) -> Edge {
        Edge { random: Random::new(random.below(u64::MAX)), due: Vec::new() }
    }

    /// Whether any are owed.
    pub(super) fn owes(&self) -> bool {
        !self.due.is_empty()
    }

    /// Those that come now.
    pub(super) fn reports(&mut self) -> Vec<Command> {
        let due = std::mem::take(&mut self.due);
        // A late one holds those behind it up, or a lease would be true before a process is in it.
        let on_time = due.iter().take_while(|_| self.random.chance(7, 8)).count();
        let mut now = due;
        self.due = now.split_off(on_time);
        now
    }

    /// All of them.
    pub(super) fn all(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.due)
    }

    pub(super) fn hear(&mut self, batch: &Batch) {
        for event in &batch.events {
            match &event.what {
                What::Granted { claim, fence, .. } if self.random.chance(1, 2) => {
                    let process = Process { pid: claim.0 as u32, started: 1, boot: "b".into() };
                    self.due.push(Command::Attach { claim: *claim, fence: *fence, process });
                }
                What::Attached(claim) => self.due.push(Command::Enforced { claim: *claim, processes: 1 }),
                What::Draining { claim, .. } => self.due.push(reclaimed(*claim)),
                What::Resizing { claim, .. } => self.or_fail(*claim, true),
                What::Rung { claim, rung: Rung::Suspended, lines, .. } if !lines.is_empty() => {
                    self.or_fail(*claim, false);
                }
                _ => {}
            }
        }
    }

    fn or_fail(&mut self, claim: ClaimId, resize: bool) {
        let message = "it is in use".to_owned();
        self.due.push(match (resize, self.random.chance(4, 5)) {
            (true, true) => Command::Resized { claim },
            (true, false) => Command::ResizeFailed { claim, message },
            (false, true) => Command::Frozen { claim },
            (false, false) => Command::FreezeFailed { claim, message },
        });
    }
}
