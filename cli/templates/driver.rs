//! Driver `@NAME@`: says how many there are, hands them out, and proves that they came back.
use bursar_sdk::{ClaimId, prelude::*};
use std::collections::BTreeMap;

/// The kind of thing that is driven: it and its driver have one name.
#[derive(Default)]
struct Kind;

#[plugin(id = "@NAME@")]
impl Resource for Kind {
    fn spec(&self) -> ResourceSpec {
        let (name, unit) = ("@NAME@".into(), "pieces".into());
        ResourceSpec { name, shape: Shape::Unit, unit, min: 1, step: 1, piece: 0, springs: 0, driven: true }
    }
}

/// What an operator may set under `[plugins.config.@NAME@]`.
#[config]
struct Settings {
    /// How many there are.
    count: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { count: 4 }
    }
}

struct @TYPE@ {
    settings: Settings,
    held: BTreeMap<ClaimId, Amount>,
}

impl From<Settings> for @TYPE@ {
    fn from(settings: Settings) -> @TYPE@ {
        @TYPE@ { settings, held: BTreeMap::new() }
    }
}

#[plugin(id = "@NAME@", config = Settings)]
impl Driver for @TYPE@ {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        let (resource, pool) = ("@NAME@".into(), "main".into());
        Ok(vec![Supply { resource, pool, capacity: self.settings.count, labels: Vec::new() }])
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        // Called again after a restart of the daemon: it must not mind.
        self.held.insert(lease.claim, lease.lines.iter().map(|line| line.amount).sum());
        tracing::info!(claim = %lease.claim, "handed out");
        Ok(())
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        // Asked until it succeeds: say only what was seen to be so.
        let amount = self.held.remove(&lease.claim).unwrap_or(0);
        Ok(Proof { evidence: format!("{amount} came back") })
    }
}

#[test]
fn it_passes_the_kit() {
    assert_eq!(bursar_conformance::resource(&Kind), Ok(()));
    assert_eq!(bursar_conformance::driver(&mut @TYPE@::from(Settings::default())), Ok(()));
}
