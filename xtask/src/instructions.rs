//! How many instructions a pair of ask and release takes, counted by callgrind: the same on every run, so
//! that a tenth more is a change and not the weather.
use crate::step;
use anyhow::{Context, Result, ensure};
use std::{fmt::Write, fs, path::Path};

/// Where the counts that are agreed on stand.
const AGREED: &str = "core/engine/instructions.txt";
/// Pairs of the two runs whose difference is counted: what is set up falls out.
const PAIRS: [u64; 2] = [1280, 6400];
/// Claims in one step.
const BATCHES: [u64; 2] = [1, 64];
/// More than this over what is agreed fails, in percent.
const MORE_MAX: u64 = 10;

/// Counts, and compares with what is agreed or, with `update`, agrees on it.
///
/// # Errors
/// When valgrind cannot be had, or a count is too high.
pub fn run(update: bool) -> Result<()> {
    tool()?;
    step::run(step::cargo(&[
        "build",
        "--release",
        "--quiet",
        "--package",
        "bursar-engine",
        "--example",
        "pairs",
    ]))?;
    let target = step::variable("CARGO_TARGET_DIR").map_or_else(|| step::root().join("target"), Into::into);
    let program = target.join("release/examples/pairs");
    let counts = BATCHES.map(|batch| per_pair(&program, batch).map(|count| (batch, count)));
    let counts = counts.into_iter().collect::<Result<Vec<_>>>()?;
    let path = step::root().join(AGREED);
    if update {
        return agree(&path, &counts);
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (batch, count) in counts {
        let line = text.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
            let (known, agreed) = line.split_once(' ')?;
            (known == batch.to_string()).then(|| agreed.parse::<u64>().ok())?
        });
        let agreed = line.with_context(|| format!("{AGREED} has no count for {batch} claims a step"))?;
        println!("instructions: {count} a pair at {batch} claims a step, {agreed} agreed");
        let most = agreed + agreed * MORE_MAX / 100;
        ensure!(
            count <= most,
            "{count} instructions a pair are too many; `cargo xtask instructions --update` agrees to them"
        );
    }
    Ok(())
}

fn tool() -> Result<()> {
    if step::has("valgrind", &["--version"]) {
        return Ok(());
    }
    step::run(step::command("apt-get", &["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends", "valgrind"];
    step::run(step::command("apt-get", &install))
}

fn per_pair(program: &Path, batch: u64) -> Result<u64> {
    let [few, many] = PAIRS;
    Ok((count(program, many, batch)? - count(program, few, batch)?) / (many - few))
}

fn count(program: &Path, pairs: u64, batch: u64) -> Result<u64> {
    let program = program.display().to_string();
    let (pairs, batch) = (pairs.to_string(), batch.to_string());
    let args = ["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1", &program, &pairs, &batch];
    let text = step::output(step::command("valgrind", &args))?;
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    collected.with_context(|| format!("valgrind said no count:\n{text}"))
}

fn agree(path: &Path, counts: &[(u64, u64)]) -> Result<()> {
    let mut text =
        String::from("# Claims in one step, and instructions for one ask and one release of four lines.\n");
    text += "# Written by `cargo xtask instructions --update`; a tenth more fails.\n";
    for (batch, count) in counts {
        writeln!(text, "{batch} {count}")?;
    }
    fs::write(path, &text).with_context(|| path.display().to_string())?;
    print!("{text}");
    Ok(())
}
