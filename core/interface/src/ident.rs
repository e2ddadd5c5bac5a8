//! What things are called: identities, rows, amounts and points in time.
use serde::{Deserialize, Serialize};

/// An index into a table's columns. Rows are reused; identities are not.
pub type Row = u32;
/// The row that is no row.
pub const NONE: Row = Row::MAX;
/// A quantity in base units: millicores, bytes, tokens, micro-dollars, pieces.
pub type Amount = u64;

macro_rules! identity {
    ($($(#[$doc:meta])* $name:ident($inner:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub $inner);
        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
    )*};
}

identity! {
    /// A machine. Never reused.
    NodeId(u32);
    /// A supply of one resource. Never reused.
    PoolId(u32);
    /// A level of the demand tree. Never reused.
    ScopeId(u32);
    /// A bound of one scope on one resource. Never reused.
    QuotaId(u32);
    /// A kind of thing; also its row, because kinds are never taken away.
    ResourceId(u32);
    /// A demand from ask to return. Never reused.
    ClaimId(u64);
    /// The token of a lease: one counter for the installation, `start epoch << 40 | n`, so it rises
    /// across restarts, failover and restores.
    Fence(u64);
    /// A point in engine time: nanoseconds of boot time lived through since the journal began.
    Time(u64);
}

impl Time {
    /// A deadline that never comes.
    pub const NEVER: Time = Time(u64::MAX);

    /// This point plus `ns` nanoseconds, stopping at [`Time::NEVER`].
    pub fn after(self, ns: u64) -> Time {
        Time(self.0.saturating_add(ns))
    }
}
