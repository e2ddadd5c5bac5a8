//! Floating licences: a kind of thing, and the driver that checks them out of a licence server and in again.
mod server;

pub use server::Server;

use bursar_sdk::prelude::*;
use std::collections::BTreeSet;

/// The kind: pieces, each product a pool.
#[derive(Default)]
pub struct Licence;

#[plugin(id = "licence")]
impl Resource for Licence {
    fn spec(&self) -> ResourceSpec {
        let (name, unit) = ("licence".into(), "pieces".into());
        ResourceSpec { name, shape: Shape::Unit, unit, min: 1, step: 1, piece: 0, springs: 0, driven: true }
    }
}

/// What an operator may set under `[plugins.config.licence]`.
#[config]
pub struct Settings {
    /// Where the licence server listens.
    pub server: String,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { server: "127.0.0.1:27000".into() }
    }
}

/// Checks licences out for leases.
pub struct Licences {
    server: Server,
    /// Leases that have some, so that what nobody has can be told from it.
    holders: BTreeSet<String>,
}

impl From<Settings> for Licences {
    fn from(settings: Settings) -> Licences {
        Licences { server: Server::at(&settings.server), holders: BTreeSet::new() }
    }
}

/// Who holds a lease's licences at the server. The fence is never used twice, so nor is this.
pub fn holder(lease: &Lease) -> String {
    format!("bursar-{}-{}", lease.claim, lease.fence)
}

#[plugin(id = "licence", config = Settings)]
impl Driver for Licences {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        let products = self.server.products()?.into_iter();
        let supply = |(pool, capacity)| Supply { resource: "licence".into(), pool, capacity, labels: Vec::new() };
        Ok(products.map(supply).collect())
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        let holder = holder(lease);
        self.holders.insert(holder.clone());
        for line in &lease.lines {
            // Who has them already, as after a restart of the daemon, is told the same again.
            self.server.take(&line.pool, line.amount, &holder)?;
            tracing::info!(claim = %lease.claim, product = line.pool, "checked out");
        }
        Ok(())
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        let holder = holder(lease);
        let mut evidence = Vec::new();
        for line in &lease.lines {
            self.server.give(&line.pool, &holder)?;
            // What the server says afterwards is the proof, not that it said yes.
            match self.server.held(&line.pool, &holder)? {
                0 => evidence.push(format!("{} has none of {}", holder, line.pool)),
                left => return Err(Fault::new(format!("{left} of {} are still out", line.pool))),
            }
        }
        self.holders.remove(&holder);
        Ok(Proof { evidence: evidence.join("; ") })
    }

    /// What a daemon that is gone left checked out, and no lease of this one has.
    fn reclaim(&mut self, pool: &str, amount: Amount) -> Result<Amount, Fault> {
        let mut back = 0;
        for (holder, count) in self.server.holders(pool)? {
            let orphan = holder.starts_with("bursar-") && !self.holders.contains(&holder);
            if orphan && back < amount {
                self.server.give(pool, &holder)?;
                back += count;
            }
        }
        Ok(back)
    }
}

#[test]
fn it_passes_the_kit() {
    assert_eq!(bursar_conformance::resource(&Licence), Ok(()));
    let lease = Lease { claim: bursar_sdk::ClaimId(7), fence: bursar_sdk::Fence(9), lines: Vec::new(), owner: None };
    assert_eq!(holder(&lease), "bursar-7-9");
}
