//! `bursar simulate`: the same engine and the same plugins in virtual time, linked in or loaded.
use crate::daemon::{Told, program, told};
use bursar_conformance::first_party;
use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};
use tempfile::TempDir;

/// A small fleet and a list of pods in the format of the trace, made up by rule.
fn trace(folder: &Path) -> (PathBuf, PathBuf) {
    let mut nodes = String::from("sn,cpu_milli,memory_mib,gpu,model\n");
    for n in 0..120 {
        writeln!(
            nodes,
            "node-{n:04},{},{},{},{}",
            32_000 + n % 3 * 32_000,
            262_144,
            2 + n % 3 * 3,
            ["T4", "P100"][n % 2]
        )
        .expect("text");
    }
    let mut pods = String::from(
        "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n",
    );
    for p in 0..120_u64 {
        let (gpus, milli) = if p % 3 == 0 { (1 + p % 4, 1000) } else { (1, 100 + p * 37 % 800) };
        writeln!(
            pods,
            "pod-{p:04},{},{},{gpus},{milli},,LS,Running,{p},{},{p}",
            2000 + p * 13 % 9000,
            4096 + p * 71 % 30_000,
            p + 100
        )
        .expect("text");
    }
    let paths = (folder.join("nodes.csv"), folder.join("pods.csv"));
    fs::write(&paths.0, nodes).expect("written");
    fs::write(&paths.1, pods).expect("written");
    paths
}

pub(crate) fn simulate(home: &Path, args: &[&str]) -> Told {
    let mut command = Command::new(program());
    command.arg("simulate").args(args).env("HOME", home).env_remove("XDG_STATE_HOME").stdin(Stdio::null());
    told(command)
}

#[test]
fn linked_and_loaded_plugins_decide_alike() {
    let scratch = TempDir::new().expect("a folder");
    let (nodes, pods) = trace(scratch.path());
    let (nodes, pods) = (nodes.display().to_string(), pods.display().to_string());
    let folder = first_party().display().to_string();
    let base = ["--format", "openb", "--trace", &pods, "--nodes", &nodes, "--seeds", "2", "-o", "json"];
    let mut answers = Vec::new();
    for allocator in ["best-fit", "first-fit", "worst-fit"] {
        let args = [&base[..], &["--allocator", allocator]].concat();
        let linked = simulate(scratch.path(), &args).json();
        let loaded = simulate(scratch.path(), &[&args[..], &["--plugins", &folder]].concat()).json();
        assert_eq!((&linked["home"], &loaded["home"]), (&"linked".into(), &"inline".into()));
        for key in ["claims", "granted", "refused", "gpu_allocated_percent"] {
            assert_eq!(linked[key], loaded[key], "{allocator} {key}");
        }
        assert_eq!(linked["faults"], 0);
        answers.push(linked["gpu_allocated_percent"]["130"].as_f64().expect("a figure"));
    }
    assert!(answers.iter().all(|percent| (50.0..=100.0).contains(percent)), "{answers:?}");
    let table = simulate(scratch.path(), &["--trace", &pods, "--nodes", &nodes]);
    assert!(table.code == 0 && table.out.contains("GPU AT 130 %"), "{table:?}");
}

#[test]
fn traces_that_cannot_be_read_are_named() {
    let scratch = TempDir::new().expect("a folder");
    let (nodes, pods) = trace(scratch.path());
    // A list of pods that ends with its header, and a seed that none is above.
    let (none, last) = (scratch.path().join("none.csv"), &u64::MAX.to_string());
    fs::write(&none, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\n").expect("written");
    let gpuless = scratch.path().join("gpuless.csv");
    fs::write(&gpuless, "name,cpu_milli,memory_mib,num_gpu,gpu_milli\npod,1000,1024,0,0\n").expect("written");
    let (none, gpuless) = (none.display().to_string(), gpuless.display().to_string());
    let (nodes, pods) = (nodes.display().to_string(), pods.display().to_string());
    for (args, what) in [
        (&["--trace", "/nowhere.csv", "--nodes", &nodes][..], "/nowhere.csv"),
        (&["--trace", &pods], "--nodes"),
        (&["--trace", &nodes, "--nodes", &nodes], "nodes.csv"),
        (&["--trace", &pods, "--nodes", &pods], "pods.csv"),
        (&["--trace", &pods, "--nodes", &nodes, "--allocator", "quickest"], "quickest"),
        (&["--trace", &pods, "--nodes", &nodes, "--qos", "whim"], "whim"),
        (&["--trace", &pods, "--nodes", &nodes, "--format", "tape"], "tape"),
        (&["--trace", &pods, "--nodes", &nodes, "--protocol", "rlscheduler"], "--format swf"),
        (&["--trace", &none, "--nodes", &nodes], "none.csv: there is no pod in it"),
        (&["--trace", &gpuless, "--nodes", &nodes], "gpuless.csv: there is no pod in it that asks for a gpu"),
        (&["--trace", &pods, "--nodes", &nodes, "--seed", last, "--seeds", "2"], "--seeds 2"),
    ] {
        let told = simulate(scratch.path(), args);
        assert!(told.code == 2 && told.err.contains(what), "{what}: {told:?}");
    }
}

/// A file of the published traces: in the folder BURSAR_TRACES, else beside the repository.
pub(crate) fn published(file: &str) -> Option<String> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/traces");
    let path = std::env::var_os("BURSAR_TRACES").map_or_else(beside, PathBuf::from).join(file);
    if !path.exists() {
        eprintln!("skipped: no {}; set BURSAR_TRACES to the folder of the traces", path.display());
        return None;
    }
    Some(path.display().to_string())
}

/// The published figures, where the trace is there.
#[test]
fn best_fit_allocates_what_the_paper_says() {
    let scratch = TempDir::new().expect("a folder");
    let Some(pods) = published("openb-fgd/openb_pod_list_default.csv") else { return };
    let Some(nodes) = published("openb-fgd/openb_node_list_gpu_node.csv") else { return };
    let answer =
        simulate(scratch.path(), &["--trace", &pods, "--nodes", &nodes, "--seeds", "10", "-o", "json"])
            .json();
    let percent = |at: &str| answer["gpu_allocated_percent"][at].as_f64().expect("a figure");
    assert!((percent("100") - 92.86).abs() < 0.3, "{answer}");
    assert!((percent("130") - 93.08).abs() < 0.3, "{answer}");
}

#[test]
fn queues_that_lend_and_take_back_end_soon_and_nobody_takes_by_turns() {
    let run = |args: &[&str]| {
        told({
            let mut command = Command::new(program());
            command.arg("simulate").args(args).stdin(Stdio::null());
            command
        })
    };
    let report = run(&["--experiment", "kueue-baseline", "-o", "json"]).json();
    assert_eq!(
        (report["finished"].as_u64(), report["loops_broken"].as_u64()),
        (Some(15_000), Some(0)),
        "{report}"
    );
    assert!(report["makespan_ms"].as_u64().is_some_and(|ms| ms <= 80_000), "{report}");
    assert!(report["used_percent"].as_f64().is_some_and(|used| used >= 80.0), "{report}");
    let neither = run(&["--format", "openb"]);
    assert!(neither.code == 2 && neither.err.contains("--trace"), "{neither:?}");
}
