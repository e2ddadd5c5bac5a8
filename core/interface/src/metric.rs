//! The metric interface: samples of what cannot be read from the books.
use crate::{Fault, Time};
use serde::{Deserialize, Serialize};

/// One measurement. What could not be measured is `None`, never a made-up number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// Name, with its unit last: `host_memory_available_bytes`.
    pub name: String,
    /// When.
    pub at: Time,
    /// The value, or unknown.
    pub value: Option<f64>,
}

/// Measures something. Called on a thread of its own; a call that takes longer than 2 s is a fault.
pub trait Metric: Send {
    /// Appends samples taken at `at`.
    ///
    /// # Errors
    /// A [`Fault`] when nothing could be measured.
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault>;
}
