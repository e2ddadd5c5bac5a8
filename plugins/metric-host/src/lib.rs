//! Metric plugin: memory, load and pressure of this host.
