//! A repeatable world in virtual time that drives the real engine.
//!
//! It has no clock and no randomness but its own seeded generator; plugins are passed in and traces
//! come as text.
#![forbid(unsafe_code)]

pub mod batch;
mod circled;
mod family;
pub mod fgd;
mod ganged;
pub mod history;
pub mod kueue;
mod law;
mod machine;
mod operator;
mod random;
pub mod rlscheduler;
pub mod settle;
mod sharing;
mod sizes;
mod spent;
mod supply;
pub mod trace;
pub mod world;

pub use law::{Broken, Law};
pub use random::Random;
