//! Resource plugin: what is spent and comes back, tokens and requests all the time, dollars by period.
//!
//! Pools of these kinds are set by an operator: how much, and in which time it comes back. Nothing outside
//! the books has to be made true, so there is no driver.
#![deny(unsafe_code)]
use bursar_sdk::prelude::*;

fn spent(name: &str, shape: Shape, unit: &str) -> ResourceSpec {
    let (name, unit) = (name.into(), unit.into());
    ResourceSpec { name, shape, unit, min: 1, step: 1, piece: 0, springs: 0, driven: false }
}

/// Tokens of a model's provider.
#[derive(Default)]
pub struct Tokens;

#[plugin(id = "tokens")]
impl Resource for Tokens {
    fn spec(&self) -> ResourceSpec {
        spent("tokens", Shape::Rate, "tokens")
    }
}

/// Calls of a model's provider.
#[derive(Default)]
pub struct Requests;

#[plugin(id = "requests")]
impl Resource for Requests {
    fn spec(&self) -> ResourceSpec {
        spent("requests", Shape::Rate, "requests")
    }
}

/// Dollars.
#[derive(Default)]
pub struct Usd;

#[plugin(id = "usd")]
impl Resource for Usd {
    fn spec(&self) -> ResourceSpec {
        spent("usd", Shape::Budget, "micro-dollars")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_come_back_all_the_time_and_dollars_by_period() {
        let shapes = [Tokens.spec(), Requests.spec(), Usd.spec()].map(|spec| (spec.shape, spec.driven));
        assert_eq!(shapes, [(Shape::Rate, false), (Shape::Rate, false), (Shape::Budget, false)]);
    }
}
