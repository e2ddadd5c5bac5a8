//! A repeatable world in virtual time that drives the real engine.
