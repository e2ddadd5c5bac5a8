//! Decides who is first.
#![forbid(unsafe_code)]

pub mod class;
