//! Decides what samples mean: bounded rings and their windows.
//!
//! Raw samples are never journaled; they stay here, and what they come to is told as inputs.
#![forbid(unsafe_code)]
mod lasting;
mod ring;

pub use lasting::Lasting;
pub use ring::{Rings, Window};
