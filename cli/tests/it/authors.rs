//! What a stranger does who writes a plugin: begin, build, verify, load into a daemon that runs.
use crate::daemon::{Daemon, Setup, Told, program, told};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

fn new(role: &str, name: &str, path: &Path) -> Told {
    let mut command = Command::new(program());
    command.args(["plugin", "new", role, name, "-o", "json", "--path"]).arg(path);
    told(command)
}

/// Has cargo do something in a crate outside of the workspace. They share one target folder and one lock file,
/// so that what they depend on is built once, and nothing is fetched.
fn cargo(verb: &str, folder: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    fs::copy(root.join("Cargo.lock"), folder.join("Cargo.lock")).expect("copied");
    let mut cargo = Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args([verb, "--quiet", "--offline"]).current_dir(folder);
    let done = told({
        cargo.env("CARGO_TARGET_DIR", target.join("examples-outside"));
        cargo
    });
    assert_eq!(done.code, 0, "cargo {verb} in {}: {done:?}", folder.display());
}

/// Where the library of a crate is after a build.
fn library(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join(format!("examples-outside/debug/lib{}.so", name.replace('-', "_")))
}

/// Builds an example of the repository as a stranger would, and runs its own tests.
pub(crate) fn build_outside(example: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").join(example);
    cargo("test", &folder);
    cargo("build", &folder);
}

/// A file of such a build.
pub(crate) fn built_outside(file: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    target.join("examples-outside/debug").join(file)
}

#[test]
fn a_plugin_of_each_role_is_begun_built_verified_and_loaded() {
    let (crates, folder) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    // Whom the config names for a pool has to be there at the start.
    let roles = ["sharing", "resource", "driver", "qos", "allocator", "metric", "analyzer"];
    let config = "[plugins]\ndeadline-ms = 500\n[plugins.config.my-driver]\ncount = 7\n\
                  [node.capacity]\ncpu = \"2\"\n[node.sharing]\ncpu = \"my-sharing\"\n";
    let setup = || Setup { plugins: vec![folder.path().into()], config: config.into(), ..Setup::default() };
    let mut daemon = None;
    for role in roles {
        let name = format!("my-{role}");
        let path = crates.path().join(&name);
        let begun = new(role, &name, &path);
        assert_eq!((begun.code, begun.json()["id"].as_str()), (0, Some(name.as_str())), "{begun:?}");
        let source = fs::read_to_string(path.join("src/lib.rs")).expect("a source");
        assert!(source.lines().count() <= 75 && !source.contains('@'), "{role}: {source}");
        cargo("test", &path);
        cargo("build", &path);
        let mut verify = Command::new(program());
        verify.args(["plugin", "verify", "--calls", "200", "-o", "json"]).arg(library(&name));
        let verified = told(verify);
        assert_eq!(verified.code, 0, "{role}: {verified:?}");
        let name = library(&name).file_name().expect("a name").to_owned();
        fs::copy(library(&format!("my-{role}")), folder.path().join(name)).expect("copied");
        daemon.get_or_insert_with(|| Daemon::with(setup()));
    }
    let daemon = daemon.expect("started");
    let reloaded = daemon.tell(&["plugin", "reload"]);
    assert_eq!(reloaded.code, 0, "{reloaded:?}");
    for role in ["allocator", "qos"] {
        assert_eq!(daemon.tell(&["strategy", "use", role, &format!("my-{role}")]).code, 0);
    }
    // The sharing offers half as much again.
    for cpu in ["2", "0.9"] {
        assert_eq!(daemon.tell(&["claim", "--cpu", cpu, "--class", "burstable"]).code, 0);
    }
    let listed = daemon.ask(&["plugin", "list"]);
    for role in roles {
        let mut all = listed["plugins"].as_array().expect("plugins").iter();
        let found = all.find(|plugin| plugin["id"] == format!("my-{role}") && plugin["role"] == role);
        assert_eq!(found.map(|plugin| &plugin["state"]), Some(&"active".into()), "{role}: {listed}");
    }
    assert_eq!(daemon.tell(&["claim", "--need", "my-driver=7"]).code, 0);
    daemon.await_phase("3", "held");
    assert!(daemon.log().contains("handed out"), "{}", daemon.log());
}

#[test]
fn what_cannot_be_begun_is_said() {
    let folder = TempDir::new().expect("a folder");
    for role in ["share", "analyser", "gadget"] {
        let told = new(role, "mine", &folder.path().join("mine"));
        assert!(told.code != 0 && told.err.contains("roles are: resource, driver"), "{told:?}");
    }
    for name in ["Mine", "1st", "a_b", "../x", "", "core"] {
        let told = new("qos", name, &folder.path().join("mine"));
        assert!(told.code != 0 && told.err.contains("cannot be the name"), "{name}: {told:?}");
    }
    fs::write(folder.path().join("precious"), "x").expect("written");
    let told = new("qos", "mine", folder.path());
    assert!(told.code != 0 && told.err.contains("is not empty"), "{told:?}");
}
