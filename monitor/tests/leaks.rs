//! No agent of the published runs is taken for one that leaks: 55 runs of a coding agent, looked at each second
//! (AgentCgroup, arXiv:2602.09345).
use bursar_interface::Time;
use bursar_monitor::Leak;
use std::{collections::BTreeMap, fs::File, io::Read, path::PathBuf};

/// The memory of each run: seconds and bytes. `None` where the traces are not here.
fn runs() -> Option<BTreeMap<u32, Vec<(f64, u64)>>> {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/traces"));
    let folder = std::env::var_os("BURSAR_TRACES").map_or_else(beside, PathBuf::from);
    let path = folder.join("agentcgroup/resources.csv.gz");
    let Ok(file) = File::open(&path) else {
        eprintln!("skipped: no {}; set BURSAR_TRACES to the folder of the traces", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("a table");
    let mut runs: BTreeMap<u32, Vec<(f64, u64)>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let megabytes: f64 = fields[2].parse().expect("megabytes");
        let at = fields[1].parse().expect("seconds");
        runs.entry(fields[0].parse().expect("a run")).or_default().push((at, (megabytes * 1e6) as u64));
    }
    Some(runs)
}

#[test]
fn no_published_run_is_a_leak() {
    let Some(runs) = runs() else { return };
    assert!(runs.len() >= 50, "{} runs", runs.len());
    for (run, looks) in &runs {
        let mut leak = Leak::default();
        for &(seconds, bytes) in looks {
            leak.look(Time((seconds * 1e9) as u64), bytes);
            assert_eq!(leak.slope(), None, "run {run} after {seconds} s");
        }
    }
}

#[test]
fn a_megabyte_a_second_on_top_of_any_of_them_is_told() {
    let Some(runs) = runs() else { return };
    let long = runs.values().filter(|looks| looks.last().is_some_and(|(seconds, _)| *seconds >= 120.0));
    let (mut told, mut all) = (0, 0);
    for looks in long {
        let mut leak = Leak::default();
        all += 1;
        told += u32::from(looks.iter().any(|&(seconds, bytes)| {
            leak.look(Time((seconds * 1e9) as u64), bytes + (seconds * 1e6) as u64);
            leak.slope().is_some()
        }));
    }
    println!("{told} of {all} leaks on top of an agent's work were told");
    assert!(all > 0 && told * 2 >= all, "{told} of {all}");
}
