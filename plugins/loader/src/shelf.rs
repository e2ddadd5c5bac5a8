//! The shelf: the libraries that lie in the plugin folders, each looked at once for as long as it does not change.
use crate::{
    Candidate, Listing, Reject, State, Trust,
    inspect::{inspect_bytes, read},
    load_trusted,
    stage::{Stamp, stamp},
    trust::Keys,
    way::check_way,
};
use bursar_interface::{Home, Manifest};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

/// A library that can be used.
#[derive(Clone, Debug)]
pub(crate) struct Library {
    pub(crate) candidate: Candidate,
    pub(crate) trust: Trust,
    pub(crate) home: Home,
}

/// One plugin of it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) manifest: Manifest,
    /// Its place among the libraries.
    pub(crate) library: usize,
}

/// What says who may run where.
pub(crate) struct Rules<'a> {
    /// sha256 of trusted libraries, by the config.
    pub(crate) trusted: &'a BTreeSet<String>,
    /// Trusted keys.
    pub(crate) keys: &'a Keys,
    /// sha256 of libraries that once hung the daemon.
    pub(crate) suspects: Vec<String>,
}

/// What a file and its signature were when they were looked at, and what came of it.
type Seen = (Option<Stamp>, Option<Stamp>, Result<(Candidate, Trust), Reject>);

/// What lies in the folders.
#[derive(Debug, Default)]
pub(crate) struct Shelf {
    pub(crate) libraries: Vec<Library>,
    /// The highest version of a name comes first; of equal ones, the first folder's.
    pub(crate) found: Vec<Found>,
    /// Files that cannot be used, and libraries that are there twice.
    pub(crate) refused: Vec<Listing>,
    seen: BTreeMap<PathBuf, Seen>,
}

impl Shelf {
    /// Looks through the folders, in order.
    pub(crate) fn scan(&mut self, dirs: &[PathBuf], rules: &Rules<'_>) {
        let before = std::mem::take(self);
        for dir in dirs {
            let listed = load_trusted(dir).unwrap_or_else(|reject| {
                tracing::warn!(%reject, "nothing in this folder is trusted by a list");
                BTreeSet::new()
            });
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut files: Vec<PathBuf> =
                entries.filter(|path| path.extension().is_some_and(|end| end == "so")).collect();
            files.sort();
            for path in files {
                let beside = PathBuf::from(format!("{}.minisig", path.display()));
                let now = (stamp(&path), stamp(&beside));
                let known = before.seen.get(&path).filter(|(file, signature, _)| (*file, *signature) == now);
                // The folders above may have been opened to others though the file is the same.
                let looked = match known {
                    Some((_, _, Ok(known))) => check_way(&path).map(|()| known.clone()),
                    Some((_, _, Err(reject))) => Err(reject.clone()),
                    None => look(&path, rules.keys),
                };
                if known.is_none()
                    && let Err(reject) = &looked
                {
                    tracing::warn!(%reject, "a file in a plugin folder is not loaded");
                }
                self.place(&path, &looked, &listed, rules);
                self.seen.insert(path, (now.0, now.1, looked));
            }
        }
        self.found.sort_by(|a, b| b.manifest.version.cmp(&a.manifest.version));
    }

    /// Forgets what was looked at, so that signatures are looked at again.
    pub(crate) fn forget(&mut self) {
        self.seen.clear();
    }

    fn place(
        &mut self,
        path: &Path,
        looked: &Result<(Candidate, Trust), Reject>,
        listed: &BTreeSet<String>,
        rules: &Rules<'_>,
    ) {
        let (candidate, trust) = match looked {
            Ok(looked) => looked,
            Err(reject) => return self.refuse(path, None, reject.to_string()),
        };
        let sum = &candidate.sha256;
        if let Some(twin) = self.libraries.iter().find(|library| library.candidate.sha256 == *sum) {
            let why =
                format!("the same bytes as {}, which comes first; remove one", twin.candidate.path.display());
            return self.refuse(path, Some(sum.clone()), why);
        }
        let trust = match trust {
            Trust::None if listed.contains(sum) || rules.trusted.contains(sum) => Trust::Listed,
            trust => trust.clone(),
        };
        let inline = trust != Trust::None && !rules.suspects.contains(sum);
        let home = if inline { Home::Inline } else { Home::Child };
        let library = self.libraries.len();
        let manifests = candidate.manifests.iter().cloned();
        self.found.extend(manifests.map(|manifest| Found { manifest, library }));
        self.libraries.push(Library { candidate: candidate.clone(), trust, home });
    }

    fn refuse(&mut self, path: &Path, sha256: Option<String>, why: String) {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        self.refused.push(Listing {
            id: name.clone(),
            library: name,
            version: String::new(),
            role: None,
            home: Home::Child,
            state: State::Refused,
            path: Some(path.into()),
            sha256,
            trust: Trust::None,
            reason: Some(why),
        });
    }
}

/// Reads a library once: what was inspected is what was hashed and what was signed.
fn look(path: &Path, keys: &Keys) -> Result<(Candidate, Trust), Reject> {
    let bytes = read(path)?;
    let candidate = inspect_bytes(path, &bytes)?;
    let trust = keys.signer(path, &bytes)?.map_or(Trust::None, Trust::Signed);
    Ok((candidate, trust))
}
