//! The resource interfaces: the kind itself, and the driver that makes it true at the edge.
use crate::{Amount, ClaimId, Fault, Fence, Holding, LineAsk, Variable};
use serde::{Deserialize, Serialize};

/// How a resource is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u32)]
pub enum Shape {
    /// So much at a time: cpu, memory.
    Capacity = 0,
    /// So much per time: tokens per minute.
    Rate = 1,
    /// So much per period, spent for good: dollars per day.
    Budget = 2,
    /// Things: ports, locks, devices.
    Unit = 3,
}

impl Shape {
    /// The shape of a cell of the resources table.
    pub fn of(cell: u32) -> Shape {
        [Shape::Capacity, Shape::Rate, Shape::Budget].get(cell as usize).copied().unwrap_or(Shape::Unit)
    }
}

/// All that the host must know of a kind: the fit is computed from it, not asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResourceSpec {
    /// Name, as it stands in asks.
    pub name: String,
    /// How it is counted.
    pub shape: Shape,
    /// What one base unit is: `millicores`, `bytes`, `pieces`.
    pub unit: String,
    /// Smallest amount that can be claimed.
    pub min: Amount,
    /// Claims are multiples of this.
    pub step: Amount,
    /// Amounts above this are split into lines of this much, each from one pool: a claim for two
    /// devices of 1000 milli is two lines. 0 for never.
    pub piece: Amount,
    /// Pools of this kind spring into being when they are first named, with this capacity, and go
    /// with their last holder. 0 for never.
    pub springs: Amount,
    /// A driver enforces leases over this kind and proves their return.
    pub driven: bool,
}

impl ResourceSpec {
    /// The lines that one line of an ask comes to: amounts above a piece are several.
    pub fn pieces(&self, line: &LineAsk) -> impl Iterator<Item = Amount> + use<> {
        let piece = if self.piece > 0 { self.piece } else { Amount::MAX };
        let mut left = if line.whole && self.springs > 0 { self.springs } else { line.amount };
        std::iter::from_fn(move || {
            let next = left.min(piece);
            left -= next;
            (next > 0).then_some(next)
        })
    }
}

/// A supply that a driver found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Supply {
    /// Name of the kind.
    pub resource: String,
    /// Name of the pool, unique among the pools of this kind on the node.
    pub pool: String,
    /// How much there is, in base units.
    pub capacity: Amount,
    /// Label terms, as a device's model.
    pub labels: Vec<String>,
}

/// One line of a lease, as a driver sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseLine {
    /// Name of the kind.
    pub resource: String,
    /// Name of the pool it was taken from.
    pub pool: String,
    /// How much, in base units.
    pub amount: Amount,
}

/// A lease, as a driver sees it: only the lines of its own kinds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// The claim.
    pub claim: ClaimId,
    /// Its token.
    pub fence: Fence,
    /// What it holds.
    pub lines: Vec<LeaseLine>,
    /// The user whose processes it is for; `None` for the daemon's own.
    #[serde(default)]
    pub owner: Option<u32>,
}

/// Evidence that something came back: kept with the claim's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// In words: `cgroup empty after 12 ms`, `port 20017 bindable`.
    pub evidence: String,
}

/// A kind of thing. Pure.
pub trait Resource: Send {
    /// What it is.
    fn spec(&self) -> ResourceSpec;
}

/// Makes leases over its kinds true. Called on a thread of its own, one call at a time; a call that
/// takes longer than 2 s is a fault.
pub trait Driver: Send {
    /// What there is on this host.
    ///
    /// # Errors
    /// A [`Fault`] when it cannot be found out; the supplies known before stay.
    fn discover(&mut self) -> Result<Vec<Supply>, Fault>;

    /// Makes a lease true. Called again for leases that outlived a restart: it must not mind.
    ///
    /// # Errors
    /// A [`Fault`] ends the lease.
    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault>;

    /// Takes a lease back and proves it.
    ///
    /// # Errors
    /// A [`Fault`] quarantines what the lease held; the call is repeated until it succeeds.
    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault>;

    /// Gives back up to `amount` of a pool that nobody holds (a cache), and says how much.
    ///
    /// # Errors
    /// A [`Fault`] when it cannot; nothing was given back.
    fn reclaim(&mut self, _pool: &str, _amount: Amount) -> Result<Amount, Fault> {
        Ok(0)
    }

    /// What it holds now, as it finds it in the world, also for leases of an earlier life, and how much of it is
    /// used. Asked every few seconds: what no lease has is released, what is nobody's reclaimed, and a lease that
    /// uses more than it holds is told of. A driver that cannot look says nothing.
    ///
    /// # Errors
    /// A [`Fault`] when it cannot be found out.
    fn holdings(&mut self) -> Result<Vec<Holding>, Fault> {
        Ok(Vec::new())
    }

    /// What the processes of a lease that was made true find in their environment: see [`crate::variables_lawful`].
    ///
    /// # Errors
    /// A [`Fault`] ends the lease.
    fn environment(&mut self, _lease: &Lease) -> Result<Vec<Variable>, Fault> {
        Ok(Vec::new())
    }
}
