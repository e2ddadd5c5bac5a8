//! Decides who is first, and how things are shared.
#![forbid(unsafe_code)]

pub mod batch;
pub mod class;
mod sharing;

pub use sharing::{Exclusive, Overcommit, Timeslice};
