//! What is promised about security names its tests, and they exist: SECURITY.md names rows of THREAT_MODEL.md,
//! and each row names tests as `file::test`.
use crate::step::root;
use anyhow::{Context, Result, bail};
use std::{collections::BTreeSet, fs, path::Path};

/// Checks both documents.
///
/// # Errors
/// Names every row and line that names nothing, or what is not there.
pub fn run() -> Result<()> {
    let read = |name: &str| fs::read_to_string(root().join(name)).with_context(|| name.to_owned());
    let mut tests = BTreeSet::new();
    collect(&root(), &mut tests)?;
    let broken = violations(&read("THREAT_MODEL.md")?, &read("SECURITY.md")?, &tests);
    broken.iter().for_each(|line| eprintln!("promises: {line}"));
    if !broken.is_empty() {
        bail!("{} promises are not kept", broken.len());
    }
    println!("promises: each has its test");
    Ok(())
}

/// Every test of the sources, as `file::test`.
fn collect(folder: &Path, tests: &mut BTreeSet<String>) -> Result<()> {
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "target" && !name.starts_with('.') {
            collect(&path, tests)?;
        } else if name.ends_with(".rs") {
            tests.extend(tests_of(&path, &fs::read_to_string(&path)?));
        }
    }
    Ok(())
}

fn tests_of(path: &Path, text: &str) -> Vec<String> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut names = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line != "#[test]" && !line.starts_with("#[tokio::test") {
            continue;
        }
        let named = lines.find_map(|line| line.trim_start_matches("async ").strip_prefix("fn "));
        names.extend(named.and_then(|name| name.split('(').next()).map(|name| format!("{stem}::{name}")));
    }
    names
}

/// What is wrong with the two documents.
fn violations(model: &str, security: &str, tests: &BTreeSet<String>) -> Vec<String> {
    let (mut broken, mut rows) = (Vec::new(), BTreeSet::new());
    for line in model.lines().filter(|line| line.starts_with("| T")) {
        let id = line.trim_start_matches("| ").split(' ').next().unwrap_or_default();
        rows.insert(id.to_owned());
        let named: Vec<&str> =
            line.split('`').skip(1).step_by(2).filter(|name| name.contains("::")).collect();
        if named.is_empty() {
            broken.push(format!("THREAT_MODEL.md: {id} names no test"));
        }
        let missing = named.iter().filter(|name| !tests.contains(**name));
        broken.extend(missing.map(|name| format!("THREAT_MODEL.md: {id}: there is no test {name}")));
    }
    let promised = security.split("\n## ").find(|part| part.starts_with("What is promised"));
    for promise in promised.unwrap_or_default().split("\n- ").skip(1) {
        let first = promise.lines().next().unwrap_or_default();
        let named = promise.rsplit_once('[').and_then(|(_, rest)| rest.split_once(']'));
        let ids: Vec<&str> = named.map(|(ids, _)| ids.split(' ').collect()).unwrap_or_default();
        if ids.is_empty() || ids.iter().any(|id| !rows.contains(*id)) {
            broken.push(format!("SECURITY.md: {first:?} names no row of THREAT_MODEL.md, as [T1 T2]"));
        }
    }
    broken
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_promise_without_a_test_is_found() {
        let tests = tests_of("a/door.rs".as_ref(), "#[test]\n#[ignore]\nfn it_holds() {}\nfn helper() {}\n");
        let tests: BTreeSet<String> = tests.into_iter().collect();
        assert_eq!(tests, BTreeSet::from(["door::it_holds".to_owned()]));
        let security = "# S\n\n## What is promised\n\n- Kept. [T1]\n\n## What is not\n\n- Else.\n";
        let model = "| T1 | a | b | `S` | `door::it_holds` |\n";
        assert_eq!(violations(model, security, &tests), Vec::<String>::new());
        for (model, security) in [
            ("| T1 | a | `door::helper` |\n", security),
            ("| T1 | a | none |\n", security),
            (model, "## x\n## What is promised\n\n- Kept.\n"),
            (model, "## x\n## What is promised\n\n- Kept. [T2]\n"),
        ] {
            assert_eq!(violations(model, security, &tests).len(), 1, "{model}{security}");
        }
    }
}
