//! Resource plugin: named locks, shared or exclusive.
