//! Without control groups: processes are found by mark and parent, sampled, and killed above.
use crate::{Ready, eventually, identity, take_back};
use bursar_enforce::{Ability, Hierarchy, Limits, MARK, Strength, mark};
use bursar_interface::{ClaimId, Fence};
use std::{
    os::unix::net::UnixListener,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Claims of this test process: others may run beside it.
fn claim(number: u64) -> ClaimId {
    ClaimId(u64::from(std::process::id()) << 8 | number)
}

fn marked(claim: ClaimId, script: &str) -> Child {
    let mut command = Command::new("sh");
    command.args(["-c", script]).env(MARK, mark(claim, Fence(1))).stdin(Stdio::null());
    command.spawn().expect("sh")
}

#[test]
fn it_says_what_it_cannot_do() {
    let hierarchy = Hierarchy::weak();
    let strengths = Ability::ALL.map(|ability| hierarchy.strength(ability));
    let weak = Strength::Weak;
    assert_eq!(strengths, [Strength::Missing, weak, weak, Strength::Missing, weak]);
    assert_eq!((hierarchy.kind(), hierarchy.grouped(), hierarchy.notes().len()), ("none", false, 1));
    assert!(hierarchy.cells().is_empty());
}

#[test]
fn what_another_daemon_leased_under_the_same_number_is_left_alone() {
    let (scratch, claim) = (tempfile::tempdir().expect("a folder"), claim(4));
    let at = |name: &str| scratch.path().join(name);
    let _sockets = ["own", "other"].map(|name| UnixListener::bind(at(name)).expect("a socket"));
    std::os::unix::fs::symlink(at("own"), at("link")).expect("linked");
    let sleeper = |socket: PathBuf| {
        let mut command = Command::new("sleep");
        command.arg("300").env(MARK, mark(claim, Fence(1))).env("BURSAR_SOCKET", socket);
        command.stdin(Stdio::null()).spawn().expect("sleep")
    };
    let mut all = [at("own"), at("link"), "own".into(), at("other"), at("gone")].map(sleeper);
    let pids = all.each_ref().map(Child::id);
    let hierarchy = Hierarchy::weak().of(&at("own"));
    let cell = hierarchy.cell(claim);
    eventually("its own are found", || cell.members().len() == 3);
    assert!(cell.members().iter().all(|pid| pids[..3].contains(pid)));
    let held = pids.map(|pid| hierarchy.holder(pid).expect("read").is_some());
    assert_eq!(held, [true, true, true, false, false]);
    all.iter_mut().for_each(|child| child.kill().and_then(|()| child.wait()).map(drop).expect("ended"));
}

#[test]
fn children_that_left_their_parents_are_found_by_their_mark() {
    let (hierarchy, claim) = (Hierarchy::weak(), claim(1));
    let mut cell = hierarchy.cell(claim);
    cell.build(Limits::default()).expect("nothing to build");
    let ready = Ready::new("weak");
    let script =
        format!("(setsid sleep 300 &) ; (trap '' TERM; {}; while :; do sleep 1; done) & wait", ready.say());
    let mut root = marked(claim, &script);
    cell.join(&identity(&root)).expect("remembered");
    eventually("all are found", || cell.members().len() >= 3 && ready.said() > 0);
    assert!(cell.members().into_iter().all(|pid| hierarchy.holder(pid).expect("read") == Some(claim)));
    assert_eq!(hierarchy.holder(std::process::id()).expect("read"), None);
    let waiter = std::thread::spawn(move || root.wait().expect("ended"));
    let evidence = take_back(cell.clone(), Duration::from_millis(200));
    assert!(evidence.contains("KILL"), "{evidence}");
    assert!(cell.members().is_empty());
    waiter.join().expect("waited");
}

#[test]
fn memory_is_sampled_and_acted_on() {
    let (hierarchy, claim) = (Hierarchy::weak(), claim(2));
    let mut cell = hierarchy.cell(claim);
    cell.build(Limits { memory_bytes: Some(24 << 20), ..Limits::default() }).expect("nothing to build");
    let mut hog = marked(claim, "x=$(head -c 60000000 /dev/zero | tr '\\0' x); sleep 300");
    cell.join(&identity(&hog)).expect("remembered");
    eventually("it is found out", || cell.sample());
    hog.wait().expect("ended");
    let usage = cell.gauge();
    assert!(cell.oom_kills().is_some_and(|kills| kills > 0));
    assert!(usage.memory_peak.is_some_and(|peak| peak > 24 << 20));
    assert_eq!(usage.cpu_ns, None, "what cannot be measured is unknown");
    take_back(cell, Duration::ZERO);
}

#[test]
fn processes_are_counted_and_acted_on() {
    let (hierarchy, claim) = (Hierarchy::weak(), claim(3));
    let mut cell = hierarchy.cell(claim);
    cell.build(Limits { pids: Some(3), ..Limits::default() }).expect("nothing to build");
    let mut crowd = marked(claim, "for i in 1 2 3 4 5 6; do sleep 300 & done; wait");
    cell.join(&identity(&crowd)).expect("remembered");
    eventually("it is found out", || cell.sample());
    crowd.wait().expect("ended");
    take_back(cell, Duration::ZERO);
}
