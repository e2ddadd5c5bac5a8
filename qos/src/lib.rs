//! Decides who is first.
#![forbid(unsafe_code)]

pub mod batch;
pub mod class;
