//! Resource and driver plugin: TCP ports, held until their lease ends and proved free afterwards.
#![deny(unsafe_code)]
use bursar_enforce::{Hold, hold_port, prove_port};
use bursar_sdk::{ClaimId, prelude::*};
use std::collections::BTreeMap;

/// TCP ports of this host.
#[derive(Default)]
pub struct Port;

#[plugin(id = "port")]
impl Resource for Port {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "port".into(),
            shape: Shape::Unit,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 1,
            springs: 1,
            driven: true,
        }
    }
}

/// Which ports are offered to claims that name none.
#[config]
struct Range {
    /// The lowest one.
    first: u16,
    /// The highest one.
    last: u16,
}

impl Default for Range {
    fn default() -> Range {
        Range { first: 20_000, last: 20_063 }
    }
}

/// Holds the ports of leases, so that nobody else gets them by chance.
pub struct Ports {
    range: Range,
    holds: BTreeMap<(ClaimId, u16), Hold>,
}

impl Ports {
    fn new(range: Range) -> Result<Ports, Fault> {
        match range.first > 0 && range.first <= range.last {
            true => Ok(Ports { range, holds: BTreeMap::new() }),
            false => Err(Fault::new(format!(
                "config: first {} to last {} is no range of ports",
                range.first, range.last
            ))),
        }
    }
}

/// The numbers of a lease's ports.
fn numbers(lease: &Lease) -> Result<Vec<u16>, Fault> {
    let lines = lease.lines.iter().filter(|line| line.resource == "port");
    let number = |pool: &str| {
        let port = pool.parse::<u16>().ok().filter(|port| *port > 0);
        port.ok_or_else(|| Fault::new(format!("{pool:?} is no port; write a number from 1 to 65535")))
    };
    lines.map(|line| number(&line.pool)).collect()
}

#[plugin(id = "port", config = Range, new = Ports::new)]
impl Driver for Ports {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        let ours: Vec<u16> = self.holds.keys().map(|(_, port)| *port).collect();
        let usable = |port: &u16| ours.contains(port) || prove_port(*port).is_ok();
        let ports = (self.range.first..=self.range.last).filter(usable);
        let supply = |port: u16| Supply {
            resource: "port".into(),
            pool: port.to_string(),
            capacity: 1,
            labels: Vec::new(),
        };
        Ok(ports.map(supply).collect())
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        for port in numbers(lease)? {
            let key = (lease.claim, port);
            if let std::collections::btree_map::Entry::Vacant(e) = self.holds.entry(key) {
                let hold = hold_port(port).map_err(|error| Fault::new(format!("port {port}: {error}")))?;
                e.insert(hold);
            }
        }
        Ok(())
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        let mut proved = Vec::new();
        // A name that is no port was never held, so there is nothing to prove of it.
        for port in numbers(lease).unwrap_or_default() {
            self.holds.remove(&(lease.claim, port));
            prove_port(port).map_err(|error| Fault::new(format!("port {port} is still in use: {error}")))?;
            proved.push(format!("port {port} bindable"));
        }
        Ok(Proof { evidence: proved.join(", ") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_sdk::{Fence, LeaseLine};
    use std::net::TcpListener;

    fn lease(pool: &str) -> Lease {
        let line = LeaseLine { resource: "port".into(), pool: pool.into(), amount: 1 };
        Lease { claim: ClaimId(7), fence: Fence(1), lines: vec![line], owner: None }
    }

    fn free_port() -> u16 {
        TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("its number").port()
    }

    #[test]
    fn a_port_is_held_released_and_proved() {
        let mut ports = Ports::new(Range::default()).expect("defaults");
        let port = free_port();
        let lease = lease(&port.to_string());
        ports.enforce(&lease).expect("free");
        ports.enforce(&lease).expect("again is fine");
        let server = TcpListener::bind(("127.0.0.1", port)).expect("its holder listens over the hold");
        assert!(ports.release(&lease).expect_err("in use").message.contains("in use"));
        drop(server);
        assert_eq!(ports.release(&lease).expect("free").evidence, format!("port {port} bindable"));
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_not_granted() {
        let taken = TcpListener::bind("0.0.0.0:0").expect("a port");
        let port = taken.local_addr().expect("its number").port();
        let mut ports = Ports::new(Range::default()).expect("defaults");
        assert!(ports.enforce(&lease(&port.to_string())).is_err());
    }

    #[test]
    fn what_is_no_port_is_named() {
        let mut ports = Ports::new(Range::default()).expect("defaults");
        for pool in ["http", "0", "70000"] {
            assert!(ports.enforce(&lease(pool)).expect_err(pool).message.contains(pool));
            assert_eq!(ports.release(&lease(pool)).expect("nothing to prove").evidence, "");
        }
    }

    #[test]
    fn the_range_is_configured_by_name() {
        let read = |text: &str| Config::read(text).and_then(|config| Ports::new(config.parse()?));
        let port = free_port();
        let mut ports = read(&format!(r#"{{"first":{port},"last":{port}}}"#)).expect("a range of one");
        assert_eq!(ports.discover().expect("a look").len(), 1);
        assert!(read(r#"{"frist":1}"#).err().expect("a slip").message.contains("frist"));
        assert!(read(r#"{"first":9,"last":2}"#).err().expect("no range").message.contains("no range"));
        assert_eq!(Port.spec().piece, 1);
    }
}
