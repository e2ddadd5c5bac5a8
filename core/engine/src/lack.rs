//! What those who wait are short of, as far as it can be told: groups are parked by it.
use bursar_interface::{Amount, Row};

/// What a group was short of, and how much of it, rounded to a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// Nothing yet: it is to be tried.
    Nothing,
    /// Of a kind, so much.
    Kind(Row, u32),
    /// Of room in a ledger, so much.
    Ledger(Row, u32),
    /// Enough is there of all, and still it does not fit.
    Together,
    /// Of room in the lease around it.
    Within,
    /// It would fit, but for what is kept for the head.
    Behind,
    /// It was tried in this round, and is parked when that ends.
    Tried,
}

impl Lack {
    /// Short of `asked` of a kind.
    pub(crate) fn kind(resource: Row, asked: Amount) -> Lack {
        Lack::Kind(resource, asked.max(1).ilog2())
    }

    /// Short of room for `asked` in a ledger.
    pub(crate) fn ledger(quota: Row, asked: Amount) -> Lack {
        Lack::Ledger(quota, asked.max(1).ilog2())
    }
}
