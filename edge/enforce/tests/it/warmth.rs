//! The way into control groups is kept warm for a moment where it has to be, and an idle daemon does nothing for it.
use crate::hierarchy;
use bursar_enforce::{Moves, Warmth};
use std::time::{Duration, Instant};

#[test]
fn it_is_kept_warm_for_a_moment_only() {
    // Nobody has asked for more.
    let hierarchy = hierarchy("warmth");
    if !hierarchy.grouped() {
        eprintln!("skipped: no control groups here");
        return;
    }
    let place = || std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
    let ours = |line: &&str| !line.contains("name=bursar:");
    let place = || place().lines().filter(ours).map(ToOwned::to_owned).collect::<Vec<String>>();
    let (before, mut warmth) = (place(), Warmth::new(hierarchy.clone()));
    warmth.stir();
    assert!(!warmth.is_warm(), "nobody came");
    warmth.attached();
    assert!(warmth.is_warm());
    let since = Instant::now();
    while let Some(due) = warmth.due() {
        assert!(since.elapsed() < Duration::from_secs(20), "it never cools down");
        std::thread::sleep(due);
        warmth.stir();
    }
    assert!(!warmth.is_warm());
    assert!(since.elapsed() > Duration::from_millis(900));
    assert_eq!(place(), before, "nobody was moved anywhere");
    hierarchy.remove();
}

#[test]
fn where_moves_are_quick_there_is_nothing_to_do() {
    let hierarchy = hierarchy("quick").hurried(true);
    if *hierarchy.moves() != Moves::Quick {
        eprintln!("skipped: here they are {:?}", hierarchy.moves());
        return hierarchy.remove();
    }
    let mut warmth = Warmth::new(hierarchy.clone());
    assert!(warmth.is_warm(), "from the first process on");
    warmth.attached();
    assert_eq!(warmth.due(), None);
    hierarchy.remove();
}
