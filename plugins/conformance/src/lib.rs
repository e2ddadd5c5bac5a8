//! The kit that every plugin must pass, on the plugin traits themselves: it does not care where one runs.
//!
//! Each check has a name and says what was wrong and how to mend it, in words for the plugin's author.
#![forbid(unsafe_code)]
mod beside;
mod built;
mod outside;
mod report;
mod strategy;
mod supply;
mod world;

pub use beside::{analyzer, analyzer_report, sharing, sharing_report};
pub use built::{badly_behaved, first_party};
pub use outside::{Outside, Seen};
pub use report::{Check, Outcome, Report};
pub use strategy::{allocator, allocator_report, qos, qos_report};
pub use supply::{driver, metric, resource};
