//! Benchmarks, each beside its limit or peer in the same run.
use crate::{plugins, step};
use anyhow::{Result, anyhow};
use std::path::PathBuf;

/// Benches by package and name: PERFORMANCE goals 1 to 12 and 14 to 17, what the journal costs alone, and what
/// checking a history and telling why somebody waits cost.
const BENCHES: [(&str, &str); 11] = [
    ("bursar-engine", "engine"),
    ("bursar-engine", "line"),
    ("bursar-sim", "history"),
    ("bursar-sim", "explain"),
    ("bursar-sim", "simulate"),
    ("bursar-journal", "append"),
    ("bursar", "plugin"),
    ("bursar", "daemon"),
    ("bursar", "run"),
    ("bursar", "agents"),
    ("bursar", "gate"),
];

/// Debian packages of the peers. One that cannot be had is said to be absent by the bench.
const PEERS: [&str; 3] = ["redis-server", "postgresql", "etcd-server"];
/// Debian packages that etcd's clients are built with.
const ETCD_TOOLS: [&str; 2] = ["protobuf-compiler", "libprotobuf-dev"];
/// The crate that is etcd's clients: outside the workspace, because nothing else here speaks gRPC.
const ETCD_CLIENTS: &str = "xtask/peers/etcd/Cargo.toml";

/// Runs every bench; with `peers` the one beside them instead.
///
/// # Errors
/// When one cannot be run. A goal that is missed is said, and is no failure.
pub fn run(peers: bool) -> Result<()> {
    if peers {
        return beside_peers();
    }
    let folder = plugins::build(false)?;
    step::set_environment([("BURSAR_PLUGINS".to_owned(), folder.display().to_string())].into_iter());
    for (package, bench) in BENCHES {
        step::run(step::cargo(&["bench", "--quiet", "--package", package, "--bench", bench]))?;
    }
    Ok(())
}

fn beside_peers() -> Result<()> {
    PEERS.into_iter().for_each(install);
    let mut bench = step::cargo(&["bench", "--quiet", "--package", "bursar", "--bench", "daemon"]);
    bench.args(["--", "--peers"]);
    let clients = if step::has("etcd", &["--version"]) { etcd_clients() } else { Err(anyhow!("no etcd")) };
    match clients {
        Ok(program) => {
            bench.arg("--etcd-clients").arg(program);
        }
        Err(error) => eprintln!("etcd is left out: {error:#}"),
    }
    step::run(bench)
}

/// Installs a package, looking for where it is to be had if that is not known yet.
fn install(package: &str) {
    let install = || {
        step::run(step::command(
            "apt-get",
            &["install", "--yes", "--quiet", "--no-install-recommends", package],
        ))
    };
    let update = |_| step::run(step::command("apt-get", &["update", "--quiet"])).and_then(|()| install());
    if let Err(error) = install().or_else(update) {
        eprintln!("{package} is not installed: {error:#}");
    }
}

/// Builds etcd's clients and returns the program.
fn etcd_clients() -> Result<PathBuf> {
    ETCD_TOOLS.into_iter().for_each(install);
    let target = plugins::target().join("peers");
    let mut build =
        step::cargo(&["build", "--quiet", "--release", "--locked", "--manifest-path", ETCD_CLIENTS]);
    build.env("CARGO_TARGET_DIR", &target);
    step::run(build)?;
    Ok(target.join("release/etcd-slots"))
}
