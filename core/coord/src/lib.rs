//! Remembers who waits for whom: which leases are held by whoever waits for more ([`WaitFor`]), and whether
//! some of them wait for each other in a circle ([`Reduction`]).
//!
//! Only claims that are asked for while something is held are in here: nobody waits for one who holds nothing.
#![forbid(unsafe_code)]

mod reduction;
mod wait_for;

pub use reduction::{Held, Looks, Reduction, Verdict};
pub use wait_for::WaitFor;
