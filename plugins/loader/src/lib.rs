//! Discovers, inspects, stages, probes, opens and supervises plugin libraries, inline or in a child.
//!
//! A file is looked at before any of its code runs; a private, content-addressed copy is what is
//! opened, after a child has opened it first; it is never closed again. What is trusted like the
//! daemon itself runs inline, everything else in a child process that can never take the host down.
mod called;
mod child;
mod columns;
mod frame;
mod health;
mod hosted;
mod inline;
mod inspect;
mod loader;
mod log;
mod mirror;
mod open;
mod reject;
mod stage;
mod trust;
mod watchdog;

pub use health::Health;
pub use hosted::child_main;
pub use inspect::{Candidate, inspect};
pub use loader::{Listing, Loader, Seated, Settings, State};
pub use reject::Reject;
pub use trust::{TRUST_FILE, load_trusted, sha256};
pub use watchdog::INLINE_MAX;
