//! Resource plugin: how fast disks and the network may be used.
//!
//! Nobody can tell how much of either there is, so the config says it. The lease's own cell holds its processes to
//! their `io`; `network` is counted in the books and held by nobody.
#![deny(unsafe_code)]
use bursar_sdk::prelude::*;

fn bytes_a_second(name: &str) -> ResourceSpec {
    ResourceSpec {
        name: name.into(),
        shape: Shape::Capacity,
        unit: "bytes".into(),
        min: 1,
        step: 1,
        piece: 0,
        springs: 0,
        driven: false,
    }
}

/// Bytes a second that are read, and written, of each disk.
#[derive(Default)]
pub struct Io;

#[plugin(id = "io")]
impl Resource for Io {
    fn spec(&self) -> ResourceSpec {
        bytes_a_second("io")
    }
}

/// Bytes a second that are sent and received.
#[derive(Default)]
pub struct Network;

#[plugin(id = "network")]
impl Resource for Network {
    fn spec(&self) -> ResourceSpec {
        bytes_a_second("network")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_capacities_that_nobody_drives() {
        for (spec, name) in [(Io.spec(), "io"), (Network.spec(), "network")] {
            assert_eq!((spec.name.as_str(), spec.shape, spec.driven), (name, Shape::Capacity, false));
        }
    }
}
