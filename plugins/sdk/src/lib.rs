//! All that a plugin author imports: the interface, #[plugin] and the guards.
