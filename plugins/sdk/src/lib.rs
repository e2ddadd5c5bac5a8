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
pub use bursar_sdk_macros::plugin;

mod bridge;
mod config;
mod entry;
mod guard;
mod root;
mod shim;

pub use config::Config;
pub use entry::{Entry, Make, linked};

/// What a plugin crate usually needs.
pub mod prelude {
    pub use crate::{
        Allocator, Amount, Config, Driver, Fault, Lease, Metric, NONE, Plan, Proof, Qos, Rank, Resource,
        ResourceSpec, Row, Sample, Shape, Supply, Time, View, plugin,
    };
    pub use tracing;
}

#[doc(hidden)]
pub mod __private {
    pub use bursar_abi::ABI_VERSION;
    pub use inventory;

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
