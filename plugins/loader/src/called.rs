//! Resources, drivers and metrics behind the border: owned values as JSON, an operation by name.
use bursar_interface::{
    Amount, Driver, Fault, FaultKind, Lease, Metric, Proof, ResourceSpec, Sample, Supply, Time,
};
use serde::{Serialize, de::DeserializeOwned};

use crate::{child::Child, inline::InlineCall};

/// Something that carries out operations, wherever it runs.
pub(crate) enum Called {
    Inline(InlineCall),
    Child(Box<Child>),
}

impl Called {
    fn ask<T: DeserializeOwned>(&mut self, operation: &str, argument: &impl Serialize) -> Result<T, Fault> {
        let nonsense =
            |error: serde_json::Error| Fault::of(FaultKind::Nonsense, format!("{operation}: {error}"));
        let argument = serde_json::to_vec(argument).map_err(nonsense)?;
        let answer = match self {
            Called::Inline(plugin) => plugin.call(operation, &argument)?,
            Called::Child(plugin) => plugin.call(operation, &argument)?,
        };
        serde_json::from_slice(&answer).map_err(nonsense)
    }

    /// What a resource is.
    pub(crate) fn spec(&mut self) -> Result<ResourceSpec, Fault> {
        self.ask("spec", &())
    }
}

impl Driver for Called {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        self.ask("discover", &())
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        self.ask("enforce", lease)
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        self.ask("release", lease)
    }

    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        self.ask("reclaim", &(pool, amount))
    }
}

impl Metric for Called {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        samples.extend(self.ask::<Vec<Sample>>("collect", &at.0)?);
        Ok(())
    }
}
