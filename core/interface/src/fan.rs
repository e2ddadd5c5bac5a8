//! How far demands may fan out: in depth, in breadth, in number and in time.
use serde::{Deserialize, Serialize};

/// Bounds on what may be asked for at once and in a time; `None` for no bound of this kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOut {
    /// Claims in flight, waiting and granted: of a scope and those below it, or below one outermost lease.
    pub claims: Option<u32>,
    /// Levels of claims below an outermost lease.
    pub depth: Option<u32>,
    /// Claims right below one lease at once.
    pub children: Option<u32>,
    /// Asks in a second that are taken in; as many at once.
    pub asks_per_second: Option<u32>,
}

/// Bounds as they are set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FanOutSpec {
    /// Scope path from the root of the tree; `None` for what agents, who live in a lease, get where no
    /// scope says otherwise.
    pub scope: Option<String>,
    /// The bounds, all of them: what is `None` is not bounded from here on.
    pub limits: FanOut,
}
