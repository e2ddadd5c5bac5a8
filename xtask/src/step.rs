//! One step of a task: a command that is said, run, and must succeed.
use anyhow::{Context, Result, bail};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Mutex, PoisonError},
};

/// Variables that every further command gets.
static ENVIRONMENT: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());

/// Gives variables to every further command.
pub fn set_environment(variables: impl Iterator<Item = (String, String)>) {
    ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner).extend(variables);
}

/// A variable as further commands see it.
pub fn variable(name: &str) -> Option<String> {
    let given = ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner);
    let given = given.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    given.or_else(|| std::env::var(name).ok())
}

/// The root of the repository.
pub fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.to_path_buf(), Path::to_path_buf)
}

/// A command at the root of the repository.
pub fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    command.envs(ENVIRONMENT.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned());
    command
}

/// Cargo at the root of the repository.
pub fn cargo(args: &[&str]) -> Command {
    command(&std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()), args)
}

/// Says a command and runs it.
pub fn run(mut command: Command) -> Result<()> {
    let said = said(&command);
    eprintln!("→ {said}");
    let status = command.status().with_context(|| said.clone())?;
    if !status.success() {
        bail!("{said}: {status}");
    }
    Ok(())
}

/// Runs a command and returns what it wrote to standard output.
pub fn output(mut command: Command) -> Result<String> {
    let said = said(&command);
    let output = command.stderr(Stdio::inherit()).output().with_context(|| said.clone())?;
    if !output.status.success() {
        bail!("{said}: {}", output.status);
    }
    String::from_utf8(output.stdout).with_context(|| said)
}

/// Whether a program is there and answers to `--version`.
pub fn has(program: &str, args: &[&str]) -> bool {
    let mut command = command(program, args);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
