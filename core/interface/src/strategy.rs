//! The strategy interfaces: pure functions of a view, asked on the engine's thread.
use crate::{Fault, Plan, Row, View, bound::RESERVE_AFTER_NS};

/// Who is first. Smaller ranks are served first; equal ones in the order in which they were asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Coarse order: class, starvation tier.
    pub tier: u64,
    /// Fine order within a tier: priority, share.
    pub share: u64,
}

/// What may start before a claim at the head that does not fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Backfill {
    /// Nothing of its tier or below.
    Nothing,
    /// What ends before the head can start, by its own estimate, or leaves what the head will need (EASY:
    /// Lifka 1995; Mu'alem and Feitelson, TPDS 2001).
    #[default]
    Harmless,
    /// Whatever fits.
    Anything,
}

impl Backfill {
    /// Its number beyond the border, from 1.
    pub fn number(self) -> u64 {
        match self {
            Backfill::Nothing => 1,
            Backfill::Harmless => 2,
            Backfill::Anything => 3,
        }
    }

    /// The one with this number.
    pub fn of(number: u64) -> Option<Backfill> {
        [Backfill::Nothing, Backfill::Harmless, Backfill::Anything]
            .into_iter()
            .find(|one| one.number() == number)
    }
}

/// How a line of waiting claims moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Discipline {
    /// How long a claim waits before what is freed accrues to it once it is the first in line, in nanoseconds.
    pub reserve_after_ns: u64,
    /// What may start before it from then on.
    pub backfill: Backfill,
}

impl Default for Discipline {
    fn default() -> Self {
        Discipline { reserve_after_ns: RESERVE_AFTER_NS, backfill: Backfill::default() }
    }
}

/// Decides who is first.
pub trait Qos: Send {
    /// How the line moves while its head waits. Of a plugin of a library it is asked once, when that is made.
    fn discipline(&self) -> Discipline {
        Discipline::default()
    }

    /// Gives `ranks[i]` for the waiting claim `pending[i]`. Asked once when a claim starts to wait.
    ///
    /// # Errors
    /// A [`Fault`] costs a strike; the linked-in default ranks in its place.
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault>;
}

/// Decides where.
pub trait Allocator: Send {
    /// Places claims of `queue`, which is in order of rank, through [`Plan::place`] or
    /// [`Plan::take`]. Claims may be left out: they go on waiting. What an allocator keeps between
    /// calls is a cache of the view: a fresh instance must give the same plan.
    ///
    /// # Errors
    /// A [`Fault`] costs a strike; the linked-in default places in its stead.
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault>;
}
