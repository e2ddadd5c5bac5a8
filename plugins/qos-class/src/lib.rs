//! Qos plugin: class, then priority, then who came first.
