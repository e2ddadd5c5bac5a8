//! A resource, driver or metric in this process, on a thread of its own: one that does not answer is given up,
//! and whoever asked goes on. It is not asked again before it has come back.
use crate::{Health, child::late, spent::spent_by};
use abi_stable::std_types::RResult::{RErr, ROk};
use bursar_abi::CallBox;
use bursar_interface::{Fault, FaultKind};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    time::{Duration, Instant},
};

/// An operation and its argument.
type Question = (String, Vec<u8>);
type Answer = Result<Vec<u8>, Fault>;

/// A plugin, and the thread that it lives on.
pub(crate) struct InlineCall {
    pub(crate) health: Arc<Health>,
    deadline: Duration,
    ask: Sender<Question>,
    told: Receiver<Answer>,
    /// The thread's number for the kernel.
    thread: u32,
    /// Since when it owes an answer that nobody waits for any more.
    owes: Option<Instant>,
}

impl InlineCall {
    /// Gives a plugin its thread.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(crate) fn start(
        plugin: CallBox,
        name: &str,
        health: Arc<Health>,
        deadline: Duration,
    ) -> std::io::Result<InlineCall> {
        let (ask, asked) = channel();
        let (tell, told) = channel();
        let (here, thread) = channel();
        let live = move || {
            // Nobody is told only if whoever started this is gone.
            let _ = here.send(rustix::thread::gettid().as_raw_nonzero().get().unsigned_abs());
            answer(plugin, &asked, &tell);
        };
        std::thread::Builder::new().name(format!("plugin-{name}")).spawn(live)?;
        let thread = thread.recv().map_err(std::io::Error::other)?;
        Ok(InlineCall { health, deadline, ask, told, thread, owes: None })
    }

    /// Carries out one operation.
    pub(crate) fn call(&mut self, operation: &str, argument: &[u8]) -> Answer {
        self.health.admit()?;
        self.collect()?;
        let gone = || Fault::of(FaultKind::Died, "its thread is gone");
        let before = spent_by(self.thread);
        self.ask.send((operation.into(), argument.into())).map_err(|_| gone())?;
        match self.told.recv_timeout(self.deadline) {
            Ok(answer) => answer.map_err(|fault| self.health.count(fault)),
            Err(RecvTimeoutError::Disconnected) => Err(self.health.count(gone())),
            Err(RecvTimeoutError::Timeout) => {
                self.owes = Some(Instant::now());
                let spent = spent_by(self.thread).saturating_sub(before);
                let fault = late(self.deadline, spent);
                Err(if spent >= self.deadline { self.health.count(fault) } else { fault })
            }
        }
    }

    /// Takes the late answer away, which is to no question that anybody still asks.
    fn collect(&mut self) -> Result<(), Fault> {
        let Some(since) = self.owes else { return Ok(()) };
        match self.told.try_recv() {
            Ok(_) => self.owes = None,
            Err(_) => {
                let late = format!("it has not come back from a call of {:.0?} ago", since.elapsed());
                return Err(Fault::of(FaultKind::Overrun, late));
            }
        }
        Ok(())
    }
}

/// Answers until nobody asks any more.
fn answer(mut plugin: CallBox, asked: &Receiver<Question>, tell: &Sender<Answer>) {
    while let Ok((operation, argument)) = asked.recv() {
        let answer = match plugin.call(operation.as_str().into(), argument.as_slice().into()) {
            ROk(answer) => Ok(answer.into_vec()),
            RErr(fault) => Err(Fault::of(FaultKind::of(fault.kind), fault.message.to_string())),
        };
        if tell.send(answer).is_err() {
            return;
        }
    }
}
