//! An asker that is told to end while it waits takes its claim along: left in line for as long as one with a key may stay
//! away, it would be granted what nobody takes.
use crate::say::say;
use nix::sys::signal::{SigSet, Signal, raise};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

/// Signals by which people and programs end what waits.
const ENDING: [Signal; 3] = [Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM];

/// Asks; if a signal ends this process before there is an answer, withdraws first, and says what that came to.
pub fn withdrawn_if_ended<T>(
    withdraw: impl FnOnce() -> String + Send + 'static,
    ask: impl FnOnce() -> T,
) -> T {
    let ending: SigSet = ENDING.into_iter().filter(|&signal| crate::attendant::ends(signal)).collect();
    let over = Arc::new(AtomicBool::new(false));
    let (heard, answered) = (ending, over.clone());
    let hear = move || {
        let Ok(signal) = heard.wait() else { return };
        if !answered.swap(true, Ordering::SeqCst) {
            say(format_args!("{signal} while waiting: {}", withdraw()));
        }
        // What it does to any program.
        let _ = heard.thread_unblock();
        let _ = raise(signal);
    };
    let hears =
        ending.thread_block().is_ok() && thread::Builder::new().name("signals".into()).spawn(hear).is_ok();
    if !hears {
        let _ = ending.thread_unblock();
    }
    let asked = ask();
    while over.swap(true, Ordering::SeqCst) {
        // The end comes at once.
        thread::park();
    }
    let _ = ending.thread_unblock();
    asked
}
