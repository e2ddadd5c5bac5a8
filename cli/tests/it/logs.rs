//! `bursar simulate` on logs of batch systems: the published figures, and a log whose figures are plain.
use crate::simulate::{published, simulate};
use bursar_conformance::first_party;
use serde_json::Value;
use std::{
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::Path,
};
use tempfile::TempDir;

/// Jobs in pairs, each job as wide as the machine: the second of a pair waits for the first, and nobody
/// else waits. All run for 100 s.
fn pairs(jobs: usize, header: &str) -> String {
    let mut log = format!("; Version: 2.2\n{header}\n");
    for job in 0..jobs {
        let submit = 1000 + job / 2 * 1000;
        writeln!(log, "{} {submit} -1 100 8 -1 -1 8 120 -1 1 1 1 1 1 1 -1 -1", job + 1).expect("text");
    }
    log
}

fn written(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    match name.ends_with(".gz") {
        false => fs::write(&path, text).expect("written"),
        true => {
            let file = File::create(&path).expect("a file");
            let mut packer = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
            packer.write_all(text.as_bytes()).and_then(|()| packer.finish().map(drop)).expect("written");
        }
    }
    path.display().to_string()
}

fn slowdown(answer: &Value) -> f64 {
    answer["bounded_slowdown"].as_f64().unwrap_or_else(|| panic!("a figure: {answer}"))
}

#[test]
fn a_log_whose_figures_are_plain_comes_out_so_linked_and_loaded_alike() {
    let scratch = TempDir::new().expect("a folder");
    let log = written(scratch.path(), "pairs.swf.gz", &pairs(10_000, "; MaxProcs: 8"));
    let folder = first_party().display().to_string();
    let base = ["--format", "swf", "--trace", &log, "-o", "json"];
    let protocol = [&base[..], &["--protocol", "rlscheduler"]].concat();
    // Pairs have slowdowns 1 and 2. Five sequences begin with the second of a pair and end with the first
    // of one: no second of these waits.
    let (even, odd) = (1.5, 1535.0 / 1024.0);
    for qos in ["fcfs", "sjf", "f1", "fcfs+bf", "sjf+bf", "f1+bf"] {
        let args = [&protocol[..], &["--qos", qos]].concat();
        let linked = simulate(scratch.path(), &args).json();
        let sequences = linked["sequences"].as_array().expect("sequences");
        assert_eq!((sequences.len(), &linked["claims"], &linked["refused"]), (10, &10_240.into(), &0.into()));
        for sequence in sequences {
            let first: u64 = sequence["first_job"].as_str().and_then(|id| id.parse().ok()).expect("digits");
            let expected = if first % 2 == 1 { even } else { odd };
            assert!((slowdown(sequence) - expected).abs() < 1e-12, "{qos}: {sequence}");
        }
        let mean = sequences.iter().map(slowdown).sum::<f64>() / 10.0;
        assert!((slowdown(&linked) - mean).abs() < 1e-12);
        if qos == "f1+bf" {
            let loaded = simulate(scratch.path(), &[&args[..], &["--plugins", &folder]].concat()).json();
            assert_eq!((&linked["home"], &loaded["home"]), (&"linked".into(), &"inline".into()));
            for key in ["claims", "granted", "refused", "faults", "bounded_slowdown", "sequences"] {
                assert_eq!(linked[key], loaded[key], "{key}");
            }
        }
    }
    let whole = simulate(scratch.path(), &[&base[..], &["--qos", "fcfs"]].concat()).json();
    assert_eq!((&whole["granted"], &whole["faults"]), (&10_000.into(), &0.into()));
    assert_eq!((slowdown(&whole), &whole["wait_ms"]), (1.5, &serde_json::json!({"p50": 0, "p99": 100_000})));
    let table = simulate(scratch.path(), &protocol[..protocol.len() - 4]);
    assert!(table.code == 0 && table.out.contains("BOUNDED SLOWDOWN"), "{table:?}");
}

#[test]
fn logs_that_cannot_be_replayed_are_named_with_what_would_be_right() {
    let scratch = TempDir::new().expect("a folder");
    let write = |name: &str, text: &str| written(scratch.path(), name, text);
    let good = write("good.swf", &pairs(10_000, "; MaxProcs: 8"));
    let short = write("short.swf", &pairs(100, "; MaxProcs: 8"));
    let narrow = write("narrow.swf", &pairs(10_000, "; MaxProcs: 7"));
    let nothing = write("nothing.swf", &pairs(10, "; Note: none"));
    let torn = write("torn.swf", "; MaxProcs: 8\n1 2 3\n");
    let packed = write("packed.swf.gz", "; MaxProcs: 8\n1 2 3\n");
    let fake = write("fake.swf", "");
    fs::rename(&fake, scratch.path().join("fake.gz")).expect("renamed");
    let fake = scratch.path().join("fake.gz").display().to_string();
    fs::write(&fake, "not packed").expect("written");
    for (args, what) in [
        (&["--trace", &short, "--protocol", "rlscheduler", "--qos", "f1"][..], "takes 9874"),
        (&["--trace", &narrow, "--protocol", "rlscheduler", "--qos", "f1"], "needs 8 processors"),
        (&["--trace", &narrow, "--qos", "f1"], "needs 8 processors"),
        (&["--trace", &nothing, "--qos", "f1"], "MaxProcs"),
        (&["--trace", &torn, "--qos", "f1"], "line 2: a job has 18 fields"),
        (&["--trace", &packed, "--qos", "f1"], "line 2: a job has 18 fields"),
        (&["--trace", &fake, "--qos", "f1"], "fake.gz"),
        (&["--trace", &good, "--qos", "f1+bf"], "--protocol rlscheduler"),
        (&["--trace", &good, "--qos", "whim", "--protocol", "rlscheduler"], "whim"),
        (&["--trace", &good, "--qos", "whim+bf", "--protocol", "rlscheduler"], "whim"),
        (&["--trace", &good, "--qos", "f1", "--nodes", &good], "--nodes"),
        (&["--trace", &good, "--qos", "f1", "--protocol", "dice"], "dice"),
    ] {
        let told = simulate(scratch.path(), &[&["--format", "swf"], args].concat());
        assert!(told.code == 2 && told.err.contains(what), "{what}: {told:?}");
    }
}

/// The six orders on a published log, to two decimals.
fn comes_out(log: &str, figures: [&str; 6]) {
    let Some(trace) = published(log) else { return };
    let scratch = TempDir::new().expect("a folder");
    for (qos, figure) in ["fcfs", "sjf", "f1", "fcfs+bf", "sjf+bf", "f1+bf"].into_iter().zip(figures) {
        let args = ["--format", "swf", "--trace", &trace, "--protocol", "rlscheduler", "--qos", qos];
        let answer = simulate(scratch.path(), &[&args[..], &["-o", "json"]].concat()).json();
        assert_eq!(format!("{:.2}", slowdown(&answer)), figure, "{log} {qos}");
        assert_eq!((&answer["refused"], &answer["faults"]), (&0.into(), &0.into()));
    }
}

/// As the README of RLScheduler (SC'20) has them.
#[test]
fn the_orders_slow_jobs_down_as_published_for_lublin_1() {
    comes_out(
        "lublin-rlscheduler/lublin_256.swf",
        ["7273.77", "277.35", "258.37", "235.82", "73.31", "75.07"],
    );
}

#[test]
fn the_orders_slow_jobs_down_as_published_for_sdsc_sp2() {
    comes_out(
        "sdsc-sp2/SDSC-SP2-1998-4.2-cln.swf.gz",
        ["1727.54", "2680.55", "1232.06", "1595.12", "2167.84", "1098.22"],
    );
}
