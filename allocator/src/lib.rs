//! Decides where: the fits, and the index that keeps them from scanning all nodes.
#![forbid(unsafe_code)]

pub mod fit;
mod index;
mod shape;
mod tree;
