//! Metric `@NAME@`: how long this machine has been up.
use bursar_sdk::prelude::*;

#[derive(Default)]
struct @TYPE@;

#[plugin(id = "@NAME@")]
impl Metric for @TYPE@ {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        let text = std::fs::read_to_string("/proc/uptime").ok();
        // What cannot be measured is unknown, never a made-up number; a name ends in its unit.
        let value = text.and_then(|text| text.split(' ').next()?.parse().ok());
        samples.push(Sample { name: "@LIB@_uptime_seconds".into(), at, value });
        Ok(())
    }
}

#[test]
fn it_passes_the_kit() {
    assert_eq!(bursar_conformance::metric(&mut @TYPE@), Ok(()));
}
