//! The holder's side of a lease: asks for it, runs a command inside it, keeps it, and gives everything back.
//!
//! `bursar run` is this crate. Programs that start a command each have to start at once themselves, so nothing
//! here needs a runtime, and threads are only started for commands that take their time.
#![forbid(unsafe_code)]
pub mod ask;
mod attendant;
#[cfg(target_arch = "x86_64")]
mod early;
mod home;
mod notice;
mod options;
mod outcome;
mod persist;
mod resumed;
mod run;
mod say;
mod tenancy;
mod terminal;
mod withdraw;
mod words;

pub use attendant::unmasked;
#[cfg(target_arch = "x86_64")]
pub use early::early;
pub use home::{home_elsewhere, home_file, write_home};
pub use options::{Ask, ClassArg, Run, scope_path};
pub use outcome::{Failed, Outcome};
pub use persist::persist;
pub use run::{REFUSED, run};
pub use say::say;
pub use withdraw::withdrawn_if_ended;
pub use words::{Errand, is_run, read};
