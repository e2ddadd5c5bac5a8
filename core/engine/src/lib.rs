//! Advances the books: [`Engine::step`] asks the plugins and emits events, [`Engine::fold`] folds
//! them.
//!
//! A step takes a batch of inputs at one point in time through *admit → expire → rank → place →
//! check*, and gives the batch back with what was done. State is the fold of batches and nothing
//! else: recovery, followers and replay need no plugin.
#![forbid(unsafe_code)]

mod admit;
mod apply;
mod deadline;
mod engine;
mod explain;
mod feasible;
mod fresh;
mod kept;
mod line;
mod promised;
mod queue;
mod relax;
mod restart;
mod round;
mod seat;
mod serve;
mod shape;
mod sticky;
mod verbs;

pub use engine::Engine;
pub use explain::{Short, Why};
pub use kept::{Closed, ClosedLine};
pub use relax::{Change, Relaxed, Trial};
pub use seat::{Plugins, Seat};
