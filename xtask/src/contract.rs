//! The HTTP API against its own description: schemathesis makes requests from the OpenAPI document, sound and unsound
//! ones, and a real daemon must answer each as the document says, and none with an error of its own.
use crate::{demo::Daemon, plugins, step};
use anyhow::{Context, Result, ensure};
use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::Command,
};

/// What pip installs, by exact version.
const WANTED: &str = "xtask/contract/requirements.txt";
/// Requests that are made up for each operation, besides those that the description itself leads to.
const EXAMPLES: &str = "8";
/// What the made-up begins with.
const SEED: &str = "42";
/// What is not looked for: whether a sound document is granted is up to what there is, and what is not there is
/// answered by a status of its own.
const NOT_LOOKED_FOR: &str = "positive_data_acceptance";

/// Runs all of it; says what it skipped where there is no Python.
///
/// # Errors
/// When an answer is not as described, or the daemon did not survive.
pub fn run() -> Result<()> {
    let target = plugins::target();
    let Some(program) = install(&target)? else { return Ok(()) };
    step::run(step::cargo(&["build", "--quiet", "--package", "bursar"]))?;
    let scratch = tempfile::Builder::new().prefix("bursar-contract-").tempdir()?;
    // Free when it was asked for; what takes it meanwhile makes the daemon say so.
    let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let bursar = target.join("debug/bursar");
    let daemon = Daemon::start_with(&bursar, scratch.path(), &[Path::new("--http"), Path::new(&address)])?;
    let token = fs::read_to_string(scratch.path().join("state/http-token")).context("the daemon's token")?;
    let mut command = step::command(&program.to_string_lossy(), &["run", "--checks", "all"]);
    command.args(["--exclude-checks", NOT_LOOKED_FOR, "--max-examples", EXAMPLES, "--seed", SEED]);
    command.args(["--phases", "examples,coverage,fuzzing,stateful", "--request-timeout", "20", "--no-color"]);
    command.args(["--generation-database", "none", "--warnings", "off", "--continue-on-failure"]);
    command.arg("--header").arg(format!("Authorization: Bearer {}", token.trim()));
    command.arg(format!("http://{address}/v1/openapi.json")).current_dir(scratch.path());
    let tested = step::run(command);
    let log = fs::read_to_string(scratch.path().join("log")).unwrap_or_default();
    ensure!(!log.contains("panicked"), "the daemon panicked:\n{log}");
    daemon.stop()?;
    tested
}

/// The program, in an environment of its own.
fn install(target: &Path) -> Result<Option<PathBuf>> {
    if !step::has("python3", &["-m", "venv", "--help"]) {
        eprintln!("skipped: schemathesis, because there is no python3 with venv");
        return Ok(None);
    }
    let folder = target.join("contract");
    let wanted = fs::read(step::root().join(WANTED))?;
    // What is wanted is written last, so that one that was interrupted begins again.
    if fs::read(folder.join("installed.txt")).ok().as_ref() != Some(&wanted) {
        let pip = folder.join("bin/pip");
        let installed = step::run(step::command("python3", &["-m", "venv", &folder.to_string_lossy()]))
            .and_then(|()| step::run(wheels(&pip)));
        if let Err(error) = installed {
            eprintln!("skipped: schemathesis cannot be installed: {error:#}");
            return Ok(None);
        }
        fs::write(folder.join("installed.txt"), &wanted)?;
    }
    Ok(Some(folder.join("bin/schemathesis")))
}

fn wheels(pip: &Path) -> Command {
    step::command(
        &pip.to_string_lossy(),
        &["install", "--quiet", "--disable-pip-version-check", "-r", WANTED],
    )
}
