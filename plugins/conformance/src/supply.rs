//! What resources and metrics must keep to: bounds that make sense, names that say their unit.
use bursar_interface::{
    Metric, Resource, Time,
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
        if let Some(sample) =
            samples.iter().find(|sample| !UNITS.iter().any(|unit| sample.name.ends_with(unit)))
        {
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

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Fault, ResourceSpec, Sample, Shape};

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
