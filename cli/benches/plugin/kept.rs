//! What an old version leaves in memory: libraries are opened and never closed, so each reload keeps the one before.
use crate::world::{built, settings};
use bursar_interface::Home;
use bursar_loader::Loader;
use std::path::Path;

/// Versions that are opened, one after the other.
const VERSIONS: usize = 40;
/// Versions before the first that counts: what all of them share is there then.
const WARM: usize = 4;

/// Opens many versions in this process, and says by how much it grew with each.
pub(crate) fn kept() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let folder = scratch.path().join("plugins");
    std::fs::create_dir(&folder).expect("made");
    let library = std::fs::read(built().join("liballoc_fit.so")).expect("read");
    let versions: Vec<Vec<u8>> = (0..WARM + VERSIONS).map(|number| version(&library, number)).collect();
    let trusted = versions.iter().map(|bytes| bursar_loader::sha256(bytes)).collect();
    let mut loader = Loader::new(settings(folder.clone(), scratch.path(), trusted)).expect("a stage");
    let mut before = 0.0;
    for (number, bytes) in versions.iter().enumerate() {
        if number == WARM {
            before = resident_kb();
        }
        install(&folder, bytes);
        loader.scan();
        let seated = loader.allocator("best-fit", "").expect("there");
        assert_eq!(seated.decider.home, Home::Inline);
    }
    let each = (resident_kb() - before) / VERSIONS as f64;
    println!(
        "an old version of a library of {} kB keeps {each:.0} kB resident ({VERSIONS} of them)",
        library.len() / 1024
    );
}

/// The same library as it would be of another version: what its manifest says is changed, and nothing else.
pub(crate) fn version(library: &[u8], number: usize) -> Vec<u8> {
    let (from, mut bytes) = (format!("\"version\":\"{}\"", env!("CARGO_PKG_VERSION")), library.to_vec());
    let to = format!("\"version\":\"{}.{}.{}\"", 1 + number / 100, number / 10 % 10, number % 10);
    assert_eq!(from.len(), to.len(), "versions of three digits");
    let found: Vec<usize> =
        (0..bytes.len() - from.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!found.is_empty(), "the library has a manifest");
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    bytes
}

/// Puts a library into the place of the one before.
fn install(folder: &Path, bytes: &[u8]) {
    let draft = folder.join("draft");
    std::fs::write(&draft, bytes).expect("written");
    std::fs::rename(draft, folder.join("liballoc_fit.so")).expect("moved");
}

/// Resident memory of this process in kB.
fn resident_kb() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}
