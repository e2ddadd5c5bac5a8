//! The stage: a private folder of copies named by their content. A path never gets other bytes, so
//! what was inspected is what is opened, and replacing the original disturbs nobody.
use crate::{Candidate, Reject, inspect::read, trust::sha256};
use std::{
    fs,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The folder of copies.
#[derive(Clone, Debug)]
pub(crate) struct Stage(PathBuf);

impl Stage {
    /// Opens the folder, making it if need be, for this user only.
    pub(crate) fn open(folder: &Path) -> Result<Stage, Reject> {
        let io = |error: std::io::Error| Reject::io(folder, &error);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700)).map_err(io)?;
        crate::trust::check_owner(folder)?;
        Ok(Stage(folder.into()))
    }

    /// The copy of a library. Its bytes are read again, and must be those that were looked at.
    pub(crate) fn put(&self, candidate: &Candidate) -> Result<PathBuf, Reject> {
        let copy = self.0.join(format!("{}.so", candidate.sha256));
        if !copy.exists() {
            let bytes = read(&candidate.path)?;
            if sha256(&bytes) != candidate.sha256 {
                return Err(Reject::io(&candidate.path, &"it has changed since it was looked at"));
            }
            let io = |error: std::io::Error| Reject::io(&copy, &error);
            let draft = self.0.join(format!(".{}.{}", candidate.sha256, std::process::id()));
            let mut file = fs::OpenOptions::new()
                .write(true)
                .create(true)
                .truncate(true)
                .mode(0o500)
                .open(&draft)
                .map_err(io)?;
            file.write_all(&bytes).map_err(io)?;
            fs::rename(&draft, &copy).map_err(io)?;
        }
        Ok(copy)
    }

    /// Whether a library was opened in a child before, and did well.
    pub(crate) fn probed(&self, sha256: &str) -> bool {
        self.0.join(format!("{sha256}.probed")).exists()
    }

    /// Remembers that it did.
    pub(crate) fn mark_probed(&self, sha256: &str) {
        // Only saves the next probe; without it the library is probed again.
        let _ = fs::write(self.0.join(format!("{sha256}.probed")), b"");
    }

    /// Libraries whose inline calls once hung the daemon: never inline again.
    pub(crate) fn suspects(&self) -> Vec<String> {
        let text = fs::read_to_string(self.suspects_path()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Where suspects are written down.
    pub(crate) fn suspects_path(&self) -> PathBuf {
        self.0.join("suspects")
    }
}
