//! Benchmarks, each beside its limit or peer in the same run.
use crate::{plugins, step};
use anyhow::Result;

/// Benches by package and name; PERFORMANCE goals 1, 2, 5 and 7, what the journal costs alone, and what checking a
/// history costs.
const BENCHES: [(&str, &str); 5] = [
    ("bursar-engine", "engine"),
    ("bursar-sim", "history"),
    ("bursar", "plugin"),
    ("bursar-journal", "append"),
    ("bursar", "daemon"),
];

/// Runs every bench.
///
/// # Errors
/// When one cannot be run. A goal that is missed is said, and is no failure.
pub fn run() -> Result<()> {
    let folder = plugins::build(false)?;
    step::set_environment([("BURSAR_PLUGINS".to_owned(), folder.display().to_string())].into_iter());
    for (package, bench) in BENCHES {
        step::run(step::cargo(&["bench", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}
