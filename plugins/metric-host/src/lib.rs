//! Metric plugin: readings of this host from the kernel.
#![deny(unsafe_code)]
use bursar_enforce::Readings;
use bursar_sdk::prelude::*;

/// Reads the host: processor, load, memory and pressure.
#[derive(Default)]
pub struct HostReadings(Readings);

#[plugin(id = "host")]
impl Metric for HostReadings {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        let readings = self.0.take().into_iter();
        samples.extend(readings.map(|(name, value)| Sample { name: name.into(), at, value }));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_carry_the_time_they_were_asked_for() {
        let (mut readings, mut samples) = (HostReadings::default(), Vec::new());
        readings.collect(Time(5), &mut samples).expect("a host");
        assert!(
            samples.iter().any(|sample| sample.name == "host_memory_total_bytes" && sample.value.is_some())
        );
        assert!(samples.iter().all(|sample| sample.at == Time(5)));
    }
}
