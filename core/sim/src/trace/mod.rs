//! Traces of the field, from text.
pub mod openb;
