//! The stage: a private folder of copies named by their content. A path never gets other bytes, so
//! what was inspected is what is opened, and replacing the original disturbs nobody.
use crate::{Candidate, Reject, inspect::read, trust::sha256, way::check_owner};
use std::{
    collections::BTreeMap,
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// What tells that a file is the one that was read: device, inode, size, and when it last changed in any way.
pub(crate) type Stamp = (u64, u64, u64, i64, i64);

/// The stamp of a file, without following a link.
pub(crate) fn stamp(path: &Path) -> Option<Stamp> {
    let meta = fs::symlink_metadata(path).ok()?;
    Some((meta.dev(), meta.ino(), meta.len(), meta.ctime(), meta.ctime_nsec()))
}

/// The folder of copies.
#[derive(Debug)]
pub(crate) struct Stage {
    folder: PathBuf,
    /// Copies whose content was compared with their name, and how they were then.
    compared: BTreeMap<String, Stamp>,
}

impl Stage {
    /// Opens the folder, making it if need be, for this user only.
    pub(crate) fn open(folder: &Path) -> Result<Stage, Reject> {
        let io = |error: std::io::Error| Reject::io(folder, &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io)?;
        check_owner(folder)?;
        Ok(Stage { folder: folder.into(), compared: BTreeMap::new() })
    }

    /// The copy of a library, whose bytes are those that were looked at. A copy that is not what its name says
    /// was meddled with, and is made anew.
    pub(crate) fn put(&mut self, candidate: &Candidate) -> Result<PathBuf, Reject> {
        let copy = self.folder.join(format!("{}.so", candidate.sha256));
        let known = self.compared.get(&candidate.sha256);
        if known.is_some() && known.copied() == stamp(&copy) {
            return Ok(copy);
        }
        let sound = read(&copy).is_ok_and(|bytes| sha256(&bytes) == candidate.sha256);
        if !sound {
            if copy.exists() {
                tracing::error!(copy = %copy.display(), "a staged library is not what it was; it is staged again");
            }
            let bytes = read(&candidate.path)?;
            if sha256(&bytes) != candidate.sha256 {
                return Err(Reject::io(&candidate.path, &"it has changed since it was looked at"));
            }
            let io = |error: std::io::Error| Reject::io(&copy, &error);
            let draft = self.folder.join(format!(".{}.{}", candidate.sha256, std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o500)
                .open(&draft)
                .map_err(io)?;
            file.write_all(&bytes).map_err(io)?;
            drop(file);
            // Read back: what was written is what will be opened.
            if read(&draft).is_ok_and(|staged| sha256(&staged) != candidate.sha256) {
                return Err(Reject::io(&copy, &"the copy does not read back as it was written"));
            }
            fs::rename(&draft, &copy).map_err(io)?;
        }
        if let Some(stamp) = stamp(&copy) {
            self.compared.insert(candidate.sha256.clone(), stamp);
        }
        Ok(copy)
    }

    /// Whether a library was opened in a child before, and did well.
    pub(crate) fn probed(&self, sha256: &str) -> bool {
        self.folder.join(format!("{sha256}.probed")).exists()
    }

    /// Remembers that it did.
    pub(crate) fn mark_probed(&self, sha256: &str) {
        // Only saves the next probe; without it the library is probed again.
        let _ = fs::write(self.folder.join(format!("{sha256}.probed")), b"");
    }

    /// Libraries whose inline calls once hung the daemon: never inline again.
    pub(crate) fn suspects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.suspects_path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Where something that this installation's plugins have in common is kept.
    pub(crate) fn kept(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Where suspects are written down.
    pub(crate) fn suspects_path(&self) -> PathBuf {
        self.folder.join("suspects")
    }
}
