//! Decides what samples mean: bounded rings and their windows.
//!
//! Raw samples are never journaled; they stay here, and what they come to is told as inputs.
#![forbid(unsafe_code)]
mod admission;
mod circles;
mod followed;
mod ladder;
mod lasting;
mod leak;
mod level;
mod multiplex;
mod own;
mod pressure;
mod queueing;
mod ring;
mod spread;
mod standing;

pub use admission::{Admission, Supply, worth_telling};
pub use circles::{CircleLimits, Circles};
pub use followed::Followed;
pub use ladder::{Deed, Holder, Ladder, Means, Strain};
pub use lasting::Lasting;
pub use leak::Leak;
pub use level::{Level, Levels, Thresholds};
pub use multiplex::{Multiplex, Share};
pub use own::{Own, OwnUse};
pub use pressure::{Pressure, PressureLimits};
pub use queueing::{Queueing, QueueingLimits};
pub use ring::{Rings, Window};
pub use spread::Spread;
