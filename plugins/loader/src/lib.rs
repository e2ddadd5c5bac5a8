//! Discovers, inspects, stages, probes, opens and supervises plugin libraries, inline or in a child.
//!
//! A file is looked at before any of its code runs; a private, content-addressed copy is what is
//! opened, after a child has opened it first; it is never closed again. What is trusted like the
//! daemon itself runs inline, everything else in a child process that can never take the host down.
mod apart;
mod beside;
mod called;
mod child;
mod choice;
mod columns;
mod counted;
mod discipline;
mod footprint;
mod frame;
mod grant;
mod health;
mod hosted;
mod inline;
mod inspect;
mod listing;
mod loader;
mod log;
mod mirror;
mod nursery;
mod open;
mod primed;
mod reject;
mod roles;
mod sandbox;
mod scene;
mod seated;
mod shelf;
mod spent;
mod stage;
#[rustfmt::skip]
mod syscalls;
mod trust;
mod warm;
mod watchdog;
mod way;

pub use choice::can_pin;
pub use counted::Counted;
pub use footprint::{Footprint, Usage};
pub use grant::Grant;
pub use health::{Health, PAUSE_MAX};
pub use hosted::child_main;
pub use inspect::{Candidate, inspect};
pub use listing::{Listing, State};
pub use loader::{Loader, Seated, Settings};
pub use reject::Reject;
pub use sandbox::ability;
pub use scene::Scene;
pub use trust::{KEYS_MAX, TRUST_FILE, Trust, load_trusted, sha256};
pub use watchdog::INLINE_MAX;
