//! What is done on a host with v2 alone, on a tree of plain files that stands for the kernel's: which file of which group
//! is written and read, and how. What the kernel makes of it is its own matter, and not proved by this.
use super::*;
use crate::{Dial, Limits};
use bursar_interface::Gauge;
use std::fs;

/// Files of a group as the kernel makes them with it.
const FILES: [(&str, &str); 17] = [
    ("cgroup.controllers", "cpu io memory pids"),
    ("cgroup.subtree_control", ""),
    ("cgroup.procs", ""),
    ("cgroup.events", "populated 1\nfrozen 1\n"),
    ("cgroup.freeze", "0"),
    ("cgroup.kill", ""),
    ("cpu.max", "max 100000"),
    ("cpu.stat", "usage_usec 1500\nuser_usec 1000\n"),
    ("memory.current", "70000\n"),
    ("memory.peak", "90000\n"),
    ("memory.stat", "anon 60000\nfile 10000\n"),
    ("memory.events", "low 0\noom_kill 2\n"),
    ("memory.high", "max"),
    ("memory.low", "0"),
    ("memory.reclaim", ""),
    ("memory.pressure", "some avg10=1.50 avg60=0.00 avg300=0.00 total=9\n"),
    ("io.stat", "8:0 rbytes=10 wbytes=20 rios=1\n"),
];

/// A host with v2 alone; the group of one cell in it, and the one below where its processes live.
struct Host {
    _root: tempfile::TempDir,
    hierarchy: Arc<Hierarchy>,
    cell: PathBuf,
}

impl Host {
    fn new() -> Host {
        let root = tempfile::tempdir().expect("a folder");
        let own = root.path().join("own");
        let ours = own.join("bursar-t");
        let cell = ours.join("lease-7");
        for folder in [&own, &ours, &cell, &cell.join("own")] {
            fs::create_dir_all(folder).expect("made");
            FILES.iter().for_each(|(file, text)| fs::write(folder.join(file), text).expect("written"));
        }
        let mounts = Mounts { v2: Some(own), ..Mounts::default() };
        Host { _root: root, hierarchy: Arc::new(Hierarchy::make(&mounts, "t")), cell }
    }

    fn says(&self, file: &str) -> String {
        fs::read_to_string(self.cell.join(file)).expect("there")
    }
}

#[test]
fn limits_are_written_where_v2_has_them_and_guaranteed_memory_is_spared() {
    let host = Host::new();
    assert_eq!(fs::read_to_string(host.cell.join("../memory.low")).expect("there"), "max");
    let limits = Limits {
        cpu_milli: Some(500),
        memory_bytes: Some(1 << 20),
        memory_soft: Some(1 << 19),
        memory_low: Some(1 << 20),
        pids: Some(9),
        ..Limits::default()
    };
    let mut cell = host.hierarchy.cell(ClaimId(7));
    cell.build(limits).expect("built");
    for (file, text) in [
        ("cpu.max", "50000 100000"),
        ("memory.max", "1048576"),
        ("memory.high", "524288"),
        ("memory.low", "1048576"),
        ("own/memory.low", "1048576"),
        ("pids.max", "9"),
    ] {
        assert_eq!(host.says(file), text, "{file}");
    }
    assert!(Ability::ALL.iter().all(|&ability| host.hierarchy.strength(ability) == Strength::Hard));
    assert_eq!(cell.oom_kills(), Some(2), "of the group in which its processes live");
    cell.resize(Limits { cpu_milli: Some(250), memory_bytes: Some(1 << 21), ..limits }).expect("larger");
    assert_eq!((host.says("cpu.max"), host.says("memory.max")), ("25000 100000".into(), "2097152".into()));
    let smaller = cell.resize(Limits { memory_bytes: Some(60_000), ..limits }).expect_err("it is in use");
    assert!(smaller.to_string().contains("70000"), "{smaller}");
    assert_eq!(host.says("memory.max"), "2097152", "the old limit is in force");
}

#[test]
fn rungs_have_their_v2_forms() {
    let host = Host::new();
    assert_eq!((host.hierarchy.cannot_drop_files(), host.hierarchy.cannot_slow()), (None, None));
    let mut cell = host.hierarchy.cell(ClaimId(7));
    cell.build(Limits { memory_soft: Some(1 << 19), ..Limits::default() }).expect("built");
    cell.drop_files(4096).expect("asked for");
    cell.slow_above(Some(65_536)).expect("slowed");
    assert_eq!((host.says("memory.reclaim"), host.says("memory.high")), ("4096".into(), "65536".into()));
    cell.slow_above(None).expect("as it was asked for");
    assert_eq!(host.says("memory.high"), "524288");
    cell.freeze().expect("frozen");
    assert!(host.says("cgroup.freeze") == "1" && cell.is_frozen());
    cell.thaw().expect("thawed");
    cell.kill();
    assert_eq!((host.says("cgroup.freeze"), host.says("cgroup.kill")), ("0".into(), "1".into()));
}

#[test]
fn what_is_used_is_read_all_over_and_then_only_where_it_moves() {
    let host = Host::new();
    let mut dial = Dial::new(host.hierarchy.cell(ClaimId(7)), true);
    let all = Gauge {
        cpu_ns: Some(1_500_000),
        memory: Some(70_000),
        anonymous: Some(60_000),
        memory_peak: Some(90_000),
        io_read: Some(10),
        io_write: Some(20),
        pids: Some(0),
        memory_pressure_milli: Some(15),
    };
    assert_eq!(dial.look(true), all);
    let write = |file: &str, text: &str| fs::write(host.cell.join(file), text).expect("written");
    write("cpu.stat", "usage_usec 2500\n");
    write("memory.current", "71000\n");
    write("memory.stat", "anon 61000\n");
    write("pids.current", "3\n");
    let fast = dial.look(false);
    // A thousand bytes are not worth a look at what they are.
    assert_eq!(fast, Gauge { cpu_ns: Some(2_500_000), memory: Some(71_000), ..all });
    write("memory.current", "171000\n");
    let moved = Gauge { memory: Some(171_000), anonymous: Some(61_000), memory_peak: Some(171_000), ..fast };
    assert_eq!(dial.look(false), moved);
    let turn = dial.look(true);
    assert_eq!((turn.pids, turn.memory_peak), (Some(3), Some(90_000)), "as the kernel has it");
    fs::remove_dir_all(&host.cell).expect("gone");
    assert_eq!(dial.look(true).memory, None, "what is not there is not known");
}
