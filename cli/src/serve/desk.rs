//! The engine's thread: takes inputs in batches, steps, makes the batch durable, and hands it on.
//! Nothing is answered or enforced before it is durable.
use super::{
    clock::Clock,
    follower::{Committed, Follower},
    mail::{Answer, Chosen, Inbox, Letter},
};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{Command, Decider, Input, Reason, Refusal, Time, What, bound::BATCH_MAX};
use bursar_journal::{Error, Journal};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::SyncSender,
    },
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// How long the desk sleeps at most when nothing is due.
const IDLE: Duration = Duration::from_secs(60);
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
    /// Engine time.
    pub clock: Clock,
    /// What comes in.
    pub inbox: Inbox,
    /// Where committed batches go.
    pub out: SyncSender<Committed>,
    /// Holds the last committed state, to go back to.
    pub follower: Arc<Follower>,
    /// Since when the disk is full.
    pub full_since: Option<Instant>,
    /// Batches after which a checkpoint is written.
    pub checkpoint_batches: u64,
    /// The daemon is to end; a letter wakes the desk up to see it.
    pub ending: Arc<AtomicBool>,
}

impl Desk {
    /// Takes in what is known at the start, before anybody can ask: durable first, like everything.
    ///
    /// # Errors
    /// When it cannot be written, or some of it is refused: then the daemon must not start.
    pub fn begin(&mut self, told: Vec<Command>) -> anyhow::Result<Committed> {
        let inputs: Vec<Input> = told.into_iter().map(super::own).collect();
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
                tracing::error!(%refusal, "something that was set is refused");
            }
        }
        Ok(Committed { replies: Vec::new(), batch })
    }

    /// Serves until the daemon is to end; then the state is put where the next start finds it at once.
    ///
    /// # Errors
    /// When the journal cannot be trusted any more: the daemon has to end, and nothing was answered that
    /// is not on the disk.
    pub fn run(mut self) -> Result<(), Error> {
        while !self.ending.load(Ordering::Acquire) {
            let patience = self.patience();
            let Some(letters) = self.inbox.take(patience, BATCH_MAX) else { break };
            let due = self.engine.wake_at().is_some_and(|at| at <= self.clock.now());
            if !letters.is_empty() || due {
                self.serve(letters)?;
            }
            self.retry_full();
            if self.journal.since_checkpoint() >= self.checkpoint_batches {
                self.checkpoint();
            }
        }
        self.checkpoint();
        self.journal.close()
    }

    /// Writes the state beside the journal, so that a restart has less to replay. One that cannot be
    /// written costs only time then.
    fn checkpoint(&mut self) {
        let written = postcard::to_stdvec(&self.engine).map_err(|error| error.to_string()).and_then(|blob| {
            let (seq, at) = (self.engine.next_seq(), self.engine.books().at());
            self.journal.checkpoint(seq, at, blob).map_err(|error| error.to_string())
        });
        if let Err(error) = written {
            tracing::warn!(error, "no checkpoint could be written");
        }
    }

    fn patience(&mut self) -> Duration {
        let now = self.clock.now();
        let due =
            self.engine.wake_at().map_or(IDLE, |at: Time| Duration::from_nanos(at.0.saturating_sub(now.0)));
        let due = due.min(IDLE);
        if self.full_since.is_some() { due.min(FULL_RETRY) } else { due }
    }

    fn serve(&mut self, letters: Vec<Letter>) -> Result<(), Error> {
        let letters = if self.full_since.is_some() { refuse_growth(letters) } else { letters };
        let mut inputs = Vec::with_capacity(letters.len().max(1));
        let mut replies = Vec::with_capacity(letters.len().max(1));
        for Letter { by, body, enclosed, reply } in letters {
            if let (Command::Swap { to, .. }, Some(chosen)) = (&body, enclosed) {
                self.swap(to.clone(), chosen);
            }
            inputs.push(Input { by, body });
            replies.push(reply);
        }
        if inputs.is_empty() {
            inputs.push(super::own(Command::Tick));
            replies.push(None);
        }
        let batch = Arc::new(self.engine.step(self.clock.now(), inputs, &mut self.plugins));
        match self.journal.append(&batch, self.clock.wall_ms(batch.at), &self.clock.boot) {
            Ok(()) => {
                self.journal.answered(batch.next_seq())?;
                if let Some(committed) = self.follower.fold_here(Committed { batch, replies }) {
                    self.follower.expect();
                    // The follower ends after the desk, so the channel is open.
                    let _ = self.out.send(committed);
                }
                Ok(())
            }
            Err(Error::Full { .. }) => {
                self.step_back(replies);
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn swap(&mut self, to: Decider, chosen: Chosen) {
        match chosen {
            Chosen::Allocator(plugin) => drop(self.plugins.allocator.swap(to, plugin)),
            Chosen::Qos(plugin) => drop(self.plugins.qos.swap(to, plugin)),
        }
    }

    /// The disk is full: the step did not happen. The state is the last committed one again.
    fn step_back(&mut self, replies: Vec<Option<oneshot::Sender<Answer>>>) {
        self.full();
        self.settle_follower();
        self.engine = self.follower.read(Clone::clone).resume();
        replies.into_iter().flatten().for_each(|reply| {
            let _ = reply.send(Err(storage_full()));
        });
    }

    /// The disk is full: the ballast makes room for what gives back.
    fn full(&mut self) {
        tracing::error!("the journal's disk is full: only what gives back is accepted until there is room");
        if let Err(error) = self.journal.make_room() {
            tracing::error!(%error, "the ballast could not be freed");
        }
        self.full_since = Some(Instant::now());
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
        }
    }
}

/// Answers what would grow the state and keeps what gives back: release, expiry and settling go on
/// while the disk is full.
fn refuse_growth(letters: Vec<Letter>) -> Vec<Letter> {
    let (kept, refused): (Vec<Letter>, Vec<Letter>) = letters.into_iter().partition(|letter| {
        !matches!(
            letter.body,
            Command::Ask(_)
                | Command::Attach { .. }
                | Command::SetNode(_)
                | Command::SetPool(_)
                | Command::SetQuota(_)
                | Command::SetScope(_)
                | Command::SetResource(_)
        )
    });
    refused.into_iter().filter_map(|letter| letter.reply).for_each(|reply| {
        let _ = reply.send(Err(storage_full()));
    });
    kept
}

fn storage_full() -> Refusal {
    Refusal::new(Reason::StorageFull, "the journal's disk is full; nothing was changed")
        .hint("free space on the disk of the state directory; releases still work")
}
