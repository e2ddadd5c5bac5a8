//! Resource and driver plugin: cpu, memory and pids of this host.
//!
//! The kinds are enforced by the lease's own cell, which the host of this plugin keeps; the driver only
//! finds out how much there is.
#![deny(unsafe_code)]
use bursar_enforce::{cpus_milli, memory_bytes, pids};
use bursar_sdk::prelude::*;

/// Memory that is never offered: the larger of this many bytes and a twentieth of all.
const MEMORY_KEPT_MIN: u64 = 256 << 20;

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident, $id:literal, $shape:ident, $unit:literal, $piece:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name;

        #[plugin(id = $id)]
        impl Resource for $name {
            fn spec(&self) -> ResourceSpec {
                ResourceSpec {
                    name: $id.into(),
                    shape: Shape::$shape,
                    unit: $unit.into(),
                    min: 1,
                    step: 1,
                    piece: $piece,
                    springs: 0,
                    driven: false,
                }
            }
        }
    )*};
}

kinds! {
    /// Processor time.
    Cpu, "cpu", Capacity, "millicores", 0;
    /// Memory.
    Memory, "memory", Capacity, "bytes", 0;
    /// Processes and threads.
    Pids, "pids", Capacity, "pieces", 0;
}

/// Finds out what this host has.
#[derive(Default)]
pub struct Host;

#[plugin(id = "host")]
impl Driver for Host {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        let one = |resource: &str, capacity| Supply {
            resource: resource.into(),
            pool: resource.into(),
            capacity,
            labels: Vec::new(),
        };
        let offered_memory = |bytes: u64| bytes.saturating_sub(MEMORY_KEPT_MIN.max(bytes / 20));
        let scalars = [
            cpus_milli().map(|milli| one("cpu", milli)),
            memory_bytes().map(|bytes| one("memory", offered_memory(bytes))),
            pids().map(|pids| one("pids", pids / 4 * 3)),
        ];
        Ok(scalars.into_iter().flatten().collect())
    }

    fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
        Ok(())
    }

    fn release(&mut self, _: &Lease) -> Result<Proof, Fault> {
        Ok(Proof::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_is_found() {
        let supplies = Host.discover().expect("a host");
        let of =
            |kind: &str| supplies.iter().find(|supply| supply.resource == kind).map(|supply| supply.capacity);
        assert!(of("cpu").is_some_and(|milli| milli >= 1000));
        assert!(of("memory").is_some_and(|bytes| bytes > 0 && Some(bytes) < memory_bytes()));
        assert!(of("pids").is_some_and(|pids| pids > 0));
        let lease = Lease {
            claim: bursar_sdk::ClaimId(1),
            fence: bursar_sdk::Fence(1),
            lines: Vec::new(),
            owner: None,
        };
        assert_eq!(Host.enforce(&lease), Ok(()));
        assert_eq!(Host.release(&lease), Ok(Proof::default()));
    }

    #[test]
    fn each_is_counted_in_a_unit_of_its_own() {
        assert_eq!(
            (Cpu.spec().unit, Memory.spec().unit, Pids.spec().unit),
            ("millicores".into(), "bytes".into(), "pieces".into())
        );
    }
}
