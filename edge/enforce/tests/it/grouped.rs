//! With control groups: limits are the kernel's, and nothing gets away.
use crate::{Ready, eventually, go, hierarchy, identity, shell, take_back};
use bursar_enforce::{Ability, Limits, Strength, Watch};
use bursar_interface::ClaimId;
use std::{os::unix::process::ExitStatusExt, time::Duration};

/// Says what is skipped on a machine without the rights; everything else is tested there too.
macro_rules! need {
    ($hierarchy:expr, $ability:ident) => {
        if $hierarchy.strength(Ability::$ability) != Strength::Hard {
            eprintln!("skipped: no {} here: {:?}", Ability::$ability.name(), $hierarchy.notes());
            return;
        }
    };
}

#[test]
fn memory_over_the_limit_kills_inside_that_lease_only() {
    let hierarchy = hierarchy("memory");
    need!(hierarchy, Memory);
    let limits = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
    let (mut hungry, mut modest) = (hierarchy.cell(ClaimId(1)), hierarchy.cell(ClaimId(2)));
    let mut hog = shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo got it");
    let mut neighbour = shell("sleep 60");
    for (cell, child) in [(&mut hungry, &hog), (&mut modest, &neighbour)] {
        cell.build(limits).expect("a cell");
        cell.join(&identity(child)).expect("joined");
    }
    go(&mut hog);
    go(&mut neighbour);
    let status = hog.wait().expect("ended");
    eventually("the kernel counts the kill", || hungry.oom_kills().is_some_and(|kills| kills > 0));
    assert!(!status.success());
    assert!(hungry.gauge().memory_peak.is_some_and(|peak| peak <= 33 << 20));
    assert_eq!(modest.oom_kills(), Some(0));
    assert!(neighbour.try_wait().expect("a look").is_none(), "the neighbour lives on");
    take_back(hungry, Duration::ZERO);
    take_back(modest, Duration::ZERO);
    assert_eq!(neighbour.wait().expect("ended").signal(), Some(9));
    hierarchy.remove();
}

#[test]
fn a_lease_has_no_more_processes_than_it_holds() {
    let hierarchy = hierarchy("pids");
    need!(hierarchy, Pids);
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(Limits { pids: Some(8), ..Limits::default() }).expect("a cell");
    // A fork bomb, beside two who stay: the shell itself forks no more once it is at its limit, and may be gone then.
    let mut bomb = shell("sleep 60 & sleep 60 & f() { f | f & }; f 2>/dev/null; wait");
    cell.join(&identity(&bomb)).expect("joined");
    go(&mut bomb);
    eventually("it grows to its limit", || cell.members().len() >= 2);
    assert!(cell.members().len() <= 8);
    let evidence = take_back(cell, Duration::from_millis(50));
    assert!(evidence.contains("cell empty"), "{evidence}");
    bomb.wait().expect("ended");
    hierarchy.remove();
}

#[test]
fn a_way_in_that_is_open_puts_nobody_in_before_it_is_taken() {
    let hierarchy = hierarchy("ways");
    need!(hierarchy, Pids);
    let (mut cell, limits) = (hierarchy.cell(ClaimId(1)), Limits { pids: Some(8), ..Limits::default() });
    cell.build(limits).expect("a cell");
    let mut child = shell("sleep 60");
    let lost = cell.open(&identity(&child)).expect("open");
    assert_eq!(cell.members(), Vec::<u32>::new());
    // Somebody took the groups away meanwhile.
    assert!(cell.remove().expect("removed"));
    assert_eq!(cell.enter(lost).expect_err("no way in").kind(), std::io::ErrorKind::NotFound);
    cell.build(limits).expect("a cell");
    let entrance = cell.open(&identity(&child)).expect("open");
    cell.enter(entrance).expect("in");
    assert_eq!(cell.members(), [child.id()]);
    // Whoever has gone by then is not put in, nor whoever has its number.
    let mut late = shell("sleep 60");
    let missed = cell.open(&identity(&late)).expect("open");
    late.kill().expect("killed");
    late.wait().expect("ended");
    assert!(cell.enter(missed).is_err());
    assert_eq!(cell.members(), [child.id()]);
    take_back(cell, Duration::ZERO);
    child.wait().expect("ended");
    hierarchy.remove();
}

#[test]
fn processor_time_is_limited_and_measured() {
    let hierarchy = hierarchy("cpu");
    need!(hierarchy, Cpu);
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(Limits { cpu_milli: Some(100), ..Limits::default() }).expect("a cell");
    let mut busy = shell("while :; do :; done");
    cell.join(&identity(&busy)).expect("joined");
    go(&mut busy);
    std::thread::sleep(Duration::from_millis(1500));
    let used = Duration::from_nanos(cell.gauge().cpu_ns.expect("measured"));
    assert!(
        used > Duration::from_millis(10) && used < Duration::from_millis(600),
        "{used:?} of 1.5 s at a tenth of a core"
    );
    take_back(cell, Duration::ZERO);
    busy.wait().expect("ended");
    hierarchy.remove();
}

#[test]
fn nothing_of_a_tree_gets_away() {
    let hierarchy = hierarchy("tree");
    need!(hierarchy, Kill);
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(Limits::default()).expect("a cell");
    // A double fork into a session of its own, deaf to every polite signal; a stopped one; an orphan.
    let ready = Ready::new("tree");
    let deaf = format!("trap '' TERM HUP INT; {}; while :; do sleep 1; done", ready.say());
    let mut root =
        shell(&format!("setsid sh -c \"({deaf}) & ({deaf}) &\"; sh -c 'kill -STOP $$' & sleep 300 & exit 0"));
    let process = identity(&root);
    let watch = Watch::open(&process);
    cell.join(&process).expect("joined");
    go(&mut root);
    root.wait().expect("ended");
    assert!(watch.gone());
    eventually("they are all there", || cell.members().len() >= 4 && ready.said() >= 2);
    let evidence = take_back(cell.clone(), Duration::from_millis(200));
    assert!(evidence.contains("KILL"), "{evidence}");
    assert!(cell.members().is_empty() && !cell.is_built());
    hierarchy.remove();
}

#[test]
fn those_who_listen_are_only_asked() {
    let hierarchy = hierarchy("polite");
    need!(hierarchy, Kill);
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(Limits::default()).expect("a cell");
    let mut polite = shell("sleep 300");
    cell.join(&identity(&polite)).expect("joined");
    go(&mut polite);
    let waiter = std::thread::spawn(move || polite.wait().expect("ended"));
    let evidence = take_back(cell, Duration::from_secs(10));
    assert!(evidence.contains("empty after TERM"), "{evidence}");
    waiter.join().expect("waited");
    hierarchy.remove();
}

#[test]
fn cells_are_found_again_and_know_their_members() {
    let hierarchy = hierarchy("found");
    need!(hierarchy, Kill);
    let mut cell = hierarchy.cell(ClaimId(77));
    cell.build(Limits::default()).expect("a cell");
    let mut child = shell("sleep 300");
    cell.join(&identity(&child)).expect("joined");
    // As a daemon does that was started again.
    let again = crate::hierarchy("found");
    assert_eq!(again.cells(), [[ClaimId(77)]]);
    assert_eq!(again.holder(child.id()).expect("read"), Some(ClaimId(77)));
    assert_eq!(again.holder(std::process::id()).expect("read"), None);
    // Nobody knows where a process is that cannot be looked at.
    assert!(again.holder(u32::MAX >> 1).is_err());
    assert_eq!(again.cell(ClaimId(77)).members(), [child.id()]);
    assert!(!again.cell(ClaimId(77)).remove().expect("a look"), "somebody is in it");
    take_back(again.cell(ClaimId(77)), Duration::ZERO);
    child.wait().expect("ended");
    assert!(again.cells().is_empty());
    hierarchy.remove();
}

#[test]
fn a_process_that_is_gone_cannot_join() {
    let hierarchy = hierarchy("gone");
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(Limits::default()).expect("a cell");
    let mut child = shell("exit 0");
    let process = identity(&child);
    go(&mut child);
    child.wait().expect("ended");
    assert!(cell.join(&process).expect_err("gone").to_string().contains("gone"));
    assert!(take_back(cell, Duration::ZERO).contains("was empty"));
    hierarchy.remove();
}

#[test]
fn what_this_host_can_do_is_told() {
    let hierarchy = hierarchy("told");
    for ability in Ability::ALL {
        assert!(
            ["ok", "weak", "missing"].contains(&hierarchy.strength(ability).name()),
            "{}",
            ability.name()
        );
    }
    assert_eq!(hierarchy.grouped(), hierarchy.kind() != "none");
    hierarchy.remove();
}

#[test]
fn the_kernel_drops_files_of_a_cell_and_knows_its_soft_limit() {
    let hierarchy = hierarchy("squeeze");
    need!(hierarchy, Memory);
    let mut cell = hierarchy.cell(ClaimId(1));
    let limits = Limits { memory_bytes: Some(128 << 20), memory_soft: Some(64 << 20), ..Limits::default() };
    cell.build(limits).expect("a cell");
    let ready = Ready::new("squeeze");
    let file = tempfile::NamedTempFile::new().expect("a file");
    let write = format!("head -c 32000000 /dev/zero > {}; sync; ", file.path().display());
    let mut writer = shell(&format!("{write}{}; sleep 60", ready.say()));
    cell.join(&identity(&writer)).expect("joined");
    go(&mut writer);
    eventually("it is written", || ready.said() == 1);
    let before = cell.gauge().memory.expect("a group of memory");
    match hierarchy.cannot_drop_files() {
        Some(why) => eprintln!("skipped: {why}"),
        None if before < 16 << 20 => eprintln!("skipped: this disk keeps no files in memory"),
        None => {
            let freed = cell.drop_files(64 << 20).expect("dropped");
            let after = cell.gauge().memory.expect("a group of memory");
            assert!(freed > 8 << 20 && after < before / 2, "{freed} of {before}, {after} are left");
        }
    }
    match (hierarchy.cannot_slow(), cell.slow_above(Some(32 << 20))) {
        (Some(_), Err(error)) => assert_eq!(error.kind(), std::io::ErrorKind::Unsupported),
        (None, slowed) => slowed.and_then(|()| cell.slow_above(None)).expect("slower, and as before"),
        (Some(why), Ok(())) => panic!("{why}, and it can"),
    }
    assert!(writer.try_wait().expect("a look").is_none() && cell.oom_kills() == Some(0));
    take_back(cell, Duration::ZERO);
    writer.wait().expect("ended");
    hierarchy.remove();
}

#[test]
fn a_smaller_limit_takes_nothing_that_is_in_use() {
    let hierarchy = hierarchy("resize");
    need!(hierarchy, Memory);
    need!(hierarchy, Pids);
    let limits =
        |mib: u64, pids| Limits { memory_bytes: Some(mib << 20), pids: Some(pids), ..Limits::default() };
    let mut cell = hierarchy.cell(ClaimId(1));
    cell.build(limits(256, 20)).expect("a cell");
    let ready = Ready::new("resize");
    let fill = "x=$(head -c 48000000 /dev/zero | tr '\\0' x); sleep 60 & sleep 60 & ";
    let mut filled = shell(&format!("{fill}{}; wait", ready.say()));
    cell.join(&identity(&filled)).expect("joined");
    go(&mut filled);
    eventually("it is full", || ready.said() == 1);
    for (to, what) in
        [(limits(8, 20), "memory"), (limits(256, 2), "processes"), (limits(200, 1), "processes")]
    {
        let error = cell.resize(to).expect_err("it is in use");
        assert_eq!(error.kind(), std::io::ErrorKind::ResourceBusy, "{error}");
        assert!(error.to_string().contains(what), "{error}");
        assert_eq!(cell.limits(), limits(256, 20), "what was before is in force");
    }
    cell.resize(limits(300, 30)).expect("more");
    cell.resize(limits(200, 10)).expect("less, and enough");
    assert_eq!(cell.limits(), limits(200, 10));
    assert!(filled.try_wait().expect("a look").is_none() && cell.oom_kills() == Some(0));
    take_back(cell, Duration::ZERO);
    filled.wait().expect("ended");
}

#[test]
fn a_cell_within_another_is_held_to_its_limits_and_goes_with_it() {
    let hierarchy = hierarchy("within");
    need!(hierarchy, Memory);
    let limits = |mebibytes: u64| Limits { memory_bytes: Some(mebibytes << 20), ..Limits::default() };
    let (outer, path) = (ClaimId(1), [ClaimId(1), ClaimId(2)]);
    let (mut around, mut within) = (hierarchy.cell(outer), hierarchy.cell_at(&path));
    around.build(limits(32)).expect("a cell");
    // It asks for nothing of its own, and is limited all the same.
    within.surround(limits(32));
    within.build(Limits::default()).expect("a cell within");
    let mut hog = shell("x=$(head -c 200000000 /dev/zero | tr '\\0' x); echo got it");
    let mut quiet = shell("sleep 60");
    within.join(&identity(&hog)).expect("joined");
    within.join(&identity(&quiet)).expect("joined");
    assert_eq!(hierarchy.holder(quiet.id()).expect("read"), Some(ClaimId(2)), "the innermost");
    assert_eq!(hierarchy.cells(), [vec![outer], path.to_vec()]);
    assert!(around.members().contains(&quiet.id()), "who is within is in");
    go(&mut hog);
    go(&mut quiet);
    assert!(!hog.wait().expect("ended").success(), "the limit around holds for it");
    // What the kernel counted of the one around is of both.
    assert!(around.gauge().memory_peak.is_some_and(|peak| peak > 1 << 20 && peak <= 33 << 20));
    take_back(around, Duration::ZERO);
    assert_eq!(quiet.wait().expect("ended").signal(), Some(9));
    assert!(!within.is_built() && hierarchy.cells().is_empty());
    hierarchy.remove();
}

#[test]
fn groups_that_were_there_before_or_came_with_those_within_go_as_well() {
    let hierarchy = hierarchy("before");
    need!(hierarchy, Memory);
    need!(hierarchy, Pids);
    let memory = Limits { memory_bytes: Some(32 << 20), ..Limits::default() };
    let pids = Limits { pids: Some(64), ..Limits::default() };
    // Somebody who is no more left one under this number, and it had more.
    hierarchy.cell(ClaimId(5)).build(memory).expect("a cell");
    let mut cell = hierarchy.cell(ClaimId(5));
    cell.build(pids).expect("a cell");
    assert!(cell.stands(pids) && !cell.stands(memory));
    assert!(cell.remove().expect("away"));
    assert!(hierarchy.cells().is_empty(), "{:?}", hierarchy.cells());
    let (mut around, mut within) = (hierarchy.cell(ClaimId(6)), hierarchy.cell_at(&[ClaimId(6), ClaimId(7)]));
    around.build(memory).expect("a cell");
    around.enclose();
    within.surround(memory);
    within.build(pids).expect("a cell within");
    assert!(within.remove().expect("away") && around.remove().expect("away"));
    assert!(hierarchy.cells().is_empty(), "{:?}", hierarchy.cells());
    hierarchy.remove();
}
