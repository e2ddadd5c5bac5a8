//! The strategy interfaces: pure functions of a view, asked on the engine's thread.
use crate::{Fault, Plan, Row, View};

/// Who is first. Smaller ranks are served first; equal ones in the order in which they were asked.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Coarse order: class, starvation tier.
    pub tier: u64,
    /// Fine order within a tier: priority, share.
    pub share: u64,
}

/// Decides who is first.
pub trait Qos: Send {
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
