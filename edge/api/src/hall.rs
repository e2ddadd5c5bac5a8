//! What every request can reach: the house, the limits, who waits, and whether it is closing time.
use crate::{House, Limits, Peer, guard::Guard, waiters::Waiters};
use bursar_interface::Principal;
use std::sync::Arc;
use tokio::sync::{Semaphore, watch};

/// Shared by all connections of one door.
pub(crate) struct Hall<H> {
    pub(crate) house: Arc<H>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) guard: Option<Arc<Guard>>,
    pub(crate) waiters: Arc<Waiters<H>>,
    /// Seats of those who watch what is taken from their leases.
    pub(crate) watching: Semaphore,
    closing: watch::Sender<bool>,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) peer: Peer,
    pub(crate) principal: Principal,
    /// The token that was shown: `own`, or how its sha256 begins; none over the socket.
    pub(crate) token: Option<String>,
    /// The number of its connection, from when the door opened.
    pub(crate) visit: u64,
}

impl<H: House> Hall<H> {
    pub(crate) fn new(house: Arc<H>, limits: Limits, guard: Option<Arc<Guard>>) -> Arc<Hall<H>> {
        let waiters = Waiters::new(house.clone(), limits.rejoin);
        let watching = Semaphore::new(limits.watching);
        let closing = watch::Sender::new(false);
        Arc::new(Hall { house, limits: Arc::new(limits), guard, waiters, watching, closing })
    }

    /// Sends those away who only wait, and lets the rest finish.
    pub(crate) fn close(&self) {
        self.closing.send_replace(true);
    }

    /// Whether it closes.
    pub(crate) fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Resolves when the hall closes.
    pub(crate) async fn closing(&self) {
        // The sender lives as long as the hall, so waiting cannot fail.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
    }
}
