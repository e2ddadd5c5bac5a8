//! What the house forbids in its sources: H1, H6 and H9 of ARCHITECTURE.md, and how files begin.
use crate::step::root;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Lines of one source file at most.
const FILE_LINES_MAX: usize = 480;

/// Folders of the pure rooms: no clock, I/O, thread, async, randomness, environment (H1).
const PURE: [&str; 8] = [
    "core/interface/",
    "core/coord/",
    "core/engine/",
    "core/sim/",
    "pool/",
    "allocator/",
    "qos/",
    "monitor/",
];
const IMPURE: [&str; 16] = [
    "std::fs",
    "std::net",
    "std::thread",
    "std::env",
    "std::process",
    "std::io",
    "std::os",
    "Instant::now",
    "SystemTime",
    "std::sync::mpsc",
    "async fn",
    ".await",
    "println!",
    "eprintln!",
    "thread_rng",
    "getrandom",
];

/// Where unsafe code may stand, and where what a macro writes there (a plugin's link section, the front's entry) needs
/// `deny` instead of `forbid`.
const UNSAFE: [&str; 4] = ["plugins/abi/", "plugins/sdk/", "plugins/loader/", "edge/enforce/"];
const SHELLS: [&str; 9] = [
    "cli/src/front/",
    "plugins/alloc-",
    "plugins/qos-",
    "plugins/share-",
    "plugins/detect-",
    "plugins/res-",
    "plugins/metric-",
    "plugins/chaos",
    "examples/",
];

/// Where numbers are whole and order is fixed (H9).
const EXACT: [&str; 4] = ["pool/", "core/coord/", "core/engine/", "core/interface/"];
/// Where samples are: measurements are no part of the books.
const SAMPLES: &str = "core/interface/src/metric.rs";
/// Hash maps of the pure rooms, by file and field: looked up, never iterated.
const LOOKED_UP: [(&str, &[&str]); 6] = [
    ("pool/src/books.rs", &["claim_rows", "pool_rows"]),
    ("pool/src/outstanding.rs", &["stretches"]),
    ("core/engine/src/queue.rs", &["places", "numbers"]),
    ("core/engine/src/line.rs", &["rows"]),
    ("core/engine/src/kept.rs", &["numbers"]),
    ("core/engine/src/feasible.rs", &["known"]),
];
/// Ways to iterate over a map.
const ITERATED: [&str; 6] = [".iter()", ".keys()", ".values()", ".drain(", ".retain(", ".into_iter()"];

/// Words that say nothing.
const EMPTY_NAMES: [&str; 7] = ["utils", "util", "helpers", "helper", "common", "manager", "misc"];

/// Checks every source file.
///
/// # Errors
/// Names every file and line that is not as it should be.
pub fn run() -> Result<()> {
    let mut files = Vec::new();
    collect(&root(), &mut files)?;
    let mut broken = Vec::new();
    for path in &files {
        let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
        let name = path.strip_prefix(root()).unwrap_or(path).to_string_lossy().into_owned();
        broken.extend(violations(&name, &text));
    }
    broken.iter().for_each(|line| eprintln!("tidy: {line}"));
    if !broken.is_empty() {
        bail!("{} places are untidy", broken.len());
    }
    println!("tidy: {} files", files.len());
    Ok(())
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, files)?;
        } else if name.ends_with(".rs") {
            files.push(path);
        }
    }
    files.sort();
    Ok(())
}

/// What is wrong with one file.
fn violations(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let mut say = |line: usize, what: &str| broken.push(format!("{name}:{line}: {what}"));
    if !text.starts_with("//!") {
        say(1, "the first line says what the file is for, after //!");
    }
    if text.lines().count() > FILE_LINES_MAX {
        say(FILE_LINES_MAX, "one idea per file; this one is long enough for two");
    }
    let stem = Path::new(name).file_stem().unwrap_or_default().to_string_lossy().into_owned();
    if EMPTY_NAMES.contains(&stem.as_str()) {
        say(1, "the name says nothing about what is in it");
    }
    // What the border needs is the macro's business: an example shows what an author writes.
    if is_crate_root(name) && !name.starts_with("examples/") && !guards(text, name) {
        say(1, "a crate forbids unsafe code, unless it is one of those that need it");
    }
    let in_src = name.contains("/src/");
    let pure = in_src && PURE.iter().any(|room| name.starts_with(room));
    let exact = in_src && EXACT.iter().any(|room| name.starts_with(room)) && name != SAMPLES;
    for (number, line) in lived(text) {
        if line.contains("unsafe ")
            && !UNSAFE.iter().any(|room| name.starts_with(room))
            && !name.starts_with("xtask/src/tidy")
            && !name.starts_with("plugins/sdk-macros/")
        {
            say(number, "unsafe code outside of the border and the edge that enforces");
        }
        if let Some(word) = IMPURE.iter().find(|word| pure && line.contains(**word)) {
            say(number, &format!("{word} in a pure room"));
        }
        if exact && (line.contains("f64") || line.contains("f32")) {
            say(number, "a float where numbers are whole");
        }
        let hashed = line.contains("HashMap") || line.contains("HashSet");
        if hashed && pure && LOOKED_UP.iter().all(|(file, _)| *file != name) {
            say(number, "a hash map where order must be the same everywhere");
        }
        if iterates(name, line) {
            say(number, "a hash map is looked up, never iterated");
        }
    }
    broken
}

/// Whether a line iterates over a hash map. The books' own maps are known in all of their room.
fn iterates(name: &str, line: &str) -> bool {
    let room = |file: &str| file == name || file.starts_with("pool/") && name.starts_with("pool/src/");
    let fields = LOOKED_UP.iter().filter(|(file, _)| room(file)).flat_map(|(_, fields)| fields.iter());
    let mut ways = fields.flat_map(|field| ITERATED.map(|way| format!("self.{field}{way}")));
    !name.ends_with("names.rs") && ways.any(|way| line.contains(&way))
}

/// Lines of code: comments are left out, and what stands behind `#[cfg(test)]`.
fn lived(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
    (1..).zip(code).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

fn is_crate_root(name: &str) -> bool {
    name.ends_with("/src/lib.rs") || name.ends_with("/src/main.rs")
}

fn guards(text: &str, name: &str) -> bool {
    let free = UNSAFE.iter().any(|room| name.starts_with(room));
    let shell = SHELLS.iter().any(|start| name.starts_with(start));
    free || text.contains("#![forbid(unsafe_code)]") || shell && text.contains("#![deny(unsafe_code)]")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FINE: &str = "//! A room.\n#![forbid(unsafe_code)]\n";

    #[test]
    fn each_planted_violation_is_found() {
        for (name, line) in [
            ("pool/src/a.rs", "let now = std::time::Instant::now();"),
            ("core/engine/src/a.rs", "let text = std::fs::read(path);"),
            ("core/sim/src/a.rs", "std::thread::spawn(run);"),
            ("qos/src/a.rs", "async fn rank() {}"),
            ("monitor/src/a.rs", "let home = std::env::var(\"HOME\");"),
            ("pool/src/a.rs", "let share: f64 = 0.5;"),
            ("core/engine/src/a.rs", "use std::collections::HashMap;"),
            ("pool/src/a.rs", "for row in self.claim_rows.values() {}"),
            ("core/engine/src/queue.rs", "self.places.retain(|_, _| true);"),
            ("edge/journal/src/a.rs", "unsafe { read() }"),
            ("cli/src/utils.rs", ""),
        ] {
            let found = violations(name, &format!("{FINE}{line}\n"));
            assert_eq!(found.len(), 1, "{name}: {line}: {found:?}");
        }
        assert_eq!(violations("cli/src/a.rs", "fn main() {}\n").len(), 1, "no first line");
        assert_eq!(violations("pool/src/lib.rs", "//! A room.\n").len(), 1, "unsafe is not forbidden");
        assert_eq!(
            violations("plugins/sdk-macros/src/lib.rs", "//! A room.\n").len(),
            1,
            "not one that needs it"
        );
        assert_eq!(
            violations("cli/src/a.rs", &format!("{FINE}{}", "\n".repeat(FILE_LINES_MAX))).len(),
            1,
            "too long"
        );
    }

    #[test]
    fn what_is_allowed_passes() {
        for (name, line) in [
            ("edge/enforce/src/a.rs", "std::fs::read(path);"),
            ("pool/src/a.rs", "// std::fs is not for us"),
            ("pool/src/a.rs", "#[cfg(test)]\nmod tests { use std::fs; }"),
            ("pool/src/books.rs", "rows: HashMap<u32, u32>,"),
            ("core/interface/src/metric.rs", "value: Option<f64>,"),
            ("plugins/loader/src/a.rs", "unsafe { open() }"),
        ] {
            assert_eq!(violations(name, &format!("{FINE}{line}\n")), Vec::<String>::new(), "{name}: {line}");
        }
        assert!(
            violations("plugins/alloc-fit/src/lib.rs", "//! A shell.\n#![deny(unsafe_code)]\n").is_empty()
        );
    }
}
