//! Badly behaved plugins, for tests: they panic, hang, lie, abort and flood. Never shipped, never linked in.
#![deny(unsafe_code)]
mod beside;
mod both;
mod escape;
mod strategies;
mod talk;
mod world;

pub use beside::*;
pub use both::*;
pub use strategies::*;
pub use talk::*;
pub use world::*;
