//! Names the plugin crates that are linked in: defaults and fallbacks.
