//! Resources, drivers and metrics behind the border: owned values as JSON, an operation by name. What comes
//! back is looked at before anybody believes it.
use crate::{apart::InlineCall, child::Child};
use bursar_interface::{
    Amount, Driver, Fault, FaultKind, Holding, Lease, Metric, Proof, ResourceSpec, Sample, Supply, Time,
    Variable,
    bound::{AMOUNT_MAX, HOLDINGS_MAX, NAME_BYTES_MAX},
    variables_lawful,
};
use serde::{Serialize, de::DeserializeOwned};

/// The largest answer of an operation, in bytes (8 MiB): what 65,536 pools take to tell of.
pub(crate) const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Bytes of evidence that are kept of a return.
const EVIDENCE_BYTES_MAX: usize = 1024;
/// How a library begins that is asked for what its sdk does not know.
const UNKNOWN_OPERATION: &str = "this plugin has no operation";

/// Something that carries out operations, wherever it runs.
pub(crate) enum Called {
    Inline(InlineCall),
    Child(Box<Child>),
}

impl Called {
    fn ask<T: DeserializeOwned>(
        &mut self,
        operation: &str,
        argument: &impl Serialize,
        look: impl FnOnce(&T) -> Result<(), String>,
    ) -> Result<T, Fault> {
        let argument = serde_json::to_vec(argument).map_err(|error| Fault::new(error.to_string()))?;
        let answer = match self {
            Called::Inline(plugin) => plugin.call(operation, &argument)?,
            Called::Child(plugin) => plugin.call(operation, &argument)?,
        };
        let read = match answer.len() {
            0..=ANSWER_BYTES_MAX => serde_json::from_slice(&answer).map_err(|error| error.to_string()),
            length => Err(format!("it answers with {length} bytes; at most {ANSWER_BYTES_MAX} are taken")),
        };
        let looked = read.and_then(|value| look(&value).map(|()| value));
        looked.map_err(|why| self.nonsense(format!("{operation}: {why}")))
    }

    /// Counts an answer that cannot be.
    fn nonsense(&self, why: String) -> Fault {
        let health = match self {
            Called::Inline(plugin) => &plugin.health,
            Called::Child(plugin) => &plugin.health,
        };
        health.count(Fault::of(FaultKind::Nonsense, why))
    }

    /// What a resource is.
    pub(crate) fn spec(&mut self) -> Result<ResourceSpec, Fault> {
        self.ask("spec", &(), |spec: &ResourceSpec| named("kind", &spec.name))
    }
}

/// Whether a name can be one.
fn named(of: &str, name: &str) -> Result<(), String> {
    match name.len() {
        1..=NAME_BYTES_MAX if !name.contains(char::is_control) => Ok(()),
        length => Err(format!("the name of a {of} has 1 to {NAME_BYTES_MAX} printable bytes, not {length}")),
    }
}

/// Whether a supply can be one.
fn sound(supply: &Supply) -> Result<(), String> {
    named("pool", &supply.pool).and_then(|()| named("kind", &supply.resource))?;
    match supply.capacity {
        0..=AMOUNT_MAX => Ok(()),
        capacity => Err(format!("{} of {}: at most {AMOUNT_MAX} can be counted", capacity, supply.pool)),
    }
}

/// Whether a holding can be one.
fn held(holding: &Holding) -> Result<(), String> {
    named("pool", &holding.pool).and_then(|()| named("kind", &holding.resource))?;
    match holding.used {
        Some(used) if used > AMOUNT_MAX => Err(format!("{used} of {}: at most {AMOUNT_MAX}", holding.pool)),
        _ => Ok(()),
    }
}

/// A library that was built before there was this operation has nothing to say.
fn unless_older<T: Default>(told: Result<T, Fault>) -> Result<T, Fault> {
    match told {
        Err(fault) if fault.message.starts_with(UNKNOWN_OPERATION) => Ok(T::default()),
        told => told,
    }
}

impl Driver for Called {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        self.ask("discover", &(), |all: &Vec<Supply>| all.iter().try_for_each(sound))
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        self.ask("enforce", lease, |()| Ok(()))
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        let Proof { evidence } = self.ask("release", lease, |_| Ok(()))?;
        Ok(Proof { evidence: crate::health::printable(&evidence, EVIDENCE_BYTES_MAX) })
    }

    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        self.ask("reclaim", &(pool, amount), |given: &Amount| match *given <= amount {
            true => Ok(()),
            false => Err(format!("asked for {amount} of {pool} at most, it gives {given}")),
        })
    }

    fn holdings(&mut self) -> Result<Vec<Holding>, Fault> {
        unless_older(self.ask("holdings", &(), |all: &Vec<Holding>| match all.len() {
            0..=HOLDINGS_MAX => all.iter().try_for_each(held),
            many => Err(format!("it says that it holds {many}; at most {HOLDINGS_MAX} are taken")),
        }))
    }

    fn environment(&mut self, lease: &Lease) -> Result<Vec<Variable>, Fault> {
        let kind = lease.lines.first().map_or("", |line| line.resource.as_str()).to_owned();
        unless_older(
            self.ask("environment", lease, |variables: &Vec<Variable>| variables_lawful(&kind, variables)),
        )
    }
}

impl Metric for Called {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        let look = |all: &Vec<Sample>| all.iter().try_for_each(|sample| named("sample", &sample.name));
        samples.extend(self.ask::<Vec<Sample>>("collect", &at.0, look)?);
        Ok(())
    }
}
