//! Whose turn it is at the desk. A change of threads costs 30 to 50 µs on an idle machine, many times what
//! a decision does, and a request used to change twice. So the front door takes turns at the desk itself,
//! each for everything that was ready to be asked; the desk's own thread takes those that the front
//! door leaves: when the desk is taken, when there is much to do, and when time has come.
use super::{
    clock::Clock,
    desk::Desk,
    edges::Edges,
    mail::{Answer, Chosen, Inbox, Letter, ending},
};
use bursar_interface::{Ask, Command, Principal, Process, Time};
use bursar_journal::Error;
use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{Notify, oneshot},
    task::yield_now,
};

/// Inputs that the front door serves itself at most: with more, it has better things to do, and the desk's
/// thread works beside it.
const OWN_TURN_MAX: usize = 128;
/// A turn that takes longer, as on a slow disk, is left to the desk's thread, and so are all others until
/// one is shorter: nobody who only wants to look has to wait for them.
const OWN_TURN_LONG: Duration = Duration::from_millis(2);
/// How often whoever else is ready goes before a turn. The first time lets those go who were ready, and
/// finds out who became so; the second lets these go too. Each is one look at the sockets.
const GO_BEFORE: usize = 2;

/// The way to the desk. Cloned freely; all clones are one.
#[derive(Clone)]
pub struct Mailbox(Arc<Turns>);

struct Turns {
    inbox: Arc<Inbox>,
    /// Something lies in the inbox that came through the front door.
    asked: Notify,
    desk: Mutex<Seat>,
    clock: Clock,
    /// Engine time up to which the desk's thread sleeps.
    asleep_until: AtomicU64,
    /// The last turn was long.
    slow: AtomicBool,
    /// Who makes true what was committed.
    edges: Edges,
    /// The daemon is to end; a ring wakes the desk's thread up to see it.
    ending: Arc<AtomicBool>,
}

struct Seat {
    /// Gone when the daemon is ending.
    desk: Option<Desk>,
    /// Why the journal cannot be trusted any more.
    failed: Option<Error>,
}

impl Mailbox {
    /// The way to this desk.
    pub fn new(desk: Desk, edges: Edges, ending: Arc<AtomicBool>) -> Mailbox {
        let (inbox, clock) = (desk.inbox.clone(), desk.clock.clone());
        let desk = Mutex::new(Seat { desk: Some(desk), failed: None });
        let (asleep_until, slow) = (AtomicU64::new(0), AtomicBool::new(false));
        Mailbox(Arc::new(Turns {
            inbox,
            asked: Notify::new(),
            desk,
            clock,
            asleep_until,
            slow,
            edges,
            ending,
        }))
    }

    /// Has inputs carried out, together where they fit into one batch; the answers are in their order.
    /// They are carried out though this future is dropped.
    ///
    /// # Errors
    /// `QueueFull` at once when the inbox is full, `Stopping` when the daemon is ending; what the engine refuses
    /// stands among the answers.
    pub async fn ask(
        &self,
        by: Principal,
        bodies: Vec<Command>,
        enclosed: Option<Chosen>,
    ) -> Result<Vec<Answer>, bursar_interface::Refusal> {
        self.post(|reply| Letter { by, bodies, enclosed, joining: None, reply }).await
    }

    /// As [`Mailbox::ask`], for one ask; if it is granted at once, the process is attached with it.
    ///
    /// # Errors
    /// Those of [`Mailbox::ask`].
    pub async fn ask_to_join(
        &self,
        by: Principal,
        ask: Ask,
        process: Process,
    ) -> Result<Vec<Answer>, bursar_interface::Refusal> {
        let (bodies, joining) = (vec![Command::Ask(ask)], Some(process));
        self.post(|reply| Letter { by, bodies, enclosed: None, joining, reply }).await
    }

    async fn post(
        &self,
        letter: impl FnOnce(Option<oneshot::Sender<Vec<Answer>>>) -> Letter,
    ) -> Result<Vec<Answer>, bursar_interface::Refusal> {
        let (reply, answers) = oneshot::channel();
        self.0.inbox.post(letter(Some(reply)))?;
        self.0.asked.notify_one();
        answers.await.map_err(|_| ending())
    }

    /// Tells the engine something as the daemon itself, waiting for room but for no answer. Takes the turn for
    /// that itself if nobody else does: an asker may wait for what is told.
    pub fn tell(&self, body: Command) {
        let by = Principal { admin: true, ..Principal::default() };
        self.0.inbox.insist(Letter { by, bodies: vec![body], enclosed: None, joining: None, reply: None });
        self.0.own_turn();
    }

    /// As [`Mailbox::tell`], of what nobody waits for: it is taken along with whatever comes next, or with
    /// [`Mailbox::press`].
    pub fn mention(&self, body: Command) {
        let by = Principal { admin: true, ..Principal::default() };
        self.0.inbox.insist(Letter { by, bodies: vec![body], enclosed: None, joining: None, reply: None });
    }

    /// Has what was mentioned taken in, if nobody did so meanwhile.
    pub fn press(&self) {
        self.0.own_turn();
    }

    /// As [`Mailbox::tell`], several things at one moment.
    pub fn tell_all(&self, bodies: Vec<Command>) {
        if bodies.is_empty() {
            return;
        }
        let by = Principal { admin: true, ..Principal::default() };
        self.0.inbox.insist(Letter { by, bodies, enclosed: None, joining: None, reply: None });
        self.0.own_turn();
    }

    /// How far the desk is, as [`Desk::mark`]; `None` when the daemon is ending. Waits for the turn that is being taken.
    pub fn mark(&self) -> Option<(u64, u64)> {
        let mark = self.0.seat().desk.as_ref().map(Desk::mark);
        // Who found the desk taken meanwhile has left a letter.
        self.0.inbox.ring();
        mark
    }

    /// Has the desk's thread look up, as when it is to end.
    pub fn wake(&self) {
        self.0.inbox.ring();
    }

    /// The front door's turns: for as long as its runtime lives.
    pub async fn serve(&self) -> Infallible {
        loop {
            self.0.asked.notified().await;
            for _ in 0..GO_BEFORE {
                yield_now().await;
            }
            self.0.own_turn();
            self.0.edges.serve();
        }
    }

    /// Takes every turn that nobody else takes, until the daemon is to end; then the state is put where
    /// the next start finds it at once.
    ///
    /// # Errors
    /// When the journal cannot be trusted any more: the daemon has to end, and nothing was answered that
    /// is not on the disk.
    pub fn keep(&self) -> Result<(), Error> {
        let kept = self.0.keep();
        self.0.inbox.close();
        let desk = self.0.seat().desk.take();
        kept?;
        desk.map_or(Ok(()), Desk::close)
    }
}

impl Turns {
    /// The front door's own turn, if the desk is free and there is not too much to do.
    fn own_turn(&self) {
        match self.inbox.inputs() {
            // The desk's thread took the letters along.
            0 => return,
            1..=OWN_TURN_MAX if !self.slow.load(Ordering::Relaxed) => {}
            _ => return self.inbox.ring(),
        }
        match self.desk.try_lock() {
            Ok(mut seat) => {
                if self.turn(&mut seat).is_none_or(|due| due.0 < self.asleep_until.load(Ordering::Acquire)) {
                    self.inbox.ring();
                }
            }
            // Whoever has the turn looks once more when it is over.
            Err(TryLockError::WouldBlock) => return,
            // The desk's thread is to find out that somebody panicked there.
            Err(TryLockError::Poisoned(_)) => return self.inbox.ring(),
        }
        if self.inbox.inputs() > 0 {
            self.inbox.ring();
        }
    }

    fn keep(&self) -> Result<(), Error> {
        while !self.ending.load(Ordering::Acquire) {
            let due = {
                let mut seat = self.seat();
                self.turn(&mut seat);
                if let Some(error) = seat.failed.take() {
                    return Err(error);
                }
                let due = seat.tidy();
                self.asleep_until.store(due.0, Ordering::Release);
                due
            };
            self.edges.serve();
            // Only after the seat is free: who found it taken has left a letter.
            self.inbox.wait(Duration::from_nanos(due.0.saturating_sub(self.clock.now().0)));
        }
        Ok(())
    }

    /// A turn, and how long it took.
    fn turn(&self, seat: &mut Seat) -> Option<Time> {
        let since = Instant::now();
        let due = seat.turn();
        self.slow.store(since.elapsed() > OWN_TURN_LONG, Ordering::Relaxed);
        due
    }

    /// Waits for the seat. A turn that panicked is a bug, and ends the daemon.
    fn seat(&self) -> MutexGuard<'_, Seat> {
        let seat = self.desk.lock();
        seat.unwrap_or_else(|_| panic!("somebody panicked at the desk"))
    }
}

impl Seat {
    /// One turn; returns when the next is due by the clock, or `None` when the desk's thread has to see to
    /// it at once.
    fn turn(&mut self) -> Option<Time> {
        let desk = self.desk.as_mut().filter(|_| self.failed.is_none())?;
        match desk.turn() {
            Ok(()) => (!desk.untidy()).then(|| desk.due()),
            Err(error) => {
                self.failed = Some(error);
                None
            }
        }
    }

    /// What may take long, so that no asker does it; returns when the next turn is due.
    fn tidy(&mut self) -> Time {
        self.desk.as_mut().map_or_else(Time::default, |desk| {
            desk.tidy();
            desk.due()
        })
    }
}
