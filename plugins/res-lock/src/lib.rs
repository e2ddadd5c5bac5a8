//! Resource plugin: named locks, shared and exclusive.
//!
//! A lock is a pool that springs from its name: a shared claim takes one piece of it, an exclusive one
//! all of it. Nothing outside the books has to be made true, so there is no driver.
#![deny(unsafe_code)]
use bursar_sdk::prelude::*;

/// How many may share one lock.
pub const SHARERS_MAX: u64 = 1 << 20;

/// Named locks.
#[derive(Default)]
pub struct Lock;

#[plugin(id = "lock")]
impl Resource for Lock {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "lock".into(),
            shape: Shape::Unit,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: SHARERS_MAX,
            driven: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_springs_from_its_name_and_can_be_shared() {
        let spec = Lock.spec();
        assert_eq!((spec.name.as_str(), spec.springs, spec.driven), ("lock", SHARERS_MAX, false));
    }
}
