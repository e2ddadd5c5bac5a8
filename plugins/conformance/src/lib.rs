//! The kit that every plugin must pass, on the plugin traits themselves: it does not care where one runs.
//!
//! Each check gives back what was wrong, in words for the plugin's author.
#![forbid(unsafe_code)]
mod built;
mod strategy;
mod supply;

pub use built::{badly_behaved, first_party};
pub use strategy::{allocator, qos};
pub use supply::{driver, metric, resource};
