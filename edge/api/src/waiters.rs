//! Remembers who waits for a claim: one whose last asker has left is cancelled.
use crate::House;
use bursar_interface::{Ask, ClaimId, Command, Principal, Reason, Refusal};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{runtime::Handle, sync::oneshot, time::sleep};

/// Every claim that somebody waits for.
pub(crate) struct Waiters<H> {
    house: Arc<H>,
    rejoin: Duration,
    waiting: Mutex<BTreeMap<ClaimId, Waiting>>,
}

#[derive(Default)]
struct Waiting {
    /// Askers who are on the line.
    here: usize,
    /// Askers who ever were.
    came: usize,
    /// One of them has had the answer.
    answered: bool,
}

/// One asker on the line. Dropped without an answer, it may take the claim with it.
pub(crate) struct Waiter<H: House> {
    waiters: Arc<Waiters<H>>,
    by: Principal,
    keyed: bool,
    /// Which claim.
    pub(crate) claim: ClaimId,
    answered: bool,
}

impl<H: House> Waiters<H> {
    pub(crate) fn new(house: Arc<H>, rejoin: Duration) -> Arc<Waiters<H>> {
        Arc::new(Waiters { house, rejoin, waiting: Mutex::default() })
    }

    /// Asks, and puts the asker on the line. The asking goes on though this future is dropped: a claim
    /// that nobody is left to be told of is cancelled as soon as it is known.
    pub(crate) async fn ask(self: &Arc<Self>, by: Principal, ask: Ask) -> Result<Waiter<H>, Refusal> {
        let (tell, told) = oneshot::channel();
        let waiters = self.clone();
        tokio::spawn(async move {
            let keyed = ask.key.is_some();
            let done = waiters.house.submit(by.clone(), Command::Ask(ask)).await;
            let outcome = done.and_then(|done| done.claim.ok_or_else(no_claim));
            // If the asker has left, the waiter comes back and is dropped here.
            let _ = tell.send(outcome.map(|claim| waiters.join(by, keyed, claim)));
        });
        told.await.unwrap_or_else(|_| Err(no_claim()))
    }

    fn join(self: &Arc<Self>, by: Principal, keyed: bool, claim: ClaimId) -> Waiter<H> {
        let mut waiting = self.waiting();
        let line = waiting.entry(claim).or_default();
        line.here += 1;
        line.came += 1;
        Waiter { waiters: self.clone(), by, keyed, claim, answered: false }
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

    /// Cancels a claim unless somebody has come since `came`.
    async fn cancel(&self, by: Principal, claim: ClaimId, came: usize) {
        let left = self.waiting().get(&claim).is_some_and(|line| line.here == 0 && line.came == came);
        if left {
            self.waiting().remove(&claim);
            tracing::debug!(%claim, "the asker has left: the claim is cancelled");
            // Refused only if the claim has ended by itself.
            let _ = self.house.submit(by, Command::Cancel { claim }).await;
        }
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
        let patience = if self.keyed { waiters.rejoin } else { Duration::ZERO };
        runtime.spawn(async move {
            sleep(patience).await;
            waiters.cancel(by, claim, came).await;
        });
    }
}

fn no_claim() -> Refusal {
    Refusal::new(Reason::QueueFull, "the ask was not answered")
        .hint("see `bursar get claims` before asking again")
}
