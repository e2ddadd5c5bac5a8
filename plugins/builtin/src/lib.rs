//! Names the plugin crates that are linked in: defaults and fallbacks.
//!
//! Whoever depends on this crate and names it finds them through [`bursar_sdk::linked`].
#![forbid(unsafe_code)]
use alloc_fit as _;
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

/// Every plugin that is linked in; calling it keeps the linker from leaving them out.
pub fn entries() -> impl Iterator<Item = &'static bursar_sdk::Entry> {
    bursar_sdk::linked()
}

#[cfg(test)]
mod tests {
    use bursar_sdk::Role;

    #[test]
    fn the_defaults_of_every_role_are_linked_in() {
        let mut ids: Vec<(Role, &str)> =
            super::entries().map(|entry| (entry.make.role(), entry.id)).collect();
        ids.sort();
        let expected = [
            (Role::Resource, "cpu"),
            (Role::Resource, "disk"),
            (Role::Resource, "gpu"),
            (Role::Resource, "io"),
            (Role::Resource, "lock"),
            (Role::Resource, "memory"),
            (Role::Resource, "network"),
            (Role::Resource, "pids"),
            (Role::Resource, "port"),
            (Role::Resource, "requests"),
            (Role::Resource, "tokens"),
            (Role::Resource, "usd"),
            (Role::Driver, "disk"),
            (Role::Driver, "gpu"),
            (Role::Driver, "host"),
            (Role::Driver, "port"),
            (Role::Qos, "class"),
            (Role::Qos, "f1"),
            (Role::Qos, "fcfs"),
            (Role::Qos, "sjf"),
            (Role::Allocator, "best-fit"),
            (Role::Allocator, "first-fit"),
            (Role::Allocator, "worst-fit"),
            (Role::Metric, "gpu"),
            (Role::Metric, "host"),
            (Role::Sharing, "share-exclusive"),
            (Role::Sharing, "share-overcommit"),
            (Role::Sharing, "share-timeslice"),
            (Role::Analyzer, "detect-deadlock"),
            (Role::Analyzer, "detect-pressure"),
            (Role::Analyzer, "detect-queueing"),
        ];
        assert_eq!(ids, expected);
    }
}
