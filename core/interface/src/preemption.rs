//! How what was lent is taken back, and who goes before whom when there is not enough: a policy, told to
//! the engine as an input like all else.
use crate::{ClaimId, LineSize, PoolId, Time, bound::LINES_MAX};
use arrayvec::ArrayVec;
use serde::{Deserialize, Serialize};

/// When leases end before their time for the sake of somebody who waits. The default takes nothing back.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreemptionPolicy {
    /// Whoever waits within its scope's guarantee takes back what others borrowed.
    pub reclaim: bool,
    /// Whoever waits in a better band takes from those in a worse one, unless they are within a guarantee.
    pub by_band: bool,
    /// Between telling a holder and ending its lease, in nanoseconds, by the holder's class.
    pub grace_ns: [u64; 3],
    /// A lease younger than this, in nanoseconds, is left alone.
    pub min_runtime_ns: u64,
    /// Priorities at which a band within a class begins, in any order; none for one band a class.
    pub bands: Vec<u32>,
    /// How long a lease that was made to hold less may go on before it takes the next rung, if that was not
    /// enough, in nanoseconds; 0 where no lease is shrunk.
    pub shrink_ns: u64,
    /// What a shrink leaves of each line at least, in percent of what it held before anything was taken.
    pub shrink_to: u32,
    /// How long a suspended lease may wait for room to go on in before it ends, in nanoseconds; 0 where no
    /// lease is suspended.
    pub suspend_ns: u64,
    /// The kinds of which a frozen process uses nothing: what a suspended lease gives back.
    pub idle: Vec<String>,
}

/// How far the taking back of a lease has come. The last one, that it ends, is a phase of the lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rung {
    /// Its holder was told, and may give back by itself.
    #[default]
    Told,
    /// It holds less than it did.
    Shrunk,
    /// Its processes are frozen, and it holds nothing of what a frozen process does not use.
    Suspended,
}

/// What a lease that goes on held before rungs took some of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lessened {
    /// The lines of which it holds less now, with what they held.
    pub before: Vec<LineSize>,
    /// Where its processes are frozen: when it ends, if there is no room to go on in by then.
    pub frozen_until: Option<Time>,
}

/// Why a lease is to end for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Claimed {
    /// It was lent, and whoever it is guaranteed to wants it.
    Lent,
    /// Somebody of a better band waits.
    Band,
    /// Memory runs short on its machine; it ends for nobody, and `by` is the lease itself.
    Short,
}

/// What somebody who waits is to have, and what is kept for it until then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// Who waits.
    pub claim: ClaimId,
    /// The pool of each of its lines, in order.
    pub pools: ArrayVec<PoolId, LINES_MAX>,
    /// Where it stands: 0 within its guarantee, else its band plus one. Whoever stands before may pass.
    pub standing: u32,
    /// When it is anybody's again, if it could not be had.
    pub until: Time,
}
