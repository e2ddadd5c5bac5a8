//! Coming to rest: nobody asks for anything new, whoever is preempted asks for the same again at once, as a
//! controller does that requeues its work, and edges do what they are told to.
use super::Player;
use bursar_interface::*;
use std::collections::BTreeMap;

/// Steps after which it never will.
const STEPS_MAX: usize = 300;
/// Nanoseconds after which leases may run out by themselves: nothing is at work any more.
const HORIZON_NS: u64 = 600 * 1_000_000_000;
/// Steps in a row in which nothing happened, after which nothing will.
const QUIET: usize = 12;

/// What happened until then.
#[derive(Default)]
struct Rest {
    steps: usize,
    preempted: usize,
    spared: usize,
    shrunk: usize,
    suspended: usize,
    broken: usize,
}

impl Player {
    /// Steps until nothing happens any more, and says what did.
    pub(crate) fn come_to_rest(&mut self) {
        let (mut rest, mut next) = (Rest::default(), Vec::new());
        let (since, mut quiet) = (self.at, 0);
        while quiet < QUIET {
            if next.is_empty() {
                match self.engine.wake_at() {
                    Some(at) if at.0 <= since + HORIZON_NS => self.at = self.at.max(at.0),
                    _ => break,
                }
            }
            let admin = Principal { admin: true, ..Principal::default() };
            let commands = next.drain(..).chain([Command::Tick]);
            let inputs = commands.map(|body| Input { by: admin.clone(), body }).collect();
            let batch = self.quiet_step(inputs);
            quiet = if batch.events.is_empty() { quiet + 1 } else { 0 };
            rest.steps += usize::from(quiet == 0);
            assert!(rest.steps < STEPS_MAX, "it does not come to rest\n{}", self.told);
            self.answer(&batch, &mut rest, &mut next);
        }
        let Rest { steps, preempted, spared, shrunk, suspended, broken } = rest;
        self.told += &format!(
            "   rests after {steps} steps: {preempted} preempted, {shrunk} shrunk, {suspended} suspended, \
             {spared} spared, {broken} promises broken\n\n"
        );
    }

    /// What controllers and edges do about a batch.
    fn answer(&mut self, batch: &Batch, rest: &mut Rest, next: &mut Vec<Command>) {
        for event in &batch.events {
            match &event.what {
                What::Closed { claim, ending: Ending::Preempted } => {
                    rest.preempted += 1;
                    next.extend(self.asks.get(claim).cloned().map(Command::Ask));
                }
                What::Unpromised(_) => rest.broken += 1,
                What::Spared(_) => rest.spared += 1,
                What::Rung { rung: Rung::Shrunk, .. } => rest.shrunk += 1,
                What::Suspended { .. } => rest.suspended += 1,
                What::LoopBroken { claim, from } => panic!("{claim} and {from} take turns\n{}", self.told),
                _ => {}
            }
            next.extend(match &event.what {
                What::Draining { claim, .. } => Some(reclaimed(*claim)),
                What::Resizing { claim, .. } => Some(Command::Resized { claim: *claim }),
                What::Rung { claim, rung: Rung::Suspended, .. } => Some(Command::Frozen { claim: *claim }),
                _ => None,
            });
        }
    }
}

fn reclaimed(claim: ClaimId) -> Command {
    Command::Reclaimed { claim, proof: Proof { evidence: "empty".into() }, over_limit: false }
}

/// What each claim asked for.
pub(crate) type Asks = BTreeMap<ClaimId, Ask>;

/// Remembers what claims asked for.
pub(crate) fn remember(asks: &mut Asks, batch: &Batch) {
    for event in &batch.events {
        let cause = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        if let (What::Queued { claim, .. }, Some(Input { body: Command::Ask(ask), .. })) =
            (&event.what, cause)
        {
            asks.insert(*claim, ask.clone());
        }
    }
}
