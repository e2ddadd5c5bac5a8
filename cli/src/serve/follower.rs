//! The reader's copy: a second engine that folds what the first one did, on a thread of its own, so
//! that no reader ever holds up a decision. It answers, rings, and passes on once a batch is folded.
use super::{
    edges::Edges,
    enforcer::Note,
    eta::Outlook,
    flow::Flows,
    mail::{Answer, Done, Reply},
    places::Places,
};
use bursar_engine::{Blame, Engine, Stood, Why};
use bursar_interface::{
    Batch, ClaimId, Command, Event, Fault, FaultKind, Flow, Role, Row, Time, Usage, What, bound::KEPT_MAX,
};
use bursar_monitor::Lasting;
use bursar_wire as wire;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockWriteGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::{Notify, watch};

/// Inputs and events kept in memory for those who follow events, some 4 MB of them: who is further behind reads the
/// journal. The last batch is there in any case.
const TAIL_MAX: usize = 16 * 1024;
/// How long a reader is waited for before the follower's thread has to: somewhat longer than a look at one
/// claim takes, and no longer than a change of threads.
const READING: Duration = Duration::from_micros(30);

/// A folded state, and bells for those who wait for a claim.
pub struct Follower {
    engine: RwLock<Engine>,
    bells: Mutex<HashMap<ClaimId, Arc<Notify>>>,
    /// Leases that are true, which the books are about to hear.
    became_true: Mutex<BTreeSet<ClaimId>>,
    tail: Mutex<Tail>,
    seen: Mutex<Seen>,
    places: Places,
    folded: watch::Sender<u64>,
    /// Batches on their way to the follower's thread.
    behind: AtomicUsize,
    /// Who hears of what was folded.
    tell: Edges,
}

/// The last batches.
#[derive(Default)]
struct Tail {
    batches: VecDeque<Arc<Batch>>,
    /// Inputs and events in them.
    weight: usize,
}

/// What was seen go by since the daemon started and is no part of the state.
#[derive(Clone, Debug, Default)]
struct Seen {
    granted: BTreeMap<ClaimId, Time>,
    evidence: BTreeMap<ClaimId, String>,
    used: BTreeMap<ClaimId, Usage>,
    faults: BTreeMap<Role, u64>,
    /// How often a strategy left waiting what fits, and the last time.
    idled: BTreeMap<Role, (u64, Fault)>,
    /// The newest claim of each class that was granted, and when.
    newest: BTreeMap<u32, (ClaimId, Time)>,
    lasting: Lasting,
    blame: Blame,
    flows: Flows,
    /// Why the last change of what a claim holds could not be made true.
    resize_failed: BTreeMap<ClaimId, String>,
}

/// A committed batch on its way to the follower, with the answers that are due.
pub struct Committed {
    /// What was done.
    pub batch: Arc<Batch>,
    /// What was done with it, in the same moment.
    pub then: Option<Arc<Batch>>,
    /// Who took a place in the line with it.
    pub stood: Vec<Stood>,
    /// Where the answers go, by letter.
    pub replies: Vec<Reply>,
}

impl Tail {
    fn extend(&mut self, batches: impl Iterator<Item = Arc<Batch>>) {
        let weight = |batch: &Batch| batch.inputs.len() + batch.events.len();
        for batch in batches {
            self.weight += weight(&batch);
            self.batches.push_back(batch);
        }
        while self.weight > TAIL_MAX && self.batches.len() > 1 {
            self.weight -= self.batches.pop_front().map_or(0, |batch| weight(&batch));
        }
    }
}

impl Follower {
    /// A follower that starts from a recovered state, and tells of what it has folded.
    pub fn new(engine: Engine, blame: Blame, tell: Edges) -> Follower {
        let (folded, granted) = (watch::Sender::new(engine.next_seq()), granted_before(&engine));
        Follower {
            engine: RwLock::new(engine),
            bells: Mutex::default(),
            became_true: Mutex::default(),
            tail: Mutex::default(),
            seen: Mutex::new(Seen { blame, granted, ..Seen::default() }),
            places: Places::default(),
            folded,
            behind: AtomicUsize::new(0),
            tell,
        }
    }

    /// Folds a committed batch where it was made, if none is on its way and nobody reads for long: that
    /// saves its asker a change of threads. Gives it back otherwise. What the edges are to hear of it lies ready.
    pub fn fold_here(&self, committed: Committed) -> Option<Committed> {
        if self.behind.load(Ordering::Acquire) > 0 {
            return Some(committed);
        }
        let since = Instant::now();
        loop {
            if let Ok(engine) = self.engine.try_write() {
                self.fold(engine, committed);
                return None;
            }
            if since.elapsed() > READING {
                return Some(committed);
            }
            std::thread::yield_now();
        }
    }

    /// A batch is on its way to the follower's thread.
    pub fn expect(&self) {
        self.behind.fetch_add(1, Ordering::AcqRel);
    }

    /// Folds a batch that was on its way.
    pub fn fold_next(&self, committed: Committed) {
        self.fold(self.engine.write().unwrap_or_else(PoisonError::into_inner), committed);
        self.behind.fetch_sub(1, Ordering::AcqRel);
        self.tell.serve();
    }

    /// Folds, then answers, rings, and leaves word for the edges.
    fn fold(&self, mut engine: RwLockWriteGuard<'_, Engine>, committed: Committed) {
        let Committed { batch, then, stood, replies } = committed;
        let batches = [Some(&batch), then.as_ref()].into_iter().flatten();
        let mut concerns_edges = Vec::new();
        for batch in batches.clone() {
            engine.fold(batch);
            concerns_edges
                .extend(batch.events.iter().any(|event| acts(&engine, batch, event)).then_some(batch));
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).see(&engine, batch);
            self.forget_truths(batch);
        }
        // Whoever reads finds places and state as of the same moment.
        self.places.see(stood, batches.clone().map(|batch| &**batch));
        drop(engine);
        self.tail.lock().unwrap_or_else(PoisonError::into_inner).extend(batches.clone().cloned());
        let mut answers = answers(&batch).into_iter();
        replies.into_iter().for_each(|reply| reply.send(&mut answers));
        for batch in batches {
            self.ring(batch);
            self.folded.send_replace(batch.next_seq());
        }
        for batch in concerns_edges {
            self.tell.leave(Note::Batch(batch.clone()));
        }
    }

    /// Reads the state; at most one batch old.
    pub fn read<R>(&self, look: impl FnOnce(&Engine) -> R) -> R {
        look(&self.engine.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// When a claim was granted, if it was held at the daemon's start or since.
    pub fn granted_at(&self, claim: ClaimId) -> Option<Time> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).granted.get(&claim).copied()
    }

    /// What proved the return of a claim, if that was since the daemon started.
    pub fn evidence(&self, claim: ClaimId) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).evidence.get(&claim).cloned()
    }

    /// What a lease that is gone has used, if that was measured since the daemon started.
    pub fn used(&self, claim: ClaimId) -> Option<Usage> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).used.get(&claim).copied()
    }

    /// Why the last change of what a claim holds could not be made true, if it could not.
    pub fn resize_failed(&self, claim: ClaimId) -> Option<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).resize_failed.get(&claim).cloned()
    }

    /// What went by of each kind since the daemon started.
    pub fn flows(&self) -> Vec<Flow> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).flows.all().to_vec()
    }

    /// Faults of a strategy since the daemon started.
    pub fn faults(&self, role: Role) -> u64 {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).faults.get(&role).copied().unwrap_or(0)
    }

    /// How often a strategy left waiting what fits since the daemon started, and what was said of the last time.
    pub fn idled(&self, role: Role) -> Option<(u64, Fault)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).idled.get(&role).cloned()
    }

    /// The newest claim of a class that was granted since the daemon started, and when that was.
    pub fn newest(&self, class: u32) -> Option<(ClaimId, Time)> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).newest.get(&class).copied()
    }

    /// Looks at what waits are charged to.
    pub fn blame<R>(&self, look: impl FnOnce(&Blame) -> R) -> R {
        look(&self.seen.lock().unwrap_or_else(PoisonError::into_inner).blame)
    }

    /// The place of a waiting claim in the line, as [`Places::of`].
    pub fn position(&self, engine: &Engine, claim: ClaimId) -> Option<u64> {
        self.places.of(engine, claim)
    }

    /// How long a waiting claim will wait from now on, by how long those last who hold what it lacks, as far as one may
    /// see them; `None` where too little is known of them.
    pub fn eta(
        &self,
        engine: &Engine,
        claim: ClaimId,
        whys: &[Why],
        sees: &dyn Fn(Row) -> bool,
    ) -> Option<wire::Eta> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        Outlook { engine, lasting: &seen.lasting, sees }.eta(claim, whys)
    }

    /// Waits until `look` says yes for the claim, or the time is over; says which.
    pub async fn wait_for(
        &self,
        claim: ClaimId,
        until: Option<Duration>,
        look: impl Fn(&Engine) -> bool,
    ) -> bool {
        // Most are answered at once, and need no bell.
        if self.read(&look) {
            return true;
        }
        let bell =
            self.bells.lock().unwrap_or_else(PoisonError::into_inner).entry(claim).or_default().clone();
        let wait = async {
            loop {
                let rung = bell.notified();
                tokio::pin!(rung);
                rung.as_mut().enable();
                if self.read(&look) {
                    return;
                }
                rung.await;
            }
        };
        let seen = match until {
            Some(until) => tokio::time::timeout(until, wait).await.is_ok(),
            None => {
                wait.await;
                true
            }
        };
        let mut bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if Arc::strong_count(&bell) <= 2 {
            bells.remove(&claim);
        }
        seen
    }

    /// A lease is true, whatever the books say until they hear of it.
    pub fn is_true(&self, claim: ClaimId) {
        self.became_true().insert(claim);
        if let Some(bell) = self.bells.lock().unwrap_or_else(PoisonError::into_inner).get(&claim) {
            bell.notify_waiters();
        }
    }

    /// Whether a lease is true: its processes live in it, and whoever holds its kinds has said so.
    pub fn is_becoming(&self, engine: &Engine, row: Row, claim: ClaimId) -> bool {
        engine.books().becoming(row) && !self.became_true().contains(&claim)
    }

    fn forget_truths(&self, batch: &Batch) {
        let known = batch.events.iter().filter_map(|event| match event.what {
            What::Enforced(claim) | What::Attached(claim) | What::Closed { claim, .. } => Some(claim),
            _ => None,
        });
        let mut became_true = self.became_true();
        for claim in known {
            became_true.remove(&claim);
        }
    }

    fn became_true(&self) -> MutexGuard<'_, BTreeSet<ClaimId>> {
        self.became_true.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The batches still in memory that hold inputs from `since` on, and whether older ones are gone.
    pub fn tail(&self, since: u64) -> (Vec<Arc<Batch>>, bool) {
        let tail = self.tail.lock().unwrap_or_else(PoisonError::into_inner);
        let complete = tail.batches.front().is_some_and(|first| first.first_seq <= since);
        (tail.batches.iter().filter(|batch| batch.next_seq() > since).cloned().collect(), complete)
    }

    /// Says the sequence after the last folded batch, whenever it moves.
    pub fn moved(&self) -> watch::Receiver<u64> {
        self.folded.subscribe()
    }

    fn ring(&self, batch: &Batch) {
        let bells = self.bells.lock().unwrap_or_else(PoisonError::into_inner);
        if !bells.is_empty() {
            let about = batch.events.iter().filter_map(|event| claim_of(&event.what));
            about.filter_map(|claim| bells.get(&claim)).for_each(|bell| bell.notify_waiters());
        }
    }
}

/// Whether something at the edge has to be made true or taken back: most batches concern the books
/// alone, and waking a thread costs more than they do.
fn acts(engine: &Engine, batch: &Batch, event: &Event) -> bool {
    match &event.what {
        What::Attached(_) | What::Draining { .. } | What::Resizing { .. } => true,
        What::Preempting { .. } | What::Rung { .. } | What::Resumed { .. } => true,
        What::Granted { claim, .. } => {
            engine.books().claim(*claim).is_some_and(|row| engine.books().driven(row))
        }
        What::Closed { .. } => {
            let cause = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
            cause.is_some_and(|input| matches!(input.body, Command::Reclaimed { .. }))
        }
        _ => false,
    }
}

impl Seen {
    fn see(&mut self, engine: &Engine, batch: &Batch) {
        self.blame.fold(engine, batch);
        for event in &batch.events {
            let granted = claim_of(&event.what).and_then(|claim| self.granted.get(&claim).copied());
            self.flows.see(engine, batch.at, &event.what, granted);
            match &event.what {
                What::Closed { claim, .. } => {
                    let closed = engine.closed(*claim);
                    if let (Some(granted), Some(closed)) = (self.granted.get(claim), closed) {
                        self.lasting.observe(&closed.scope, batch.at, batch.at.0.saturating_sub(granted.0));
                    }
                }
                What::Granted { claim, .. } => {
                    remember(&mut self.granted, *claim, batch.at);
                    let newest = engine.class_of(*claim).map(|class| self.newest.entry(class).or_default());
                    newest
                        .into_iter()
                        .filter(|newest| newest.0 < *claim)
                        .for_each(|newest| *newest = (*claim, batch.at));
                }
                What::ResizeFailed { claim, message } => {
                    remember(&mut self.resize_failed, *claim, message.clone())
                }
                What::Resizing { claim, .. } | What::Resized { claim, .. } => {
                    self.resize_failed.remove(claim);
                }
                What::PluginFault { role, fault } => {
                    *self.faults.entry(*role).or_default() += 1;
                    if fault.kind == FaultKind::Idle {
                        let times = self.idled.get(role).map_or(0, |(times, _)| *times);
                        self.idled.insert(*role, (times + 1, fault.clone()));
                    }
                }
                _ => {}
            }
        }
        for input in &batch.inputs {
            match &input.body {
                Command::Reclaimed { claim, proof, .. } => {
                    remember(&mut self.evidence, *claim, proof.evidence.clone());
                }
                Command::Measured { claim, usage } => remember(&mut self.used, *claim, *usage),
                _ => {}
            }
        }
    }
}

/// When each lease was granted that was there at the start.
fn granted_before(engine: &Engine) -> BTreeMap<ClaimId, Time> {
    let (claims, mut granted) = (engine.view().claims, BTreeMap::new());
    let held = (0..claims.len()).filter(|&row| claims.id[row] != 0 && claims.granted_at[row] > 0);
    held.for_each(|row| remember(&mut granted, ClaimId(claims.id[row]), Time(claims.granted_at[row])));
    granted
}

/// Remembers something of a claim; of the oldest claims nothing, when there are many.
fn remember<T>(of: &mut BTreeMap<ClaimId, T>, claim: ClaimId, what: T) {
    of.insert(claim, what);
    while of.len() > 2 * KEPT_MAX {
        of.pop_first();
    }
}

/// What each input of a batch came to: its first event tells.
pub fn answers(batch: &Batch) -> Vec<Answer> {
    let mut answers: Vec<Option<Answer>> = vec![None; batch.inputs.len()];
    for Event { cause, what } in &batch.events {
        let Some(cause) = cause.map(|cause| cause as usize) else { continue };
        let slot = &mut answers[cause];
        let springing = matches!(what, What::PoolSprang { .. });
        if slot.is_none() && !springing {
            let changes = match what {
                What::Applied(changes) => changes.clone(),
                _ => Vec::new(),
            };
            let done = Done { claim: claim_of(what), seq: batch.first_seq + cause as u64, changes };
            *slot = Some(match what {
                What::Refused(refusal) => Err(refusal.clone()),
                _ => Ok(done),
            });
        }
    }
    let nothing = |seq| Ok(Done { claim: None, seq, changes: Vec::new() });
    answers
        .into_iter()
        .zip(batch.first_seq..)
        .map(|(answer, seq)| answer.unwrap_or_else(|| nothing(seq)))
        .collect()
}

/// The claim that an event is about.
pub fn claim_of(what: &What) -> Option<ClaimId> {
    match what {
        What::Queued { claim, .. }
        | What::Waiting { claim, .. }
        | What::Granted { claim, .. }
        | What::Renewed { claim, .. }
        | What::Draining { claim, .. }
        | What::Quarantined { claim, .. }
        | What::Closed { claim, .. }
        | What::Leaving { claim, .. }
        | What::Returned { claim, .. }
        | What::Preempting { claim, .. }
        | What::LoopBroken { claim, .. }
        | What::Deadlocked { claim, .. }
        | What::Rung { claim, .. }
        | What::RungFailed { claim, .. }
        | What::Suspended { claim, .. }
        | What::Resumed { claim, .. }
        | What::Spared(claim)
        | What::Unpromised(claim)
        | What::Repeated(claim)
        | What::Attached(claim)
        | What::Enforced(claim)
        | What::Chosen { claim, .. }
        | What::Resizing { claim, .. }
        | What::Resized { claim, .. }
        | What::ResizeFailed { claim, .. }
        | What::Measured(claim)
        | What::Settled(claim) => Some(*claim),
        What::Squeezed(claim) => *claim,
        What::Promised(promise) => Some(promise.claim),
        _ => None,
    }
}
