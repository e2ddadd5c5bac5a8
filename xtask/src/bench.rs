//! Benchmarks, each beside its limit or peer in the same run.
use crate::{plugins, step};
use anyhow::Result;

/// Benches by package and name: PERFORMANCE goals 1 to 12, 15 and 17, what the journal costs alone, and what
/// checking a history costs.
const BENCHES: [(&str, &str); 7] = [
    ("bursar-engine", "engine"),
    ("bursar-engine", "line"),
    ("bursar-sim", "history"),
    ("bursar-journal", "append"),
    ("bursar", "plugin"),
    ("bursar", "daemon"),
    ("bursar", "run"),
];

/// Debian packages of the peers. One that cannot be had is said to be absent by the bench.
const PEERS: [&str; 2] = ["redis-server", "postgresql"];

/// Runs every bench; with `peers` the one beside them instead.
///
/// # Errors
/// When one cannot be run. A goal that is missed is said, and is no failure.
pub fn run(peers: bool) -> Result<()> {
    if peers {
        for package in PEERS {
            let install = ["install", "--yes", "--quiet", "--no-install-recommends", package];
            if let Err(error) = step::run(step::command("apt-get", &install)) {
                eprintln!("{package} is not installed: {error:#}");
            }
        }
        let bench = ["bench", "--quiet", "--package", "bursar", "--bench", "daemon", "--", "--peers"];
        return step::run(step::cargo(&bench));
    }
    let folder = plugins::build(false)?;
    step::set_environment([("BURSAR_PLUGINS".to_owned(), folder.display().to_string())].into_iter());
    for (package, bench) in BENCHES {
        step::run(step::cargo(&["bench", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
