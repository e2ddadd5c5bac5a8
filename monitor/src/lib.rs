//! Decides what samples mean: bounded rings and their windows.
//!
//! Raw samples are never journaled; they stay here, and what they come to is told as inputs.
#![forbid(unsafe_code)]
mod circles;
mod lasting;
mod pressure;
mod queueing;
mod ring;

pub use circles::{CircleLimits, Circles};
pub use lasting::Lasting;
pub use pressure::{Pressure, PressureLimits};
pub use queueing::{Queueing, QueueingLimits};
pub use ring::{Rings, Window};
