//! What resources and metrics must keep to: bounds that make sense, names that say their unit.
use bursar_interface::{
    ClaimId, Driver, Fault, Fence, Lease, Metric, Resource, Time,
    bound::{AMOUNT_MAX, NAME_BYTES_MAX},
};

/// Units that a sample's name may end in.
const UNITS: [&str; 8] =
    ["_bytes", "_ratio", "_percent", "_seconds", "_total", "_milli", "_load1", "_processes"];

/// Tries a resource.
///
/// # Errors
/// What of its spec makes no sense.
pub fn resource(resource: &dyn Resource) -> Result<(), String> {
    let spec = resource.spec();
    if spec != resource.spec() {
        return Err("asked twice, it says two things".into());
    }
    let sound_name = !spec.name.is_empty()
        && spec.name.len() <= NAME_BYTES_MAX
        && !spec.name.contains([':', '=', '/', ' ']);
    if !sound_name {
        return Err(format!("{:?} cannot be written as KIND=AMOUNT", spec.name));
    }
    if spec.unit.is_empty() || spec.min == 0 || spec.step == 0 || !spec.min.is_multiple_of(spec.step) {
        return Err(format!("{}: unit, min and step do not fit together", spec.name));
    }
    if spec.piece > AMOUNT_MAX || spec.springs > AMOUNT_MAX {
        return Err(format!("{}: more than can be counted", spec.name));
    }
    Ok(())
}

/// Tries a metric.
///
/// # Errors
/// What it said that makes no sense.
pub fn metric(metric: &mut dyn Metric) -> Result<(), String> {
    let mut before: Option<Vec<String>> = None;
    for at in [Time(1), Time(2)] {
        let mut samples = Vec::new();
        metric.collect(at, &mut samples).map_err(|fault| fault.to_string())?;
        if let Some(sample) = samples.iter().find(|sample| sample.at != at) {
            return Err(format!("{} was asked for at {at} and says {}", sample.name, sample.at));
        }
        if let Some(sample) = samples.iter().find(|sample| !has_unit(&sample.name)) {
            return Err(format!("{} does not end in its unit ({})", sample.name, UNITS.join(", ")));
        }
        let names: Vec<String> = samples.into_iter().map(|sample| sample.name).collect();
        if before.as_ref().is_some_and(|before| *before != names) {
            return Err("what cannot be measured is unknown, not left out".into());
        }
        before = Some(names);
    }
    Ok(())
}

/// Whether a name says its unit.
pub(crate) fn has_unit(name: &str) -> bool {
    UNITS.iter().any(|unit| name.ends_with(unit))
}

/// Tries a driver, as far as that can be done without acting on the world more than a look does: a lease of
/// nothing is made true and taken back.
///
/// # Errors
/// What it did that makes no sense.
pub fn driver(driver: &mut dyn Driver) -> Result<(), String> {
    let mut looks = Vec::new();
    for _ in 0..2 {
        let supplies = driver.discover().map_err(|fault| format!("discover: {fault}"))?;
        let mut names: Vec<(String, String)> = Vec::new();
        for supply in &supplies {
            if supply.resource.is_empty() || supply.pool.is_empty() || supply.pool.len() > NAME_BYTES_MAX {
                return Err(format!(
                    "{:?} of {:?} cannot be the name of a pool",
                    supply.pool, supply.resource
                ));
            }
            if supply.capacity > AMOUNT_MAX {
                return Err(format!("{}:{} is more than can be counted", supply.resource, supply.pool));
            }
            names.push((supply.resource.clone(), supply.pool.clone()));
        }
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(format!("{}:{} is there twice", twice[0].0, twice[0].1));
        }
        looks.push(names);
    }
    if looks[0] != looks[1] {
        return Err("asked twice in a row what there is, it says two things".into());
    }
    let nothing = Lease { claim: ClaimId(1), fence: Fence(1), lines: Vec::new(), owner: None };
    let told = |what: &str, fault: Fault| format!("{what} a lease of nothing: {fault}");
    driver.enforce(&nothing).map_err(|fault| told("enforce", fault))?;
    driver.enforce(&nothing).map_err(|fault| told("enforce again, as after a restart,", fault))?;
    driver.release(&nothing).map(drop).map_err(|fault| told("release", fault))
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{ResourceSpec, Sample, Shape, Supply};

    struct Spec(ResourceSpec);
    impl Resource for Spec {
        fn spec(&self) -> ResourceSpec {
            self.0.clone()
        }
    }

    struct Says(fn(Time) -> Sample);
    impl Metric for Says {
        fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
            samples.push((self.0)(at));
            Ok(())
        }
    }

    #[test]
    fn specs_that_make_no_sense_are_named() {
        let sound = ResourceSpec {
            name: "seats".into(),
            shape: Shape::Unit,
            unit: "pieces".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: false,
        };
        assert_eq!(resource(&Spec(sound.clone())), Ok(()));
        assert!(resource(&Spec(ResourceSpec { name: "a=b".into(), ..sound.clone() })).is_err());
        assert!(resource(&Spec(ResourceSpec { min: 0, ..sound.clone() })).is_err());
        assert!(resource(&Spec(ResourceSpec { springs: u64::MAX, ..sound })).is_err());
    }

    /// Finds what a function of the number of looks says.
    struct Finds(fn(u64) -> Vec<(&'static str, u64)>, u64);
    impl Driver for Finds {
        fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
            self.1 += 1;
            let supply = |(pool, capacity): (&str, u64)| Supply {
                resource: "seats".into(),
                pool: pool.into(),
                capacity,
                labels: Vec::new(),
            };
            Ok((self.0)(self.1).into_iter().map(supply).collect())
        }
        fn enforce(&mut self, _: &Lease) -> Result<(), Fault> {
            Ok(())
        }
        fn release(&mut self, _: &Lease) -> Result<bursar_interface::Proof, Fault> {
            Ok(bursar_interface::Proof::default())
        }
    }

    #[test]
    fn supplies_that_make_no_sense_are_named() {
        let tried = |finds| driver(&mut Finds(finds, 0));
        assert_eq!(tried(|_| vec![("a", 1), ("b", 2)]), Ok(()));
        assert!(tried(|_| vec![("a", 1), ("a", 2)]).expect_err("twice").contains("seats:a is there twice"));
        assert!(tried(|_| vec![("a", u64::MAX)]).expect_err("too many").contains("more than can be"));
        assert!(tried(|look| vec![("a", 1), ("b", 1)].split_off(look as usize - 1)).is_err());
    }

    #[test]
    fn samples_that_make_no_sense_are_named() {
        assert_eq!(metric(&mut Says(|at| Sample { name: "heap_bytes".into(), at, value: None })), Ok(()));
        assert!(
            metric(&mut Says(|_| Sample { name: "heap_bytes".into(), at: Time(0), value: None })).is_err()
        );
        assert!(metric(&mut Says(|at| Sample { name: "heap".into(), at, value: None })).is_err());
        assert!(metric(&mut Says(|at| Sample { name: format!("heap{at}_bytes"), at, value: None })).is_err());
    }
}
