//! The engine as a whole: what it remembers beside the books, and the two ways it moves.
use crate::{
    Closed, Plugins, deadline::Deadlines, fan::Fan, feasible::Feasible, fresh::Fresh, gang::Gangs,
    heirs::Heirs, kept::Kept, position::Stood, preempt::Preemption, queue::Queue, resize::Resizing,
    room::Rooms, round::Workbench, soft::Softs, sticky::Reservation, suspect::Suspicion, usage::Measurements,
};
use bursar_coord::{Looks, Reduction, WaitFor};
use bursar_interface::{
    Batch, ClaimId, Decider, Ending, Event, Fence, Input, Phase, PoolId, Process, Role, Row, Time, View,
    What, canary,
};
use bursar_pool::{Books, Digest, SetLens, Wanted};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// A step under way: what came in, and what was done so far.
pub(crate) struct Tape<'a> {
    pub(crate) inputs: &'a [Input],
    pub(crate) events: Vec<Event>,
}

/// An ask with its names looked up at admission, so that the event that follows need not do it again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) scope: Option<Row>,
    pub(crate) lines: Vec<Wanted>,
    /// How many lines each set has; empty for an ask without alternatives.
    pub(crate) sets: SetLens,
}

/// The one writer of the books.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Engine {
    pub(crate) books: Books,
    pub(crate) kept: Kept,
    /// Sequence of the next input.
    pub(crate) next_seq: u64,
    /// Rises with every start of the daemon.
    pub(crate) epoch: u64,
    /// Fences given out in this epoch.
    pub(crate) fences: u64,
    /// Claims given out so far.
    pub(crate) claims: u64,
    /// The boot that processes belong to.
    pub(crate) boot: String,
    /// Engine time and boot time at the last start: time goes on from here within the same boot.
    pub(crate) anchor: (Time, u64),
    /// Processes that live inside leases.
    pub(crate) bodies: BTreeMap<ClaimId, Vec<Process>>,
    /// Why draining claims drain.
    pub(crate) endings: BTreeMap<ClaimId, Ending>,
    /// Who decides, as last told.
    pub(crate) deciders: BTreeMap<Role, Decider>,
    /// When the leases of draining nodes end.
    pub(crate) drains: BTreeMap<Row, Time>,
    /// Pools of nodes whose capacity an operator set: it stays though another is found.
    pub(crate) by_hand: BTreeSet<PoolId>,
    /// Leases whose edge has yet to make other amounts true.
    pub(crate) resizing: BTreeMap<ClaimId, Resizing>,
    /// How far demands may fan out, and how far they have.
    pub(crate) fan: Fan,
    /// Claims that wait to be granted together.
    pub(crate) gangs: Gangs,
    /// What is being taken back, and for whom.
    pub(crate) preemption: Preemption,
    /// Who waits while holding something.
    pub(crate) wait_for: WaitFor,
    /// What leases that are gone have used.
    pub(crate) measurements: Measurements,
    /// What claims want to be slowed down above.
    pub(crate) soft: Softs,
    /// Waiting claims that have no rank yet. Like the queue it is made again after a fold, so it is no
    /// part of the state.
    #[serde(skip)]
    pub(crate) fresh: Fresh,
    /// Waiting claims that have one.
    #[serde(skip)]
    pub(crate) queue: Queue,
    #[serde(skip)]
    pub(crate) deadlines: Deadlines,
    #[serde(skip)]
    pub(crate) feasible: Feasible,
    #[serde(skip)]
    pub(crate) resolved: Resolved,
    #[serde(skip)]
    pub(crate) impatient: Vec<ClaimId>,
    /// Extensions that came in this step, by the place of their inputs.
    #[serde(skip)]
    pub(crate) extensions: Vec<u32>,
    /// What is kept for a waiting claim, as of the last round.
    #[serde(skip)]
    pub(crate) kept_for: Option<Reservation>,
    #[serde(skip)]
    pub(crate) rooms: Rooms,
    #[serde(skip)]
    pub(crate) bench: Workbench,
    #[serde(skip)]
    pub(crate) heirs: Heirs,
    /// Who took a place in the line in this step, or was moved.
    #[serde(skip)]
    pub(crate) stood: Vec<Stood>,
    #[serde(skip)]
    pub(crate) reduction: Reduction,
    /// Edges that may still be looked at in this step.
    #[serde(skip)]
    pub(crate) looks: Looks,
    /// Whether circles may have come to be without a new claim.
    #[serde(skip)]
    pub(crate) look_again: bool,
    /// Whether the allocator gets a second opinion in this step.
    #[serde(skip)]
    pub(crate) suspicion: Suspicion,
    /// Who alone is tried then; everybody where there is none.
    #[serde(skip)]
    pub(crate) passed: Vec<ClaimId>,
    /// Whether nobody is granted anything.
    #[serde(skip)]
    pub(crate) stopped: bool,
}

impl Engine {
    /// An engine with empty books.
    pub fn new() -> Engine {
        Engine { books: Books::new(), ..Engine::default() }
    }

    /// From now on nobody is granted anything, or whoever can be again. It is no part of the state, and a new engine
    /// grants.
    pub fn stop_granting(&mut self, stopped: bool) {
        self.stopped = stopped;
    }

    /// An engine that goes on from a checkpoint: what serde gave back, with what is derived made anew.
    pub fn resume(self) -> Engine {
        self.resume_beyond(0)
    }

    /// As [`Engine::resume`], in the place of an engine whose last steps did not happen: the strategies that it
    /// asked are asked again, and what they keep of its views must not pass for newer than what is.
    pub fn resume_in_place_of(self, lost: &Engine) -> Engine {
        let seen = if canary!("what strategies saw is not outdone") { 0 } else { lost.books.view().epoch };
        self.resume_beyond(seen)
    }

    fn resume_beyond(mut self, seen: u64) -> Engine {
        self.books.renew_views(seen);
        self.count_leases();
        self.look_again = true;
        self.rank_anew();
        let view = self.books.view();
        let live = (0..view.claims.len()).map(|c| ClaimId(view.claims.id[c])).filter(|id| id.0 != 0);
        for id in live.collect::<Vec<_>>() {
            if let Some(at) = self.deadline(id)
                && !canary!("a restart forgets when leases end")
            {
                self.deadlines.set(id, at);
            }
        }
        self
    }

    /// Nobody who waits has a rank any more: all are ranked in the next round, who came first first.
    pub(crate) fn rank_anew(&mut self) {
        self.queue = Queue::default();
        self.heirs = Heirs::default();
        self.gangs.forget_ranks();
        self.fresh.clear();
        let claims = &self.books.tables().claims;
        let waits = |&c: &usize| claims.id[c] != 0 && Phase::of(claims.phase[c]) == Phase::Pending;
        let mut waiting: Vec<ClaimId> =
            (0..claims.len()).filter(waits).map(|c| ClaimId(claims.id[c])).collect();
        waiting.sort_unstable();
        waiting.into_iter().for_each(|claim| self.fresh.push(claim));
    }

    /// Takes `inputs` in at `at` and returns the batch with all that was done; state has moved.
    /// Every input but [`bursar_interface::Command::Tick`] causes at least one event.
    pub fn step(&mut self, at: Time, inputs: Vec<Input>, plugins: &mut Plugins) -> Batch {
        let events = Vec::with_capacity(2 * inputs.len());
        let mut batch = Batch { inputs, events, ..Batch::default() };
        self.advance(at, &mut batch, plugins);
        batch
    }

    /// As [`Engine::step`], with the inputs of `batch` and into its events: whoever uses a batch again
    /// steps without allocating.
    pub fn advance(&mut self, at: Time, batch: &mut Batch, plugins: &mut Plugins) {
        let queue = &mut self.queue;
        self.books.advance(at, |kind| queue.wake(kind));
        let mut events = std::mem::take(&mut batch.events);
        events.clear();
        self.stood.clear();
        let mut tape = Tape { inputs: &batch.inputs, events };
        for (cause, input) in (0..).zip(&batch.inputs) {
            self.admit(cause, input, &mut tape);
        }
        self.expire(&mut tape);
        self.end_notices(&mut tape);
        self.round(&mut tape, plugins);
        self.believe();
        self.extend_all(&mut tape, plugins);
        self.lose_patience(&mut tape);
        self.break_circles(&mut tape);
        self.inherit();
        self.tell_gangs(&mut tape);
        self.spare(&mut tape);
        self.restore_lessened(&mut tape, plugins);
        batch.events = tape.events;
        (batch.first_seq, batch.at) = (self.next_seq, self.books.at());
        self.next_seq = batch.next_seq();
    }

    /// Folds a recorded batch: state moves exactly as it did then, and no plugin is asked.
    pub fn fold(&mut self, batch: &Batch) {
        self.books.advance(batch.at, |_| ());
        for event in &batch.events {
            self.apply(&batch.inputs, event);
        }
        self.next_seq = batch.next_seq();
        // Whoever was to be told at once was told then.
        self.impatient.clear();
        self.gangs.forget_untold();
        self.forget_stale();
        if self.fresh.stale() {
            let mut fresh = std::mem::take(&mut self.fresh);
            fresh.sweep(|claim| self.waits(claim));
            self.fresh = fresh;
        }
    }

    /// Keeps the deadlines bounded by the claims, whether they are waited for here or only folded.
    fn forget_stale(&mut self) {
        let mut deadlines = std::mem::take(&mut self.deadlines);
        deadlines.compact(self.books.live(), |claim| self.deadline(claim));
        self.deadlines = deadlines;
    }

    /// When the engine wants to be stepped again though nothing comes in.
    pub fn wake_at(&mut self) -> Option<Time> {
        if self.queue.has_ripe() && !self.stopped || self.fresh.len() > 0 {
            return Some(self.books.at());
        }
        let mut deadlines = std::mem::take(&mut self.deadlines);
        let first = deadlines.first(|claim| self.deadline(claim));
        self.deadlines = deadlines;
        let first = first.map(|(at, _)| at);
        self.queue.first_due().into_iter().chain(first).chain(self.notices_due()).min()
    }

    /// One number for the whole state; equal after `step` and after folding what `step` gave.
    pub fn digest(&self) -> u64 {
        let mut digest = Digest::default();
        self.books.digest(&mut digest);
        self.kept.digest(&mut digest);
        self.gangs.digest(&mut digest);
        self.preemption.digest(&mut digest);
        self.wait_for.words().for_each(|word| digest.word(word));
        [self.next_seq, self.epoch, self.fences, self.claims].into_iter().for_each(|word| digest.word(word));
        digest.text(&self.boot);
        self.fan.digest(&mut digest);
        for (claim, bodies) in &self.bodies {
            digest.word(claim.0);
            bodies.iter().for_each(|body| digest.word(u64::from(body.pid)));
        }
        for (&node, end) in &self.drains {
            digest.word(u64::from(node));
            digest.word(end.0);
        }
        self.by_hand.iter().for_each(|pool| digest.word(u64::from(pool.0)));
        for (claim, resizing) in &self.resizing {
            digest.word(claim.0);
            resizing.digest(&mut digest);
        }
        self.soft.digest(&mut digest);
        digest.finish()
    }

    /// The books.
    pub fn books(&self) -> &Books {
        &self.books
    }

    /// The tables, borrowed.
    pub fn view(&self) -> View<'_> {
        self.books.view()
    }

    /// Sequence of the next input.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The start that fences are of.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The boot that attached processes are of; empty before the first start.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Engine time now, given the boot and the boot time (ns) now: within the boot of the last start
    /// the time that the daemon was away counts; after a reboot time goes on where it stopped.
    pub fn now(&self, boot: &str, boottime_ns: u64) -> Time {
        let (at, then) = self.anchor;
        match boot == self.boot {
            true => self.books.at().max(at.after(boottime_ns.saturating_sub(then))),
            false => self.books.at(),
        }
    }

    /// Who decides in a role, as last told.
    pub fn decider(&self, role: Role) -> Option<&Decider> {
        self.deciders.get(&role)
    }

    /// Processes that live inside a lease, as they were attached.
    pub fn bodies(&self, claim: ClaimId) -> &[Process] {
        self.bodies.get(&claim).map_or(&[], Vec::as_slice)
    }

    /// Every lease that has processes.
    pub fn bodied(&self) -> impl Iterator<Item = (ClaimId, &[Process])> {
        self.bodies.iter().map(|(&claim, bodies)| (claim, bodies.as_slice()))
    }

    /// A claim that is gone and still remembered.
    pub fn closed(&self, claim: ClaimId) -> Option<&Closed> {
        self.kept.find(claim)
    }

    /// All claims that are gone and still remembered, oldest first.
    pub fn all_closed(&self) -> impl Iterator<Item = &Closed> {
        self.kept.iter()
    }

    /// Why a claim is being taken back.
    pub fn ending(&self, claim: ClaimId) -> Option<Ending> {
        self.endings.get(&claim).copied()
    }

    pub(crate) fn emit(&mut self, tape: &mut Tape<'_>, cause: Option<u32>, what: What) {
        let event = Event { cause, what };
        self.apply(tape.inputs, &event);
        tape.events.push(event);
    }

    pub(crate) fn next_fence(&self) -> Fence {
        Fence(self.epoch << 40 | (self.fences + u64::from(!canary!("the fence does not rise"))))
    }

    pub(crate) fn waits(&self, claim: ClaimId) -> bool {
        self.books.claim(claim).is_some_and(|row| self.books.phase(row) == Phase::Pending)
    }

    /// When a claim's waiting or lease ends; `None` when it is draining or gone.
    pub(crate) fn deadline(&self, claim: ClaimId) -> Option<Time> {
        let row = self.books.claim(claim)?;
        let claims = &self.books.tables().claims;
        match self.books.phase(row) {
            Phase::Pending => Some(Time(claims.wait_until[row as usize])),
            Phase::Reserved | Phase::Held => Some(self.lease_end(row)),
            Phase::Draining | Phase::Closed => None,
        }
    }

    /// Ends the leases whose time is over; claims whose waiting is get one last try.
    fn expire(&mut self, tape: &mut Tape<'_>) {
        let mut deadlines = std::mem::take(&mut self.deadlines);
        while let Some((at, claim)) = deadlines.first(|claim| self.deadline(claim)) {
            if at > self.books.at() || canary!("a lease outlives its time") && !self.waits(claim) {
                break;
            }
            deadlines.pop();
            if self.waits(claim) {
                self.impatient.push(claim);
            } else {
                self.end(tape, None, claim, self.expiry(claim, at));
            }
        }
        self.deadlines = deadlines;
        self.forget_stale();
    }

    /// Closes the claims whose waiting is over and whose last try came to nothing.
    fn lose_patience(&mut self, tape: &mut Tape<'_>) {
        let mut impatient = std::mem::take(&mut self.impatient);
        for claim in impatient.drain(..) {
            if self.waits(claim) {
                self.emit(tape, None, What::Closed { claim, ending: Ending::WaitExpired });
            }
        }
        self.impatient = impatient;
    }

    /// Ends a claim: at once where nothing has to be taken back, else by way of draining.
    pub(crate) fn end(&mut self, tape: &mut Tape<'_>, cause: Option<u32>, claim: ClaimId, ending: Ending) {
        self.end_within(tape, cause, claim);
        let Some(row) = self.books.claim(claim) else { return };
        let bodied = self.books.tables().claims.bodied[row as usize] != 0;
        match bodied || self.books.child_count(claim) > 0 {
            true => self.emit(tape, cause, What::Draining { claim, ending }),
            false => self.close_out(tape, cause, claim, ending),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plain;
    use bursar_interface::{Ask, Command, LineAsk, NodeSpec, PoolSpec, Principal, ResourceSpec, Shape};

    #[test]
    fn neither_the_engine_nor_its_follower_grows_with_the_leases_that_were() {
        let mut plugins = plain::plugins();
        let (mut engine, mut follower) = (Engine::new(), Engine::new());
        let mut step = |engine: &mut Engine, bodies: Vec<Command>| {
            let by = Principal { admin: true, ..Principal::default() };
            let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
            let batch = engine.step(Time(1), inputs, &mut plugins);
            follower.fold(&batch);
            (batch, follower.deadlines.len())
        };
        let (name, unit) = ("cpu".to_owned(), "millicores".to_owned());
        let kind = ResourceSpec {
            name,
            unit,
            shape: Shape::Capacity,
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        };
        let pool = PoolSpec {
            resource: "cpu".into(),
            node: Some("n".into()),
            name: "cpu".into(),
            capacity: 8,
            labels: vec![],
            ..PoolSpec::default()
        };
        let node = NodeSpec { name: "n".into(), ..NodeSpec::default() };
        step(&mut engine, vec![Command::SetResource(kind), Command::SetNode(node), Command::SetPool(pool)]);
        for _ in 0..5000 {
            let line = LineAsk { resource: "cpu".into(), amount: 1, ..LineAsk::default() };
            let (batch, _) = step(
                &mut engine,
                vec![Command::Ask(Ask { ttl_ns: 1 << 40, lines: vec![line], ..Ask::default() })],
            );
            let granted = batch.events.iter().find_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some((claim, fence)),
                _ => None,
            });
            let (claim, fence) = granted.expect("there is room");
            let (_, folded) = step(&mut engine, vec![Command::Release { claim, fence }]);
            assert!(engine.deadlines.len() < 1100 && folded < 1100);
        }
    }
}
