//! Kinds, drivers and metrics that lie, stick, look where they should not, or know nothing.
use crate::escape::flee;
use bursar_sdk::{ClaimId, prelude::*};
use std::{collections::BTreeSet, fs};

/// A metric that looks where it should not.
#[derive(Default)]
pub struct Nosy;

#[plugin(id = "chaos-nosy")]
impl Metric for Nosy {
    fn collect(&mut self, _: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
        let figures = fs::read("/proc/uptime").is_ok();
        Err(Fault::new(format!("figures {figures}; {}", flee().message)))
    }
}

/// A metric that panics.
#[derive(Default)]
pub struct Counts;

#[plugin(id = "chaos-panic")]
impl Metric for Counts {
    fn collect(&mut self, at: Time, _: &mut Vec<Sample>) -> Result<(), Fault> {
        panic!("it is {at}, which is too late")
    }
}

/// A metric that knows nothing, and now and then not even that.
#[derive(Default)]
pub struct Clueless {
    calls: u32,
}

#[plugin(id = "chaos-metric")]
impl Metric for Clueless {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        self.calls += 1;
        samples.push(Sample { name: "clue".into(), at, value: None });
        if self.calls.is_multiple_of(2) { Err(Fault::new("no idea")) } else { Ok(()) }
    }
}

fn sticky(name: &str, step: Amount) -> ResourceSpec {
    ResourceSpec {
        name: name.into(),
        shape: Shape::Unit,
        unit: "pieces".into(),
        min: step.min(1),
        step,
        piece: 0,
        springs: 0,
        driven: true,
    }
}

/// A kind that cannot be described.
#[derive(Default)]
pub struct Nameless;

#[plugin(id = "chaos-panic")]
impl Resource for Nameless {
    fn spec(&self) -> ResourceSpec {
        panic!("what am I?")
    }
}

/// A kind that cannot be written down, nor counted.
#[derive(Default)]
pub struct Odd;

#[plugin(id = "chaos-odd")]
impl Resource for Odd {
    fn spec(&self) -> ResourceSpec {
        sticky("a=b c", 0)
    }
}

/// A kind whose driver does not let go at first.
#[derive(Default)]
pub struct Sticky;

#[plugin(id = "sticky")]
impl Resource for Sticky {
    fn spec(&self) -> ResourceSpec {
        sticky("sticky", 1)
    }
}

/// What the sticky driver holds of an earlier life, for a claim that nobody knows any more.
const LEFT: ClaimId = ClaimId(4_000_000);

/// Fails to prove the first return of each lease, and panics over a lease of three. At first it holds something for
/// nobody, and something for a claim that is gone.
pub struct StickyDriver {
    tried: BTreeSet<ClaimId>,
    left: bool,
    spare: Amount,
}

impl Default for StickyDriver {
    fn default() -> StickyDriver {
        StickyDriver { tried: BTreeSet::new(), left: true, spare: 2 }
    }
}

#[plugin(id = "sticky")]
impl Driver for StickyDriver {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        Ok(vec![Supply { resource: "sticky".into(), pool: "sticky".into(), capacity: 4, labels: Vec::new() }])
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        match lease.lines.iter().map(|line| line.amount).sum::<Amount>() {
            3 => panic!("three is a crowd"),
            4 => Err(Fault::new("four is too many")),
            _ => Ok(()),
        }
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        match self.tried.insert(lease.claim) {
            true => Err(Fault::new("it sticks")),
            false => {
                self.left &= lease.claim != LEFT;
                Ok(Proof { evidence: "it let go at the second try".into() })
            }
        }
    }

    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        let given = if pool == "sticky" { amount.min(self.spare).min(1) } else { 0 };
        self.spare -= given;
        Ok(given)
    }

    fn holdings(&mut self) -> Result<Vec<Holding>, Fault> {
        let holding = |claim, used| Holding { claim, resource: "sticky".into(), pool: "sticky".into(), used };
        let left = self.left.then(|| holding(LEFT, None));
        let spare = (self.spare > 0).then(|| holding(ClaimId(0), Some(self.spare)));
        Ok(left.into_iter().chain(spare).collect())
    }

    fn environment(&mut self, lease: &Lease) -> Result<Vec<Variable>, Fault> {
        let amount = lease.lines.iter().map(|line| line.amount).sum::<Amount>();
        Ok(vec![Variable { name: "STICKY_PIECES".into(), value: amount.to_string() }])
    }
}
