//! The signals that a daemon acts on. They are listened for before anybody is served: whoever had an answer may
//! count on it that a signal ends the daemon in good order, and not by what the system does to who does not listen.
use super::{hangup::Hangup, host::Host};
use rustix::process::Signal as Number;
use std::{io::Result, sync::Arc};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What is listened for.
pub(super) struct Signals {
    term: Signal,
    int: Signal,
    hangup: Hangup,
}

/// From here on a write beyond the limit on the size of files fails, and does not end this process: a signal that was
/// listened for once stays heard. To be called before anything large is written.
///
/// # Errors
/// What the system says.
pub fn outlive_limits() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let _entered = runtime.enter();
    signal(SignalKind::from_raw(Number::XFSZ.as_raw())).map(drop)
}

impl Signals {
    /// Listens from now on.
    ///
    /// # Errors
    /// What the system says.
    pub(super) fn new() -> Result<Signals> {
        Ok(Signals {
            term: signal(SignalKind::terminate())?,
            int: signal(SignalKind::interrupt())?,
            hangup: Hangup::new()?,
        })
    }

    /// Resolves when one of them asks for the end.
    pub(super) async fn end(&mut self, host: &Arc<Host>) {
        tokio::select! {
            _ = self.term.recv() => tracing::info!("told to end"),
            _ = self.int.recv() => tracing::info!("told to end"),
            () = self.hangup.closed(host) => tracing::info!("its terminal was closed"),
        }
    }
}
