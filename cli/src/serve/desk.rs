//! The one writer: takes inputs in batches, steps the engine, makes the batch durable, and hands it on.
//! Nothing is answered before it is durable, nor enforced before it is in the log. Whose thread that happens on, see [`super::turn`].
mod full;

use super::{
    clock::Clock,
    edges::{Edges, Written},
    follower::{Committed, Follower},
    held::grounds,
    join,
    mail::{Chosen, Inbox, Letter, Reply},
    promise,
    retired::Retired,
    returned,
};
pub(super) use full::storage_full;

use bursar_engine::{Blame, Engine, Plugins};
use bursar_interface::{Batch, Command, Decider, Input, Time, What, bound::BATCH_MAX};
use bursar_journal::{Error, Journal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    time::{Duration, Instant},
};

/// How long the desk sleeps at most when nothing is due. Its timers stand still while the machine is suspended
/// and leases do not: after that they are looked at at most so much too late.
const IDLE: Duration = Duration::from_secs(10);
/// A turn that is later than this, in nanoseconds, is not late by itself: the daemon was held up, as by a stop or the
/// machine's sleep, and whoever wanted to renew meanwhile was as well.
const HELD_UP_NS: u64 = 1_000_000_000;
/// How long a checkpoint waits for the follower.
const FOLLOWED: Duration = Duration::from_secs(1);
/// How often a full disk is tried again.
const FULL_RETRY: Duration = Duration::from_secs(2);

/// The one writer: engine, journal and plugins.
pub struct Desk {
    /// Decides.
    pub engine: Engine,
    /// Remembers.
    pub journal: Journal,
    /// Propose.
    pub plugins: Plugins,
    /// Where those go that do no more.
    pub retired: Retired<Chosen>,
    /// Engine time.
    pub clock: Clock,
    /// What comes in.
    pub inbox: Arc<Inbox>,
    /// Where committed batches go.
    pub out: SyncSender<Committed>,
    /// Holds the last committed state, to go back to.
    pub follower: Arc<Follower>,
    /// Who makes it true.
    pub edges: Edges,
    /// Since when the disk is full.
    pub full_since: Option<Instant>,
    /// When something could not be written though all room that is kept had been given up.
    pub failed_at: Option<Instant>,
    /// Whether the disk is full, for those who show it.
    pub full: Arc<AtomicBool>,
    /// Batches after which a checkpoint is written.
    pub checkpoint_batches: u64,
    /// How many there must be for the next attempt.
    pub checkpoint_next: u64,
}

impl Desk {
    /// Takes in what is known at the start, before anybody can ask: durable first, like everything.
    ///
    /// # Errors
    /// When it cannot be written, or some of it is refused: then the daemon must not start.
    pub fn begin(&mut self, told: Vec<Command>) -> anyhow::Result<Committed> {
        let inputs: Vec<Input> = told.into_iter().map(super::own).collect();
        self.engine.stop_granting(self.full_since.is_some());
        let batch = Arc::new(self.engine.step(self.clock.now(), inputs, &mut self.plugins));
        let wall_ms = self.clock.wall_ms(batch.at);
        match self.journal.append(&batch, wall_ms, &self.clock.boot) {
            Err(Error::Full { .. }) => {
                self.full();
                self.journal.append(&batch, wall_ms, &self.clock.boot)?;
            }
            other => other?,
        }
        self.journal.answered(batch.next_seq())?;
        for event in &batch.events {
            if let What::Refused(refusal) = &event.what {
                let told = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
                anyhow::ensure!(
                    !told.is_some_and(|input| of_the_config(&input.body)),
                    "config: {refusal}; {}",
                    refusal.hint
                );
                tracing::error!(%refusal, "something that was found is refused");
            }
        }
        let stood = self.engine.stood().to_vec();
        Ok(Committed { replies: Vec::new(), then: None, stood, batch })
    }

    /// Serves what waits, up to a batch of it, and what is due.
    ///
    /// # Errors
    /// When the journal cannot be trusted any more: the daemon has to end, and nothing was answered that
    /// is not on the disk.
    pub fn turn(&mut self) -> Result<(), Error> {
        let (letters, now) = (self.inbox.take(BATCH_MAX), self.clock.now());
        let due = self.wake_at();
        if !letters.is_empty() || due.is_some_and(|at| at <= now) {
            let woke = due.filter(|at| at.after(HELD_UP_NS) <= now).map(|at| self.held_up(at, now));
            self.serve(woke.into_iter().chain(letters).collect())?;
        }
        Ok(())
    }

    /// When the next turn is due, whether letters come or not.
    pub fn due(&mut self) -> Time {
        let most = if self.full_since.is_some() { FULL_RETRY } else { IDLE };
        let latest = self.clock.now().after(most.as_nanos() as u64);
        self.wake_at().map_or(latest, |at| at.min(latest))
    }

    /// When time brings something; what cannot be written is not tried all the time.
    fn wake_at(&mut self) -> Option<Time> {
        let tried = self.failed_at.is_some_and(|at| at.elapsed() < FULL_RETRY);
        self.engine.wake_at().filter(|_| !tried)
    }

    /// Tells of a turn that comes so late: before anything else, so that nobody's lease ends unheard.
    fn held_up(&self, due: Time, now: Time) -> Letter {
        let late_ms = now.0.saturating_sub(due.0) / 1_000_000;
        if self.failed_at.is_none() {
            tracing::warn!(late_ms, "the daemon was held up: leases that ran out get time to be renewed in");
        }
        let Input { by, body } = super::own(Command::Woke);
        Letter { by, bodies: vec![body], enclosed: None, joining: None, reply: None }
    }

    /// How far the books are: whatever changes from here on is newer than this epoch, and whoever has folded all
    /// before this sequence number has all that came before.
    pub fn mark(&self) -> (u64, u64) {
        (self.engine.view().epoch, self.engine.next_seq())
    }

    /// Whether there is something for [`Desk::tidy`] to do.
    pub fn untidy(&self) -> bool {
        self.full_since.is_some() || self.is_checkpoint_due()
    }

    /// Sees to a full disk and to checkpoints. May take long.
    pub fn tidy(&mut self) {
        self.retry_full();
        match self.journal.checkpointed() {
            Some(Err(error)) => self.put_off(&error),
            Some(Ok(_)) => self.checkpoint_next = self.checkpoint_batches,
            None => {}
        }
        if self.is_checkpoint_due() {
            self.checkpoint();
        }
    }

    fn is_checkpoint_due(&self) -> bool {
        self.journal.since_checkpoint() >= self.checkpoint_next && !self.journal.is_checkpointing()
    }

    /// One that could not be written is tried again after as many batches more.
    fn put_off(&mut self, error: &Error) {
        tracing::warn!(%error, "no checkpoint could be written");
        self.checkpoint_next = self.journal.since_checkpoint() + self.checkpoint_batches;
    }

    /// Puts the state where the next start finds it at once. Where there is no room for that, the next start replays
    /// more: that is no failure.
    ///
    /// # Errors
    /// Those of [`Journal::close`] but [`Error::Full`].
    pub fn close(mut self) -> Result<(), Error> {
        self.checkpoint();
        match self.journal.close() {
            Err(error @ Error::Full { .. }) => {
                tracing::warn!(%error, "the next start takes longer: there is no room for the state as it is now");
                Ok(())
            }
            closed => closed,
        }
    }

    /// Writes the state beside the journal, so that a restart has less to replay. One that cannot be
    /// written costs only time then.
    fn checkpoint(&mut self) {
        let (seq, at) = (self.engine.next_seq(), self.engine.books().at());
        self.await_follower(seq);
        let (engine, follower) = (&self.engine, &self.follower);
        let written = self.journal.checkpoint(seq, at, |out| {
            postcard::to_io(engine, &mut *out).map_err(std::io::Error::other)?;
            // What waits are charged to, which the follower keeps, as of this moment; if it did not come to that, then
            // of what was before nobody knows.
            follower.blame(|blame| match blame.next_seq() == seq {
                true => postcard::to_io(blame, &mut *out).map(drop).map_err(std::io::Error::other),
                false => Ok(()),
            })
        });
        if let Err(error) = written {
            self.put_off(&error);
        }
    }

    /// Waits until the follower has folded all before this, though not for long.
    fn await_follower(&self, seq: u64) {
        let since = Instant::now();
        while self.follower.blame(Blame::next_seq) < seq && since.elapsed() < FOLLOWED {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn serve(&mut self, letters: Vec<Letter>) -> Result<(), Error> {
        let mut inputs = Vec::with_capacity(letters.len().max(1));
        let (mut replies, mut joining) = (Vec::with_capacity(letters.len()), Vec::new());
        for Letter { by, mut bodies, enclosed, joining: process, reply } in letters {
            let refused = if self.full_since.is_some() { full::take_growth(&mut bodies) } else { Vec::new() };
            let refused = refused.into_iter().map(|at| (at, storage_full())).collect();
            let reply = Reply { inputs: bodies.len(), refused, to: reply };
            if bodies.is_empty() {
                reply.send(&mut std::iter::empty());
                continue;
            }
            if let (Some(Command::Swap { to, .. }), Some(chosen)) = (bodies.first(), enclosed) {
                self.swap(to.clone(), chosen);
            }
            joining.extend(process.map(|process| (inputs.len() as u32, process)));
            replies.push(reply);
            inputs.extend(bodies.into_iter().map(|body| Input { by: by.clone(), body }));
        }
        if inputs.is_empty() {
            inputs.push(super::own(Command::Tick));
        }
        let batch = Arc::new(self.engine.step(self.clock.now(), inputs, &mut self.plugins));
        let mut stood = self.engine.stood().to_vec();
        let mut promised = promise::is_made(&batch, &self.engine, is_answered(&replies));
        let more = [join::attaches(&batch, joining), self.take_back(&batch)].concat();
        let then =
            (!more.is_empty()).then(|| Arc::new(self.engine.step(self.clock.now(), more, &mut self.plugins)));
        let written = Written::default();
        if let Some(then) = &then {
            stood.extend(self.engine.stood());
            promised |= promise::is_made(then, &self.engine, |_| false);
            self.edges.foretell(grounds(&self.engine, then), &written);
        }
        self.commit(Committed { batch, then, stood, replies }, promised, &written)
    }

    /// What is to be told of a lease that is given back with this batch, where nothing lives in it any more.
    fn take_back(&self, batch: &Batch) -> Vec<Input> {
        let bodied = returned::only(batch).filter(|claim| !self.engine.bodies(*claim).is_empty());
        bodied.map(|claim| self.edges.take_back(claim)).into_iter().flatten().map(super::own).collect()
    }

    /// Makes what was done durable, and only then known.
    fn commit(&mut self, committed: Committed, promised: bool, written: &Written) -> Result<(), Error> {
        let batches: Vec<&Batch> =
            [Some(&*committed.batch), committed.then.as_deref()].into_iter().flatten().collect();
        let needless = self.full_since.is_some() && batches.iter().all(|batch| full::is_idle(batch));
        let kept = if needless { Ok(()) } else { self.write(&batches, promised, written) };
        match kept {
            Ok(()) => {
                if let Some(committed) = self.follower.fold_here(committed) {
                    self.follower.expect();
                    // The follower ends after the desk, so the channel is open.
                    let _ = self.out.send(committed);
                }
                Ok(())
            }
            Err(Error::Full { .. }) => {
                self.step_back(committed.replies);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn write(&mut self, batches: &[&Batch], promised: bool, written: &Written) -> Result<(), Error> {
        let Some(last) = batches.last() else { return Ok(()) };
        let wall_ms = self.clock.wall_ms(batches[0].at);
        self.journal.write(batches, wall_ms, &self.clock.boot)?;
        written.say();
        self.failed_at = None;
        if promised {
            self.journal.sync()?;
            self.journal.answered(last.next_seq())?;
        }
        Ok(())
    }

    fn swap(&mut self, to: Decider, chosen: Chosen) {
        let old = match chosen {
            Chosen::Allocator(plugin) => Chosen::Allocator(self.plugins.allocator.swap(to, plugin)),
            Chosen::Qos(plugin) => Chosen::Qos(self.plugins.qos.swap(to, plugin)),
        };
        self.retired.take(old);
    }

    /// The disk is full: the step did not happen. The state is the last committed one again.
    fn step_back(&mut self, replies: Vec<Reply>) {
        self.failed_at = self.full_since.map(|_| Instant::now());
        self.full();
        self.settle_follower();
        self.engine = self.follower.read(Clone::clone).resume_in_place_of(&self.engine);
        self.engine.stop_granting(true);
        let refusal = if self.failed_at.is_some() { full::no_room_left() } else { storage_full() };
        replies.into_iter().for_each(|reply| reply.refuse(&refusal));
    }

    /// The disk is full: the ballast makes room for what gives back.
    fn full(&mut self) {
        if self.full_since.is_none() {
            tracing::error!(
                "the journal's disk is full: only what gives back is accepted until there is room"
            );
        }
        if let Err(error) = self.journal.make_room() {
            tracing::error!(%error, "the ballast could not be freed");
        }
        self.full_since = Some(Instant::now());
        self.full.store(true, Ordering::Release);
    }

    /// Waits until the follower has folded all that was committed.
    fn settle_follower(&self) {
        let committed = self.journal.next_seq();
        while self.follower.read(Engine::next_seq) < committed {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn retry_full(&mut self) {
        if self.full_since.is_some_and(|since| since.elapsed() >= FULL_RETRY) {
            self.full_since = match self.journal.restore_ballast() {
                Ok(()) => {
                    tracing::info!("there is room on the journal's disk again");
                    None
                }
                Err(_) => Some(Instant::now()),
            };
            self.engine.stop_granting(self.full_since.is_some());
            self.full.store(self.full_since.is_some(), Ordering::Release);
        }
    }
}

/// Which inputs somebody waits for, by their number.
fn is_answered(replies: &[Reply]) -> impl Fn(usize) -> bool + use<> {
    let mut end = 0;
    let ends = replies.iter().map(|reply| {
        end += reply.inputs;
        (end, reply.to.is_some())
    });
    let ends: Vec<(usize, bool)> = ends.collect();
    move |input| ends.iter().find(|(end, _)| input < *end).is_some_and(|(_, answered)| *answered)
}

/// Whether an operator said so, and not what was found on the host.
fn of_the_config(body: &Command) -> bool {
    match body {
        Command::SetPool(pool) => pool.node.is_none(),
        Command::Share { .. } => true,
        // Without it there is no pool of this node.
        Command::SetNode(_) => true,
        Command::SetQuota(_) | Command::SetScope(_) | Command::SetFanOut(_) | Command::SetPreemption(_) => {
            true
        }
        _ => false,
    }
}
