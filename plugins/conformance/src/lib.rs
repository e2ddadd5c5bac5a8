//! The kit that every plugin must pass.
