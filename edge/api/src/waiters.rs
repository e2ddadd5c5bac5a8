//! Remembers who waits for a claim: one whose last asker has left is cancelled.
use crate::{Done, House, limits::STAYING_MAX};
use bursar_interface::{Ask, ClaimId, Command, Principal, Process, Reason, Refusal};
use std::{
    collections::{BTreeMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    runtime::Handle,
    time::{Instant, sleep_until},
};

/// How often it is looked whether the process of an asker that left is there still: first soon, as the two mostly go
/// together, and then ever more seldom.
const LOOK_MIN: Duration = Duration::from_millis(1);
const LOOK_MAX: Duration = Duration::from_millis(100);

/// Every claim that somebody waits for.
pub(crate) struct Waiters<H> {
    house: Arc<H>,
    rejoin: Duration,
    waiting: Mutex<BTreeMap<ClaimId, Waiting>>,
    /// Claims that stay whoever leaves, the newest last. On a busy machine an asker is heard of after it has hung up,
    /// and so after what was said since on another connection.
    staying: Mutex<VecDeque<ClaimId>>,
}

#[derive(Default)]
struct Waiting {
    /// Askers who are on the line.
    here: usize,
    /// Askers who ever were.
    came: usize,
    /// One of them has had the answer.
    answered: bool,
    /// The process of one of them that is to live inside: what the same key asks for is done once.
    joins: Option<Process>,
}

/// One asker on the line. Dropped without an answer, it may take the claim with it.
pub(crate) struct Waiter<H: House> {
    waiters: Arc<Waiters<H>>,
    by: Principal,
    keyed: bool,
    /// What was to live inside: whoever has no process any more does not come back.
    process: Option<Process>,
    /// Which claim.
    pub(crate) claim: ClaimId,
    answered: bool,
}

/// What one command of many came to.
pub(crate) struct Answered<H: House> {
    /// The claim that it was about or that it made.
    pub(crate) claim: ClaimId,
    /// The asker, where it made one.
    pub(crate) waiter: Option<Waiter<H>>,
}

impl<H: House> Waiters<H> {
    pub(crate) fn new(house: Arc<H>, rejoin: Duration) -> Arc<Waiters<H>> {
        Arc::new(Waiters { house, rejoin, waiting: Mutex::default(), staying: Mutex::default() })
    }

    /// Asks, and puts the asker on the line. The asking goes on though this future is dropped: a claim
    /// that nobody is left to be told of is cancelled as soon as it is known.
    pub(crate) async fn ask(
        self: &Arc<Self>,
        by: Principal,
        ask: Ask,
        process: Option<Process>,
    ) -> Result<Waiter<H>, Refusal> {
        let (waiters, keyed) = (self.clone(), ask.key.is_some());
        let asking = async move {
            let done = match process.clone() {
                Some(process) => waiters.house.ask_to_join(by.clone(), ask, process).await?,
                None => waiters.house.submit(by.clone(), Command::Ask(ask)).await?,
            };
            done.claim.map(|claim| waiters.join(by, keyed, process, claim)).ok_or_else(no_claim)
        };
        to_the_end(asking).await
    }

    /// Hands commands in together; who asks is put on the line, as by [`Waiters::ask`].
    pub(crate) async fn submit_all(
        self: &Arc<Self>,
        by: Principal,
        bodies: Vec<Command>,
    ) -> Result<Vec<Result<Answered<H>, Refusal>>, Refusal> {
        let waiters = self.clone();
        let asks = bodies.iter().map(|body| match body {
            Command::Ask(ask) => Some(ask.key.is_some()),
            _ => None,
        });
        let asks: Vec<Option<bool>> = asks.collect();
        let asking = async move {
            let done = waiters.house.submit_all(by.clone(), bodies).await?;
            let answered = |(done, ask): (Result<Done, Refusal>, Option<bool>)| {
                let claim = done?.claim.ok_or_else(no_claim)?;
                let waiter = ask.map(|keyed| waiters.join(by.clone(), keyed, None, claim));
                Ok(Answered { claim, waiter })
            };
            Ok(done.into_iter().zip(asks).map(answered).collect())
        };
        to_the_end(asking).await
    }

    fn join(
        self: &Arc<Self>,
        by: Principal,
        keyed: bool,
        process: Option<Process>,
        claim: ClaimId,
    ) -> Waiter<H> {
        let mut waiting = self.waiting();
        let line = waiting.entry(claim).or_default();
        line.here += 1;
        line.came += 1;
        Waiter { waiters: self.clone(), by, keyed, process, claim, answered: false }
    }

    /// One asker leaves. Returns how many had come, if the claim is to be cancelled now or soon.
    fn leave(&self, claim: ClaimId, answered: bool) -> Option<usize> {
        let mut waiting = self.waiting();
        let line = waiting.get_mut(&claim)?;
        line.here -= 1;
        line.answered |= answered;
        if line.here == 0 && line.answered {
            waiting.remove(&claim);
            return None;
        }
        (line.here == 0).then_some(line.came)
    }

    /// Waits for as long as an asker with a key may stay away; no longer than there is the process that was to live
    /// inside.
    async fn keep_place(&self, process: Option<Process>) {
        let until = Instant::now() + self.rejoin;
        let mut look = if process.is_some() { LOOK_MIN } else { self.rejoin };
        while Instant::now() < until && process.as_ref().is_none_or(|process| self.house.lives(process)) {
            sleep_until(until.min(Instant::now() + look)).await;
            look = (look * 2).min(LOOK_MAX);
        }
    }

    /// Cancels a claim unless somebody has come since `came`.
    async fn cancel(&self, by: Principal, claim: ClaimId, came: usize) {
        let left = self.waiting().get(&claim).is_some_and(|line| line.here == 0 && line.came == came);
        if left {
            self.waiting().remove(&claim);
            if self.staying().contains(&claim) {
                return;
            }
            tracing::debug!(%claim, "the asker has left: the claim is cancelled");
            // Refused only if the claim has ended by itself.
            let _ = self.house.submit(by, Command::Cancel { claim }).await;
        }
    }

    fn staying(&self) -> MutexGuard<'_, VecDeque<ClaimId>> {
        self.staying.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, BTreeMap<ClaimId, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: House> Waiter<H> {
    /// The asker has its answer: the claim stays.
    pub(crate) fn answered(mut self) {
        self.answered = true;
    }

    /// Whether this process is the one to live inside: the first that any of its askers names.
    pub(crate) fn is_to_join(&self, process: &Process) -> bool {
        let mut waiting = self.waiters.waiting();
        waiting
            .get_mut(&self.claim)
            .is_none_or(|line| line.joins.get_or_insert_with(|| process.clone()) == process)
    }

    /// The claim stays whoever leaves.
    pub(crate) fn stays(&self) {
        let mut staying = self.waiters.staying();
        if !staying.contains(&self.claim) {
            if staying.len() == STAYING_MAX {
                staying.pop_front();
            }
            staying.push_back(self.claim);
        }
    }

    /// The asker is sent away: without a key to come back with, the claim is cancelled first.
    pub(crate) async fn sent_away(mut self) {
        self.answered = true;
        if !self.keyed {
            let cancel = Command::Cancel { claim: self.claim };
            // Refused only if the claim has ended by itself.
            let _ = self.waiters.house.submit(self.by.clone(), cancel).await;
        }
    }
}

impl<H: House> Drop for Waiter<H> {
    fn drop(&mut self) {
        let Some(came) = self.waiters.leave(self.claim, self.answered) else { return };
        let Ok(runtime) = Handle::try_current() else { return };
        let (waiters, by, claim) = (self.waiters.clone(), self.by.clone(), self.claim);
        let (keyed, process) = (self.keyed, self.process.take());
        runtime.spawn(async move {
            if keyed {
                waiters.keep_place(process).await;
            }
            waiters.cancel(by, claim, came).await;
        });
    }
}

/// A future that goes on in a task of its own when it is dropped before its end. A task from the start
/// would cost every request a change of threads.
struct ToTheEnd<T: Send + 'static>(Option<Pin<Box<dyn Future<Output = T> + Send>>>);

fn to_the_end<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> ToTheEnd<T> {
    ToTheEnd(Some(Box::pin(future)))
}

impl<T: Send + 'static> Future for ToTheEnd<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(future) = &mut self.0 else { return Poll::Pending };
        let polled = future.as_mut().poll(cx);
        if polled.is_ready() {
            self.0 = None;
        }
        polled
    }
}

impl<T: Send + 'static> Drop for ToTheEnd<T> {
    fn drop(&mut self) {
        if let (Some(future), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            // What comes of it is dropped there, with all that this entails.
            runtime.spawn(async move { drop(future.await) });
        }
    }
}

fn no_claim() -> Refusal {
    Refusal::new(Reason::QueueFull, "the ask was not answered")
        .hint("see `bursar get claims` before asking again")
}
