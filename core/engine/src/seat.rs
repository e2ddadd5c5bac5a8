//! Who decides: the plugin in each role, and the linked-in default that takes over when it fails.
use bursar_interface::{Allocator, Decider, Home, Qos};
use std::sync::Arc;

/// One role's plugin and its fallback.
pub struct Seat<T: ?Sized> {
    /// Who it is and where it runs: written into every grant.
    pub decider: Arc<Decider>,
    /// The plugin that is asked.
    pub active: Box<T>,
    /// Who takes over after a fault.
    pub fallback_decider: Arc<Decider>,
    /// The linked-in default.
    pub fallback: Box<T>,
}

impl<T: ?Sized> Seat<T> {
    /// A seat with its plugin and its fallback.
    pub fn new(decider: Decider, active: Box<T>, fallback_decider: Decider, fallback: Box<T>) -> Seat<T> {
        Seat { decider: Arc::new(decider), active, fallback_decider: Arc::new(fallback_decider), fallback }
    }

    /// A seat that is held by a linked-in plugin and falls back to a fresh instance of it.
    pub fn linked(id: &str, make: impl Fn() -> Box<T>) -> Seat<T> {
        let decider = Decider { plugin: id.into(), home: Home::Linked };
        Seat::new(decider.clone(), make(), decider, make())
    }

    /// Lets another plugin decide from here on; the fallback stays.
    pub fn swap(&mut self, decider: Decider, plugin: Box<T>) -> Box<T> {
        self.decider = Arc::new(decider);
        std::mem::replace(&mut self.active, plugin)
    }
}

/// The strategies that a step asks.
pub struct Plugins {
    /// Who is first.
    pub qos: Seat<dyn Qos>,
    /// Where.
    pub allocator: Seat<dyn Allocator>,
}
