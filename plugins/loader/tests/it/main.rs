//! Real libraries in every home: linked in, inline, in a child.
mod chaos;
mod homes;
mod life;
mod linked;
mod locked;
mod matrix;
mod place;
mod refused;
mod roles;
mod trusted;
mod warm;
mod zoo;

use bursar_builtin as _;
use bursar_interface::Home;
use bursar_loader::{Grant, Loader, Settings};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};
use tempfile::TempDir;

/// How long a strategy in a child may take in these tests: this machine may be busy with others.
const DEADLINE: Duration = Duration::from_millis(200);

/// A loader over `dirs` with a stage of its own.
fn loader(dirs: &[PathBuf], trusted: BTreeSet<String>) -> (Loader, TempDir) {
    loader_within(dirs, trusted, DEADLINE)
}

/// The same with a deadline of its own.
fn loader_within(
    dirs: &[PathBuf],
    trusted: BTreeSet<String>,
    strategy_deadline: Duration,
) -> (Loader, TempDir) {
    let scratch = TempDir::new().expect("a folder");
    let settings = Settings { strategy_deadline, ..settings(dirs, trusted, scratch.path()) };
    (Loader::new(settings).expect("a stage"), scratch)
}

/// Settings with the stage in a folder.
fn settings(dirs: &[PathBuf], trusted: BTreeSet<String>, scratch: &Path) -> Settings {
    Settings {
        dirs: dirs.to_vec(),
        stage: scratch.join("stage"),
        trusted,
        host: (host(), Vec::new()),
        strategy_deadline: DEADLINE,
        call_deadline: Duration::from_secs(2),
        strikes_max: 3,
        quarantine: Duration::from_secs(30),
        pins: Default::default(),
        grants: Default::default(),
    }
}

/// The badly behaved plugins in children, with more than they need.
fn badly_behaved_with(grants: BTreeMap<String, Grant>) -> (Loader, TempDir) {
    let scratch = TempDir::new().expect("a folder");
    let dirs = [bursar_conformance::badly_behaved()];
    let settings = Settings { grants, ..settings(&dirs, BTreeSet::new(), scratch.path()) };
    (Loader::new(settings).expect("a stage"), scratch)
}

/// A loader that puts the shipped plugins into `home`.
fn at_home(home: Home) -> (Loader, TempDir) {
    let shipped = bursar_conformance::first_party();
    match home {
        Home::Linked => loader(&[], BTreeSet::new()),
        Home::Inline => loader(&[shipped], BTreeSet::new()),
        // The list of trust lies beside the libraries: in another folder they are strangers.
        Home::Child => {
            let copy = TempDir::new().expect("a folder");
            copy_libraries(&shipped, copy.path());
            loader(&[copy.keep()], BTreeSet::new())
        }
    }
}

/// The badly behaved plugins, in a child or trusted like the host.
fn badly_behaved(home: Home) -> (Loader, TempDir) {
    badly_behaved_within(home, DEADLINE)
}

/// The same with a deadline of its own.
fn badly_behaved_within(home: Home, deadline: Duration) -> (Loader, TempDir) {
    let folder = bursar_conformance::badly_behaved();
    let library = std::fs::read(folder.join("libchaos.so")).expect("built");
    let trusted = Some(bursar_loader::sha256(&library)).filter(|_| home == Home::Inline);
    loader_within(&[folder], trusted.into_iter().collect(), deadline)
}

fn copy_libraries(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.extension().is_some_and(|end| end == "so") {
            std::fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
}

/// The program that hosts plugins in a child: built beside this test.
fn host() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let profile = test.ancestors().nth(2).expect("a target folder");
    profile.join("examples/host")
}
