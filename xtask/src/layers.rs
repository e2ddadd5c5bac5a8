//! Who may depend on whom: the arrows of the house, checked against what cargo knows.
use crate::step::root;
use anyhow::{Result, bail};
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::collections::BTreeMap;

/// A package and what it depends on, ours and others', leaving out what only its tests need.
type Graph = BTreeMap<String, Vec<String>>;

/// What each room may depend on of ours, besides `bursar-interface`.
const ROOMS: [(&str, &[&str]); 23] = [
    ("bursar-interface", &[]),
    ("bursar-pool", &[]),
    ("bursar-allocator", &[]),
    ("bursar-qos", &[]),
    ("bursar-monitor", &[]),
    ("bursar-coord", &[]),
    ("bursar-engine", &["bursar-pool", "bursar-coord"]),
    ("bursar-sim", &["bursar-engine"]),
    ("bursar-abi", &[]),
    ("bursar-sdk-macros", &[]),
    ("bursar-sdk", &["bursar-abi", "bursar-sdk-macros"]),
    ("bursar-loader", &["bursar-abi", "bursar-sdk"]),
    ("bursar-conformance", &["bursar-sdk", "bursar-pool"]),
    ("bursar-journal", &[]),
    ("bursar-enforce", &[]),
    ("bursar-wire", &[]),
    ("bursar-api", &["bursar-wire"]),
    ("bursar-mcp", &["bursar-wire"]),
    ("bursar-gate", &["bursar-wire"]),
    ("bursar-tenant", &["bursar-wire", "bursar-enforce"]),
    ("bursar-builtin", &["bursar-sdk", "alloc-*", "qos-*", "share-*", "detect-*", "metric-*", "res-*"]),
    ("bursar", &["bursar-*"]),
    ("xtask", &["bursar-sim", "bursar-builtin", "bursar-sdk", "bursar-wire"]),
];

/// What a plugin crate may depend on: the sdk and one room.
const PLUGIN_ROOMS: [&str; 5] =
    ["bursar-pool", "bursar-allocator", "bursar-qos", "bursar-monitor", "bursar-enforce"];

/// Crates of others that only some rooms may use (H6).
const GUARDED: [(&str, &[&str]); 11] = [
    ("tokio", &["bursar-api", "bursar-mcp", "bursar-gate", "bursar"]),
    ("rmcp", &["bursar-mcp"]),
    ("rustls", &["bursar-gate", "bursar-api", "bursar-wire"]),
    ("tokio-rustls", &["bursar-api"]),
    ("libloading", &["bursar-loader"]),
    ("abi_stable", &["bursar-abi", "bursar-sdk", "bursar-loader"]),
    ("landlock", &["bursar-loader"]),
    ("seccompiler", &["bursar-loader"]),
    ("minisign-verify", &["bursar-loader"]),
    ("rusqlite", &["bursar-journal"]),
    ("axum", &["bursar-api"]),
];

/// The pure rooms (H1), and the crates of others that they may use.
const PURE: [&str; 8] = [
    "bursar-interface",
    "bursar-coord",
    "bursar-engine",
    "bursar-sim",
    "bursar-pool",
    "bursar-allocator",
    "bursar-qos",
    "bursar-monitor",
];
const PURE_CRATES: [&str; 6] = ["arrayvec", "serde", "semver", "csv", "thiserror", "postcard"];

/// Checks the workspace.
///
/// # Errors
/// Names every arrow that is not allowed.
pub fn run() -> Result<()> {
    let broken = violations(&graph()?);
    broken.iter().for_each(|line| eprintln!("layers: {line}"));
    if !broken.is_empty() {
        bail!("{} arrows are not allowed; ARCHITECTURE.md has those that are", broken.len());
    }
    println!("layers: every arrow is allowed");
    Ok(())
}

fn graph() -> Result<Graph> {
    let metadata = MetadataCommand::new().current_dir(root()).no_deps().exec()?;
    let packages = metadata.packages.into_iter().map(|package| {
        let lived = package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind != DependencyKind::Development);
        (package.name.to_string(), lived.map(|dependency| dependency.name).collect())
    });
    Ok(packages.collect())
}

fn violations(graph: &Graph) -> Vec<String> {
    let mut broken = Vec::new();
    for (package, dependencies) in graph {
        let ours: Vec<&String> = dependencies.iter().filter(|name| graph.contains_key(*name)).collect();
        broken.extend(
            ours.iter().filter(|name| !allowed(package, name)).map(|name| format!("{package} → {name}")),
        );
        if is_plugin(package) {
            let rooms = ours.iter().filter(|name| PLUGIN_ROOMS.contains(&name.as_str())).count();
            broken.extend((rooms > 1).then(|| format!("{package} uses {rooms} rooms; a plugin uses one")));
        }
        for name in dependencies.iter().filter(|name| !graph.contains_key(*name)) {
            let guarded = GUARDED.iter().find(|(guarded, _)| guarded == name);
            broken.extend(
                guarded
                    .filter(|(_, rooms)| !rooms.contains(&package.as_str()))
                    .map(|_| format!("{package} → {name} (guarded)")),
            );
            let pure = PURE.contains(&package.as_str()) && !PURE_CRATES.contains(&name.as_str());
            broken.extend(pure.then(|| format!("{package} → {name} (a pure room)")));
        }
    }
    broken
}

fn allowed(package: &str, dependency: &str) -> bool {
    if dependency == "bursar-interface" {
        return package != "bursar-interface";
    }
    if is_plugin(package) {
        return dependency == "bursar-sdk" || PLUGIN_ROOMS.contains(&dependency);
    }
    let room = ROOMS.iter().find(|(name, _)| *name == package);
    room.is_some_and(|(_, may)| may.iter().any(|pattern| matches(pattern, dependency)))
}

fn is_plugin(package: &str) -> bool {
    ["alloc-", "qos-", "share-", "detect-", "res-", "metric-", "chaos"]
        .iter()
        .any(|start| package.starts_with(start))
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(arrows: &[(&str, &[&str])]) -> Vec<String> {
        let mut graph: Graph = ROOMS.iter().map(|(name, _)| ((*name).to_owned(), Vec::new())).collect();
        graph.insert("alloc-fit".into(), Vec::new());
        for (package, dependencies) in arrows {
            graph.insert((*package).into(), dependencies.iter().map(|name| (*name).to_owned()).collect());
        }
        violations(&graph)
    }

    #[test]
    fn the_house_as_it_stands_keeps_its_arrows() {
        assert_eq!(violations(&graph().expect("cargo metadata")), Vec::<String>::new());
    }

    #[test]
    fn each_planted_arrow_is_found() {
        for (package, dependency) in [
            ("bursar-engine", "bursar-allocator"),
            ("bursar-pool", "bursar-engine"),
            ("bursar-pool", "bursar-coord"),
            ("bursar-coord", "bursar-pool"),
            ("bursar-coord", "tokio"),
            ("bursar-interface", "bursar-pool"),
            ("bursar-enforce", "bursar-wire"),
            ("bursar-sim", "bursar-loader"),
            ("bursar-sdk", "alloc-fit"),
            ("alloc-fit", "bursar-engine"),
            ("bursar-journal", "tokio"),
            ("bursar-api", "rusqlite"),
            ("bursar-api", "bursar-mcp"),
            ("bursar-mcp", "bursar-engine"),
            ("bursar-wire", "tokio"),
            ("bursar-api", "rmcp"),
            ("bursar-pool", "rustix"),
            ("bursar-unheard-of", "bursar-pool"),
        ] {
            assert!(!broken(&[(package, &[dependency])]).is_empty(), "{package} → {dependency}");
        }
    }

    #[test]
    fn lawful_arrows_pass_and_a_plugin_has_one_room() {
        let lawful: &[(&str, &[&str])] = &[
            ("bursar-api", &["tokio", "axum", "bursar-wire"]),
            ("alloc-fit", &["bursar-sdk", "bursar-allocator"]),
        ];
        assert_eq!(broken(lawful), Vec::<String>::new());
        assert_eq!(broken(&[("alloc-fit", &["bursar-allocator", "bursar-qos"])]).len(), 1);
    }
}
