//! Coverage of lines by the tests, child processes and loaded libraries included, and whether it is enough.
use crate::{ci, plugins, step};
use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};

/// The version of the tool that reads the profiles.
const TOOL: &str = "0.9.1";
/// The compiler's own LLVM version, as Debian packages it.
const LLVM: &str = "llvm-22";
/// Rooms that need 95 % of their lines covered, each.
const CORE: [&str; 7] =
    ["core/interface", "core/coord", "core/engine", "core/sim", "pool", "allocator", "qos"];
const CORE_MIN: f64 = 95.0;
/// What all other rooms together need.
const REST_MIN: f64 = 90.0;
/// What is not counted: automation is run, not tested line by line; the chaos plugins exist to fail.
const LEFT_OUT: &str = "(^|/)(xtask|plugins/chaos|examples)/|/(tests|benches|examples)/";

#[derive(Deserialize)]
struct Report {
    data: Vec<Data>,
}
#[derive(Deserialize)]
struct Data {
    files: Vec<File>,
}
#[derive(Deserialize)]
struct File {
    filename: String,
    summary: Counts,
}
#[derive(Deserialize)]
struct Counts {
    lines: Lines,
}
#[derive(Clone, Copy, Default, Deserialize)]
struct Lines {
    count: u64,
    covered: u64,
}

impl Lines {
    fn percent(self) -> f64 {
        100.0 * self.covered as f64 / self.count.max(1) as f64
    }
}

/// Which tests are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tests {
    /// The core's own, which need nothing but the processor: what each change is held to.
    Core,
    /// All, those on the real system included, which takes several times as long.
    All,
}

/// Measures and judges: the core's rooms by the core's own tests, or every room by all tests.
///
/// # Errors
/// When a tool cannot be had, a test fails, or too little is covered.
pub fn run(tests: Tests) -> Result<()> {
    tools()?;
    environment()?;
    step::run(step::cargo(&["llvm-cov", "clean", "--workspace"]))?;
    match tests {
        Tests::Core => {
            let packages = CORE.map(package);
            let chosen: Vec<&str> = packages.iter().flat_map(|name| ["--package", name]).collect();
            ci::runner(&chosen)?;
        }
        Tests::All => {
            plugins::build(true)?;
            ci::runner(&["--workspace"])?;
        }
    }
    let text = step::output(step::cargo(&[
        "llvm-cov",
        "report",
        "--json",
        "--summary-only",
        "--ignore-filename-regex",
        LEFT_OUT,
    ]))?;
    judge(&by_room(&serde_json::from_str(&text)?), tests)
}

/// The package that lives in a room.
fn package(room: &str) -> String {
    format!("bursar-{}", room.rsplit('/').next().unwrap_or(room))
}

/// Installs what is missing.
fn tools() -> Result<()> {
    if !step::has("cargo", &["llvm-cov", "--version"]) {
        step::run(step::cargo(&["install", "cargo-llvm-cov", "--version", TOOL, "--locked"]))?;
    }
    if !Path::new("/usr/bin/llvm-cov-22").exists() {
        step::run(step::command("apt-get", &["update", "--quiet"]))?;
        let install = ["install", "--yes", "--quiet", "--no-install-recommends", LLVM];
        step::run(step::command("apt-get", &install))?;
    }
    Ok(())
}

/// Has everything that is built from here on count what it runs, in a target folder of its own.
fn environment() -> Result<()> {
    let target = step::root().join("target/cover");
    let mut command = step::cargo(&["llvm-cov", "show-env"]);
    let set = [("LLVM_COV", "/usr/bin/llvm-cov-22"), ("LLVM_PROFDATA", "/usr/bin/llvm-profdata-22")];
    command.envs(set).env("CARGO_TARGET_DIR", &target);
    let shown = step::output(command)?;
    let variables = shown.lines().filter_map(|line| {
        let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
        Some((name.to_owned(), value.trim_matches(['\'', '"']).to_owned()))
    });
    let own = set.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let target = ("CARGO_TARGET_DIR".to_owned(), target.display().to_string());
    step::set_environment(variables.chain(own).chain([target]));
    Ok(())
}

fn by_room(report: &Report) -> BTreeMap<String, Lines> {
    let root = step::root().display().to_string() + "/";
    let mut rooms: BTreeMap<String, Lines> = BTreeMap::new();
    for file in report.data.iter().flat_map(|data| &data.files) {
        let Some(name) = file.filename.strip_prefix(&root) else { continue };
        let room = name.split("/src/").next().unwrap_or(name).to_owned();
        let lines = rooms.entry(room).or_default();
        lines.count += file.summary.lines.count;
        lines.covered += file.summary.lines.covered;
    }
    rooms
}

fn judge(rooms: &BTreeMap<String, Lines>, tests: Tests) -> Result<()> {
    let mut rest = Lines::default();
    let mut poor = Vec::new();
    for (room, lines) in rooms {
        let core = CORE.contains(&room.as_str());
        if tests == Tests::Core && !core {
            continue;
        }
        println!("{room:<24} {:>6} of {:>6} lines {:>6.2} %", lines.covered, lines.count, lines.percent());
        if core {
            poor.extend((lines.percent() < CORE_MIN).then(|| format!("{room} needs {CORE_MIN} %")));
        } else {
            rest.count += lines.count;
            rest.covered += lines.covered;
        }
    }
    if tests == Tests::All {
        let (covered, count, percent) = (rest.covered, rest.count, rest.percent());
        println!("{:<24} {covered:>6} of {count:>6} lines {percent:>6.2} %", "all but the core");
        poor.extend((percent < REST_MIN).then(|| format!("the rest needs {REST_MIN} %")));
    }
    let _ = rooms.get("pool").context("nothing was measured")?;
    if poor.is_empty() { Ok(()) } else { bail!("too little is covered: {}", poor.join(", ")) }
}
