//! What calls came to, told to the daemon: many at once, and again while it is away. A lease of which nothing
//! is told in time runs out, and then its estimate counts as spent.
use crate::{
    daemon::{Daemon, Failed, Lease},
    limits::{RETELL_MAX, RETELL_TIME, SETTLED_MAX, TILL_MAX},
};
use bursar_interface::Fence;
use bursar_wire::{Operation, Outcome, UsedBody};
use std::sync::Arc;
use tokio::{
    sync::mpsc::{Receiver, Sender, channel},
    time::{Instant, sleep},
};

/// What one call came to.
#[derive(Debug)]
struct Settlement {
    lease: Lease,
    /// `None` where nobody knows: what was reserved counts as spent.
    used: Option<Vec<UsedBody>>,
}

/// Where calls leave what they came to. Beyond [`TILL_MAX`] that wait to be told, as while the daemon is away for
/// long, what was reserved for a call counts as spent.
#[derive(Clone, Debug)]
pub(crate) struct Till(Sender<Settlement>);

impl Till {
    /// Opens it, and tells the daemon of what is left there until all of its slots are gone.
    pub(crate) fn open(daemon: Arc<Daemon>) -> (Till, impl Future<Output = ()>) {
        let (sender, receiver) = channel(TILL_MAX);
        (Till(sender), tell_all(daemon, receiver))
    }
}

/// A lease in the hand of one call. Dropped, it is given back with what is known by then.
#[derive(Debug)]
pub(crate) struct Ticket {
    pub(crate) lease: Lease,
    used: Option<Vec<UsedBody>>,
    till: Till,
}

impl Ticket {
    /// A lease of which nothing was used yet.
    pub(crate) fn new(lease: Lease, unused: Vec<UsedBody>, till: Till) -> Ticket {
        Ticket { lease, used: Some(unused), till }
    }

    /// From now on nobody knows what was used.
    pub(crate) fn unknown(&mut self) {
        self.used = None;
    }

    /// What was used.
    pub(crate) fn known(&mut self, used: Vec<UsedBody>) {
        self.used = Some(used);
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Not told, the daemon lets the lease run out.
        if self.till.0.try_send(Settlement { lease: self.lease, used: self.used.take() }).is_err() {
            tracing::warn!(
                lease = self.lease.id,
                "too many settlements wait: what was reserved counts as spent"
            );
        }
    }
}

async fn tell_all(daemon: Arc<Daemon>, mut left: Receiver<Settlement>) {
    let mut some = Vec::with_capacity(SETTLED_MAX);
    while left.recv_many(&mut some, SETTLED_MAX).await > 0 {
        tell(&daemon, &some).await;
        some.clear();
    }
}

async fn tell(daemon: &Daemon, some: &[Settlement]) {
    let operations: Vec<Operation> = some.iter().flat_map(operations).collect();
    let since = Instant::now();
    loop {
        match daemon.batch(&operations).await {
            Ok(outcomes) => return outcomes.iter().for_each(complain),
            Err(Failed::Refused(error)) => {
                return tracing::warn!(%error, "settlements were refused: what was reserved counts as spent");
            }
            Err(Failed::Away) if since.elapsed() < RETELL_MAX => sleep(RETELL_TIME).await,
            Err(Failed::Away) => {
                return tracing::warn!(
                    calls = some.len(),
                    "the daemon is away: what was reserved for calls counts as spent"
                );
            }
        }
    }
}

fn operations(Settlement { lease, used }: &Settlement) -> impl Iterator<Item = Operation> {
    let (id, fence) = (lease.id, Fence(lease.fence));
    let settle = used.clone().map(|used| Operation::Settle { id, fence, used });
    settle.into_iter().chain([Operation::Release { id, fence }])
}

fn complain(outcome: &Outcome) {
    if let Outcome::Refused(problem) = outcome {
        tracing::warn!(error = %problem.error, "a settlement was refused");
    }
}
