//! Remembers what exists and who holds it: the books.
//!
//! Only this crate writes the tables. [`Books::check`] is asked before every grant, whoever proposed
//! it, so a strategy can be wrong but never harmful; [`Books::balanced`] adds everything up again.
//!
//! ```
//! use bursar_interface::{PoolSpec, ResourceSpec, Shape};
//! let mut books = bursar_pool::Books::new();
//! books.set_resource(&ResourceSpec {
//!     name: "cpu".into(), shape: Shape::Capacity, unit: "millicores".into(),
//!     min: 1, step: 1, piece: 0, springs: 0, driven: false,
//! });
//! books.set_pool(&PoolSpec { resource: "cpu".into(), name: "cpu".into(), capacity: 2_000, ..PoolSpec::default() });
//! assert!(books.balanced());
//! assert_eq!(books.view().resources.free[0], 2_000);
//! ```
#![forbid(unsafe_code)]

mod alternatives;
mod assured;
mod balance;
mod books;
mod check;
mod demand;
mod digest;
mod lease;
mod lent;
mod meter;
mod names;
mod nest;
mod outstanding;
mod paths;
mod quota;
mod ready;
mod resize;
mod set;
mod share;
mod slice;
mod slots;
mod spend;
mod supply;
mod wanted;

pub use alternatives::SetLens;
pub use books::{Books, Spread};
pub use check::{Placement, Refused};
pub use digest::Digest;
pub use meter::{Flow, Meter};
pub use nest::{Inner, Nested};
pub use resize::Tight;
pub use wanted::Wanted;
