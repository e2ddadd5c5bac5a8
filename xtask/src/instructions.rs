//! How many instructions an ask, a release and a grant take, counted by callgrind: the same on every run, so
//! that a tenth more is a change and not the weather; and that a line ten times as long costs hardly more.
use crate::step;
use anyhow::{Context, Result, ensure};
use std::{fmt::Write, fs, path::Path};

/// Where the counts that are agreed on stand.
const AGREED: &str = "core/engine/instructions.txt";
/// Times of the two runs whose difference is counted: what is set up falls out.
const TIMES: [u64; 2] = [1280, 6400];
/// More than this over what is agreed fails, in percent.
const MORE_MAX: u64 = 10;
/// What a grant may cost with ten times as many waiting, in percent: more than the logarithm grows by, and far less
/// than ten times.
const CROWD_MAX: u64 = 130;

/// What is counted: a name, the example that does it, its words before the number of times, and those after it.
type Work = (&'static str, &'static str, &'static [&'static str], &'static str);
const WORKS: [Work; 4] = [
    ("a pair, one claim a step", "pairs", &[], "1"),
    ("a pair, 64 claims a step", "pairs", &[], "64"),
    (FEW, "crowds", &["fair"], "10000"),
    (MANY, "crowds", &["fair"], "100000"),
];
const FEW: &str = "a grant, 10,000 waiting";
const MANY: &str = "a grant, 100,000 waiting";

/// Counts, and compares with what is agreed or, with `update`, agrees on it.
///
/// # Errors
/// When valgrind cannot be had, or a count is too high.
pub fn run(update: bool) -> Result<()> {
    tool()?;
    let examples = ["--example", "pairs", "--example", "crowds"];
    let engine = ["build", "--release", "--quiet", "--package", "bursar-engine"];
    step::run(step::cargo(&[engine.as_slice(), &examples].concat()))?;
    let counts = counted()?;
    let path = step::root().join(AGREED);
    if update {
        return agree(&path, &counts);
    }
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    for (name, count) in &counts {
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")?.parse::<u64>().ok());
        let agreed = line.with_context(|| format!("{AGREED} has no count for {name}"))?;
        println!("instructions: {name}: {count}, {agreed} agreed");
        let most = agreed + agreed * MORE_MAX / 100;
        ensure!(
            *count <= most,
            "{name}: {count} instructions are too many; `cargo xtask instructions --update` agrees to them"
        );
    }
    let of = |wanted: &str| counts.iter().find(|(name, _)| *name == wanted).map_or(0, |(_, count)| *count);
    let (few, many) = (of(FEW), of(MANY));
    ensure!(
        many * 100 <= few * CROWD_MAX,
        "{MANY}: {many} instructions, more than {CROWD_MAX} % of the {few} with 10,000"
    );
    Ok(())
}

/// All counts, side by side: each is the same however busy the machine is.
fn counted() -> Result<Vec<(&'static str, u64)>> {
    let target = step::variable("CARGO_TARGET_DIR").map_or_else(|| step::root().join("target"), Into::into);
    let examples = target.join("release/examples");
    let [few, many] = TIMES;
    std::thread::scope(|scope| {
        let runs = WORKS.map(|(name, example, before, after)| {
            let program = examples.join(example);
            scope.spawn(move || {
                let of = |times| count(&program, before, times, after);
                Ok((name, (of(many)? - of(few)?) / (many - few)))
            })
        });
        runs.into_iter().map(|run| run.join().expect("no panic in a count")).collect()
    })
}

fn tool() -> Result<()> {
    if step::has("valgrind", &["--version"]) {
        return Ok(());
    }
    step::run(step::command("apt-get", &["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends", "valgrind"];
    step::run(step::command("apt-get", &install))
}

fn count(program: &Path, before: &[&str], times: u64, after: &str) -> Result<u64> {
    let mut valgrind =
        step::command("valgrind", &["--tool=callgrind", "--callgrind-out-file=/dev/null", "--log-fd=1"]);
    valgrind.arg(program).args(before).arg(times.to_string()).arg(after);
    let text = step::output(valgrind)?;
    let collected = text.lines().find_map(|line| line.split("Collected : ").nth(1)?.trim().parse().ok());
    collected.with_context(|| format!("valgrind said no count:\n{text}"))
}

fn agree(path: &Path, counts: &[(&str, u64)]) -> Result<()> {
    let mut text = String::from(
        "# Instructions for one ask and one release of four lines, and for one grant in a fair line of\n",
    );
    text += "# 1,000 scopes. Written by `cargo xtask instructions --update`; a tenth more fails.\n";
    for (name, count) in counts {
        writeln!(text, "{name}: {count}")?;
    }
    fs::write(path, &text).with_context(|| path.display().to_string())?;
    print!("{text}");
    Ok(())
}
