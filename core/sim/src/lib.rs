//! A repeatable world in virtual time that drives the real engine.
//!
//! It has no clock and no randomness but its own seeded generator; plugins are passed in and traces
//! come as text.
#![forbid(unsafe_code)]

pub mod batch;
mod family;
pub mod fgd;
pub mod history;
mod law;
mod machine;
mod operator;
mod random;
pub mod rlscheduler;
mod sizes;
mod spent;
mod supply;
pub mod trace;
pub mod world;

pub use law::{Broken, Law};
pub use random::Random;
