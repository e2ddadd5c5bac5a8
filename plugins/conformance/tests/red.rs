//! Every check of the kit goes red for a plugin that breaks its rule and no other, and says how to mend it. What
//! only the host sees, `bursar plugin verify` is tried on in its own tests: the library, its schema and its log.
use bursar_conformance::{self as kit, Outcome, Outside, Report, Seen};
use bursar_interface::Role;
use bursar_sdk::{Config, Make};
use chaos as _;
use std::{fs, time::Duration};

/// Checks of an allocator, and who breaks each.
const ALLOCATORS: [(&str, &str); 15] = [
    ("made", "chaos-unborn"),
    ("lawful", "chaos-lie"),
    ("determinism", "chaos-waver"),
    ("fresh = warmed", "chaos-stale"),
    ("empty world", "chaos-needy"),
    ("permutation", "chaos-row"),
    ("full world", "chaos-proud"),
    ("huge world", "chaos-narrow"),
    ("deadline", "chaos-plod"),
    ("endurance", "chaos-tire"),
    ("memory", "chaos-leak"),
    ("threads", "chaos-brood"),
    ("files", "chaos-open"),
    ("log", "chaos-flood"),
    ("cancel", "chaos-linger"),
];
/// Calls over which each is watched.
const CALLS: u64 = 300;
/// How long the huge world may take here, in a build for debugging on a busy machine.
const DEADLINE: Duration = Duration::from_millis(390);

/// What this process uses, in which the plugin lives; lines of log are those that its plugin wrote.
fn seen() -> Option<Seen> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let anonymous = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let memory_bytes = anonymous.split_whitespace().next()?.parse::<u64>().ok()? * 1024;
    let entries = |of: &str| fs::read_dir(format!("/proc/self/{of}")).map(|all| all.count() as u64).ok();
    Some(Seen { memory_bytes, threads: entries("task")?, files: entries("fd")?, lines: log::lines() })
}

/// Counts lines of log.
mod log {
    use std::sync::atomic::{AtomicU64, Ordering};
    use tracing::{Event, Metadata, Subscriber, span};

    static LINES: AtomicU64 = AtomicU64::new(0);

    pub(crate) fn lines() -> u64 {
        LINES.load(Ordering::Relaxed)
    }

    pub(crate) struct Counts;
    impl Subscriber for Counts {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, _: &Event<'_>) {
            LINES.fetch_add(1, Ordering::Relaxed);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }
}

fn report(id: &str) -> Report {
    let config = Config::default();
    // One that cannot be made cannot be watched.
    let outside = Outside { calls: CALLS, deadline: DEADLINE, seen: &seen };
    let outside = Some(&outside).filter(|_| id != "chaos-unborn");
    let entry = bursar_sdk::linked().find(|entry| entry.id == id && entry.make.role() == Role::Allocator);
    match entry.expect("there").make {
        Make::Allocator(make) => kit::allocator_report(&|| make(&config).expect("makes"), outside),
        _ => unreachable!("its role was asked for"),
    }
}

#[test]
fn every_check_goes_red_for_who_breaks_its_rule() {
    tracing::subscriber::set_global_default(log::Counts).expect("the first");
    std::panic::set_hook(Box::new(|_| {}));
    let mut green = Vec::new();
    for (check, id) in ALLOCATORS {
        let report = report(id);
        let failed = report.checks.iter().find(|found| found.name == check);
        match failed.map(|found| &found.outcome) {
            Some(Outcome::Failed { what, mend }) if !mend.is_empty() => {
                println!("{check:<15} {id:<13} {what} ({mend})")
            }
            other => green.push(format!("{check} by {id}: {other:?}")),
        }
    }
    assert!(green.is_empty(), "{green:#?}");
    let sound = report("chaos-good");
    assert_eq!(sound.verdict(), Ok(()), "whoever breaks none passes them all");
    let named: Vec<&str> = sound.checks.iter().map(|check| check.name).collect();
    let tried: Vec<&str> = ALLOCATORS.iter().map(|(check, _)| *check).collect();
    assert_eq!(named, tried, "a check that nobody breaks here is not known to work");
}
