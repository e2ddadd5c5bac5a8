//! Advances the books: [`Engine::step`] asks the plugins and emits events, [`Engine::fold`] folds
//! them.
//!
//! A step takes a batch of inputs at one point in time through *admit → expire → rank → place →
//! check*, and gives the batch back with what was done. State is the fold of batches and nothing
//! else: recovery, followers and replay need no plugin.
#![forbid(unsafe_code)]

// What tests are written with is the same for those beside the crate and those in it.
#[cfg(test)]
extern crate self as bursar_engine;

mod admit;
mod alternatives;
mod apply;
mod asked;
mod awaited;
mod barred;
mod blame;
mod circle;
mod crowd;
mod cup;
mod deadline;
mod engine;
mod explain;
mod fan;
mod feasible;
mod flow;
mod fresh;
mod gang;
mod guarantee;
mod heirs;
mod holders;
mod kept;
mod lack;
mod lessened;
mod line;
mod nest;
mod node;
mod operate;
mod outlook;
#[cfg(test)]
#[path = "../tests/plain/mod.rs"]
mod plain;
mod position;
mod preempt;
mod promised;
mod queue;
mod relax;
mod remove;
mod resize;
mod restart;
mod right;
mod room;
mod round;
mod rung;
mod seat;
mod serve;
mod shape;
mod share;
mod soft;
mod squeeze;
mod sticky;
mod suspect;
mod tag;
mod troop;
mod turns;
mod usage;
mod verbs;
mod victims;
#[cfg(test)]
mod work;

pub use blame::{Blame, Cause, Part, Share, Tallied};
pub use engine::Engine;
pub use explain::{Short, Why};
pub use kept::{Closed, ClosedLine, Lacked};
pub use position::Stood;
pub use preempt::Notice;
pub use relax::{Change, Relaxed, Trial};
pub use resize::Resizing;
pub use seat::{Plugins, Seat};
