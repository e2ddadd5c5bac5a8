//! The first-party plugin libraries: built as strangers would build theirs, laid out as an operator
//! would install them, with the list of those that are trusted like the daemon itself.
use crate::step::{cargo, output, root, run, set_environment, variable};
use anyhow::{Context, Result};
use cargo_metadata::Message;
use sha2::{Digest, Sha256};
use std::{fmt::Write, fs, path::PathBuf, process::Stdio};

/// Packages whose libraries are shipped.
pub const SHIPPED: [&str; 17] = [
    "alloc-fit",
    "detect-deadlock",
    "detect-pressure",
    "detect-queueing",
    "metric-host",
    "qos-batch",
    "qos-class",
    "res-disk",
    "res-gpu",
    "res-host",
    "res-io",
    "res-lock",
    "res-meter",
    "res-port",
    "share-exclusive",
    "share-overcommit",
    "share-timeslice",
];
/// Badly behaved plugins, for tests only.
const CHAOS: &str = "chaos";
/// The list of trusted libraries, as the loader reads it.
const TRUST_FILE: &str = "trusted.sha256";

/// Builds the libraries into `target/plugins` (or `target/plugins-dev`, with the badly behaved ones in
/// `target/plugins-chaos`) and returns that folder.
pub fn build(dev: bool) -> Result<PathBuf> {
    let target = target();
    let folder = target.join(if dev { "plugins-dev" } else { "plugins" });
    lay_out(&SHIPPED, dev, &folder, true)?;
    if dev {
        lay_out(&[CHAOS], dev, &target.join("plugins-chaos"), false)?;
        // Tests that follow need not build them again.
        set_environment([("BURSAR_PLUGINS_BUILT".to_owned(), "1".to_owned())].into_iter());
    }
    Ok(folder)
}

/// Prints what each badly behaved plugin comes to, and what each library is told that must not be loaded.
///
/// # Errors
/// When a cell is not as it should be.
pub fn matrix() -> Result<()> {
    build(true)?;
    let test = ["test", "--quiet", "--package", "bursar-loader", "--test", "it", "--"];
    // One after the other, so that the tables stay whole.
    run(cargo(&[&test[..], &["matrix::", "zoo::", "--nocapture", "--test-threads", "1"]].concat()))
}

/// Where everything is built.
pub fn target() -> PathBuf {
    root().join(variable("CARGO_TARGET_DIR").as_deref().unwrap_or("target"))
}

fn lay_out(packages: &[&str], dev: bool, folder: &PathBuf, trusted: bool) -> Result<()> {
    let libraries = compile(packages, dev)?;
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    let mut sums = String::new();
    for library in &libraries {
        let name = library.file_name().context("a library has a name")?;
        let bytes = fs::read(library).with_context(|| library.display().to_string())?;
        let to = folder.join(name);
        if fs::read(&to).ok().as_ref() != Some(&bytes) {
            // Written beside and renamed: whoever has the old one open keeps it.
            // Others may lay the same out at the same time.
            let beside = folder.join(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
            fs::write(&beside, &bytes)
                .and_then(|()| fs::rename(&beside, &to))
                .with_context(|| to.display().to_string())?;
        }
        let sum: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        writeln!(sums, "{sum}  {}", name.to_string_lossy())?;
    }
    if trusted {
        let path = folder.join(TRUST_FILE);
        fs::write(&path, sums).with_context(|| path.display().to_string())?;
    }
    println!("{}", folder.display());
    Ok(())
}

/// Compiles packages and returns their shared libraries.
fn compile(packages: &[&str], dev: bool) -> Result<Vec<PathBuf>> {
    let mut args = vec!["build", "--message-format", "json-render-diagnostics", "--quiet"];
    packages.iter().for_each(|package| args.extend(["--package", package]));
    if !dev {
        args.push("--release");
    }
    let mut command = cargo(&args);
    command.stdin(Stdio::null());
    let text = output(command)?;
    let mut libraries = Vec::new();
    for message in Message::parse_stream(text.as_bytes()) {
        let Message::CompilerArtifact(artifact) = message? else { continue };
        let named = packages.iter().any(|package| artifact.target.name.replace('_', "-") == *package);
        let files = artifact.filenames.into_iter().filter(|file| file.extension() == Some("so"));
        libraries.extend(files.filter(|_| named).map(PathBuf::from));
    }
    Ok(libraries)
}
