//! Planted bugs: one build with `--cfg canary`, in which each is let loose in turn and must be caught by the
//! law that is named for it; the same build without any must be clean.
use crate::step::{self, root};
use anyhow::{Context, Result, bail};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Rooms in which bugs are planted.
const ROOMS: [&str; 5] =
    ["core/interface/src", "core/engine/src", "core/sim/src", "pool/src", "allocator/src"];
/// Where each has its law.
const LIST: &str = "core/sim/tests/canary.rs";
/// Fewer would prove too little.
const CANARIES_MIN: usize = 20;

/// Builds the planted bugs apart from everything else, and lets them loose.
///
/// # Errors
/// Names the bugs that no law, or another law than theirs, has caught, and those that have none.
pub fn run() -> Result<()> {
    let planted = planted()?;
    let list = fs::read_to_string(root().join(LIST)).context(LIST)?;
    let unnamed: Vec<&String> =
        planted.iter().filter(|name| !list.contains(&format!("(\"{name}\", Law::"))).collect();
    if !unnamed.is_empty() {
        bail!("planted, and without a law in {LIST}: {unnamed:?}");
    }
    let listed = list.matches(", Law::").count();
    if listed != planted.len() || listed < CANARIES_MIN {
        bail!("{} bugs are planted, and {listed} have a law", planted.len());
    }
    let mut test =
        step::cargo(&["test", "--quiet", "--package", "bursar-sim", "--test", "canary", "--", "--nocapture"]);
    test.env("RUSTFLAGS", "--cfg canary").env("CARGO_TARGET_DIR", root().join("target/canary"));
    step::run(test)
}

/// The names of all that is planted.
fn planted() -> Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for room in ROOMS {
        for path in sources(&root().join(room))? {
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let after = line.split("canary!(\"").skip(1);
                names.extend(after.filter_map(|rest| Some(rest.split_once('"')?.0.to_owned())));
            }
        }
    }
    Ok(names)
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        match path.is_dir() {
            true => files.extend(sources(&path)?),
            false => files.push(path),
        }
    }
    Ok(files)
}
