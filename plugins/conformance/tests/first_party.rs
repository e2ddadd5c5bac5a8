//! The shipped plugins pass the kit.
use alloc_fit as _;
use bursar_conformance as kit;
use bursar_sdk::{Config, Make};
use detect_deadlock as _;
use detect_pressure as _;
use detect_queueing as _;
use metric_host as _;
use qos_batch as _;
use qos_class as _;
use res_disk as _;
use res_gpu as _;
use res_host as _;
use res_io as _;
use res_lock as _;
use res_meter as _;
use res_port as _;
use share_exclusive as _;
use share_overcommit as _;
use share_timeslice as _;

#[test]
fn every_shipped_plugin_passes() {
    let config = Config::default();
    let mut tried = 0;
    for entry in bursar_sdk::linked() {
        let told = match entry.make {
            Make::Allocator(make) => kit::allocator(&|| make(&config).expect("makes")),
            Make::Qos(make) => kit::qos(&|| make(&config).expect("makes")),
            Make::Resource(make) => kit::resource(&*make(&config).expect("makes")),
            Make::Metric(make) => kit::metric(&mut *make(&config).expect("makes")),
            Make::Sharing(make) => kit::sharing(&|| make(&config).expect("makes")),
            Make::Analyzer(make) => kit::analyzer(&|| make(&config).expect("makes")),
            // Drivers act on the world: they are tried by the tests of the daemon.
            Make::Driver(_) => continue,
        };
        assert_eq!(told, Ok(()), "{} {}", entry.make.role().name(), entry.id);
        tried += 1;
    }
    assert_eq!(tried, 27);
}
