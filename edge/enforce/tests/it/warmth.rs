//! The way into control groups is kept warm for a moment, and an idle daemon does nothing for it.
use crate::hierarchy;
use bursar_enforce::{STIR_EVERY, Warmth};
use std::time::{Duration, Instant};

#[test]
fn it_is_kept_warm_for_a_moment_only() {
    let hierarchy = hierarchy("warmth");
    if !hierarchy.grouped() {
        eprintln!("skipped: no control groups here");
        return;
    }
    let place = || std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
    let (before, mut warmth) = (place(), Warmth::new(hierarchy.clone()));
    warmth.stir();
    assert!(!warmth.is_warm(), "nobody came");
    warmth.attached();
    assert!(warmth.is_warm());
    let since = Instant::now();
    while warmth.is_warm() {
        assert!(since.elapsed() < Duration::from_secs(20), "it never cools down");
        std::thread::sleep(STIR_EVERY);
        warmth.stir();
    }
    assert!(since.elapsed() > Duration::from_millis(900));
    assert_eq!(place(), before, "nobody was moved anywhere");
    hierarchy.remove();
}
