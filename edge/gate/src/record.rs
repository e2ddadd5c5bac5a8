//! What operators had of the pools that the gate has cut, on the disk: one that is killed finds it at its next start,
//! and gives the pools back.
//!
//! It is written before a pool is set, with what the pool had and what it is to have: whichever of both is found
//! there was the gate's doing. Any other capacity is an operator's, set since.
use crate::limits::RECORD_BYTES_MAX;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// A pool by its kind and its name.
type Named = (String, String);

/// One pool that is not as its operator had it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    kind: String,
    pool: String,
    /// What the operator set.
    ceiling: u64,
    /// What the gate found, and what it set.
    levels: [u64; 2],
}

/// All of them. Without a path nothing outlives the gate.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    path: Option<PathBuf>,
    kept: Mutex<BTreeMap<Named, Kept>>,
}

impl Record {
    /// Reads what a gate before this one left. What cannot be read is said, and counts as nothing.
    pub(crate) fn open(path: Option<&Path>) -> Record {
        let read = path.map_or_else(Vec::new, |path| {
            read(path).unwrap_or_else(|error| {
                tracing::warn!(path = %path.display(), %error, "what the last gate cut is not known");
                Vec::new()
            })
        });
        let kept = read.into_iter().map(|kept| ((kept.kind.clone(), kept.pool.clone()), kept)).collect();
        Record(Arc::new(Inner { path: path.map(Path::to_owned), kept: Mutex::new(kept) }))
    }

    fn kept(&self) -> MutexGuard<'_, BTreeMap<Named, Kept>> {
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a pool is known to be other than its operator had it.
    pub(crate) fn has(&self, kind: &str, pool: &str) -> bool {
        self.kept().contains_key(&(kind.to_owned(), pool.to_owned()))
    }

    /// What the operator of a pool set that has so much now, if that is a gate's doing.
    pub(crate) fn ceiling(&self, kind: &str, pool: &str, capacity: u64) -> Option<u64> {
        let kept = self.kept();
        let kept = kept.get(&(kind.to_owned(), pool.to_owned()))?;
        kept.levels.contains(&capacity).then_some(kept.ceiling)
    }

    /// A pool is about to be set. Resolves when that is on the disk.
    pub(crate) async fn sets(&self, kind: &str, pool: &str, ceiling: u64, levels: [u64; 2]) {
        let (kind, pool) = (kind.to_owned(), pool.to_owned());
        self.kept().insert((kind.clone(), pool.clone()), Kept { kind, pool, ceiling, levels });
        self.write().await;
    }

    /// A pool is as its operator wants it.
    pub(crate) async fn is_back(&self, kind: &str, pool: &str) {
        if self.kept().remove(&(kind.to_owned(), pool.to_owned())).is_some() {
            self.write().await;
        }
    }

    async fn write(&self) {
        let Some(path) = self.0.path.clone() else { return };
        let record = self.clone();
        let written = tokio::task::spawn_blocking(move || {
            // Held until it is written, so that the newest is written last.
            let kept = record.kept();
            write(&path, &kept.values().collect::<Vec<_>>())
        });
        if let Ok(Err(error)) = written.await {
            tracing::warn!(%error, "what is cut is not written down: if this gate is killed, it stays so");
        }
    }
}

fn read(path: &Path) -> io::Result<Vec<Kept>> {
    let file = match File::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        file => file?,
    };
    let mut text = Vec::new();
    file.take(RECORD_BYTES_MAX).read_to_end(&mut text)?;
    serde_json::from_slice(&text).map_err(io::Error::other)
}

/// Whole or not at all, for this user alone.
fn write(path: &Path, kept: &[&Kept]) -> io::Result<()> {
    let beside = path.with_extension("new");
    let mut options = File::options();
    let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
    file.write_all(&serde_json::to_vec(kept)?)?;
    file.sync_all()?;
    fs::rename(&beside, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_cut_is_known_to_the_next_one_by_either_of_two_levels() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("gate.json");
        let first = Record::open(Some(&path));
        assert!(!first.has("requests", "a"));
        first.sets("requests", "a", 600, [600, 540]).await;
        first.sets("tokens", "a", 50, [50, 45]).await;
        first.sets("requests", "a", 600, [540, 486]).await;
        first.is_back("tokens", "a").await;
        let next = Record::open(Some(&path));
        let ceilings = [600, 540, 486, 300].map(|capacity| next.ceiling("requests", "a", capacity));
        assert_eq!(ceilings, [None, Some(600), Some(600), None]);
        assert!(next.has("requests", "a") && !next.has("tokens", "a"));
        fs::write(&path, "no JSON").expect("written");
        assert!(!Record::open(Some(&path)).has("requests", "a"), "what cannot be read counts as nothing");
        assert!(!Record::open(None).has("requests", "a"));
    }
}
