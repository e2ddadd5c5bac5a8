//! All that a plugin author imports: the interface, `#[plugin]` and the guards.
//!
//! ```
//! use bursar_sdk::prelude::*;
//!
//! /// Puts each claim on the first node that takes the whole of it.
//! #[derive(Default)]
//! struct First;
//!
//! #[plugin(id = "first")]
//! impl Allocator for First {
//!     fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
//!         for &claim in queue {
//!             (0..view.nodes.len() as Row).find(|&node| plan.place(claim, node));
//!         }
//!         Ok(())
//!     }
//! }
//! # fn main() { assert!(bursar_sdk::linked().any(|entry| entry.id == "first")); }
//! ```
pub use bursar_interface::*;
pub use bursar_sdk_macros::{config, plugin};

mod bridge;
mod config;
mod counts;
mod entry;
mod guard;
mod here;
mod root;
mod shim;
mod shim_beside;

pub use config::Config;
pub use counts::{COUNTS_MAX, counted};
pub use entry::{Entry, Make, linked};

/// What a plugin crate usually needs.
pub mod prelude {
    pub use crate::{
        Allocator, Amount, Analyzer, Backfill, Config, Discipline, Driver, Fault, Finding, Holding, Lease,
        Metric, NONE, Offer, Plan, Proof, Qos, Rank, Resource, ResourceSpec, Row, Sample, Severity, Shape,
        Sharing, Sight, Subject, Supply, Time, Variable, View, config, plugin,
    };
    pub use metrics;
    pub use tracing;
}

/// Has the plugins that are linked into this program count; in a library the host does so by itself.
pub fn count() {
    counts::install();
}

/// Has panics of the plugins that are linked into this program logged under their names.
pub fn listen() {
    bridge::listen();
}

/// Which linked-in plugin's call this thread carries out, for the log; `None` for the program's own doing.
pub fn speaker() -> Option<&'static str> {
    bridge::speaker()
}

#[doc(hidden)]
pub mod __private {
    pub use crate::config::schema_of;
    pub use bursar_abi::ABI_VERSION;
    pub use inventory;
    pub use schemars;
    pub use serde;

    /// Border versions that a plugin built with this sdk can talk to.
    pub const ABI_REQ: &str = concat!("^", env!("CARGO_PKG_VERSION"));
    /// How a panic ends in this build.
    pub const PANIC: &str = if cfg!(panic = "unwind") { "unwind" } else { "abort" };

    /// Bytes of all parts together.
    pub const fn total(parts: &[&str]) -> usize {
        let (mut i, mut sum) = (0, 0);
        while i < parts.len() {
            sum += parts[i].len();
            i += 1;
        }
        sum
    }

    /// All parts, one after the other.
    pub const fn join<const N: usize>(parts: &[&str]) -> [u8; N] {
        let mut out = [0; N];
        let (mut i, mut at) = (0, 0);
        while i < parts.len() {
            let part = parts[i].as_bytes();
            let mut j = 0;
            while j < part.len() {
                out[at] = part[j];
                at += 1;
                j += 1;
            }
            i += 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::{__private as private, Entry, Make, Role, linked};
    use bursar_interface::{Fault, Metric, Sample, Time};

    struct Nothing;
    impl Metric for Nothing {
        fn collect(&mut self, _: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
            Ok(())
        }
    }

    #[test]
    fn the_parts_of_a_manifest_are_joined_as_they_are() {
        let parts = ["{\"id\":\"", "best-fit", "\"}"];
        let joined = private::join::<{ 7 + 8 + 2 }>(&parts);
        assert_eq!(private::total(&parts), joined.len());
        assert_eq!(joined, *b"{\"id\":\"best-fit\"}");
    }

    #[test]
    fn an_entry_is_what_it_was_made_of() {
        let entry = Entry::new("none", "tests", "1.0.0", b"{}", Make::Metric(|_| Ok(Box::new(Nothing))));
        assert_eq!(
            (entry.id, entry.library, entry.version, entry.make.role()),
            ("none", "tests", "1.0.0", Role::Metric)
        );
        assert_eq!(entry.manifest, b"{}");
        assert_eq!(linked().count(), 0, "nothing is linked into the sdk itself");
    }
}
