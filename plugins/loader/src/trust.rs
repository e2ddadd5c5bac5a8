//! Who is trusted like the daemon itself: libraries whose sha256 is in a list that only the daemon's
//! own user or root can have written.
use crate::Reject;
use sha2::{Digest, Sha256};
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path};

/// The list's name, beside the libraries; lines as `sha256sum` prints them.
pub const TRUST_FILE: &str = "trusted.sha256";

/// The sha256 of some bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the list in a folder; empty where there is none.
///
/// # Errors
/// [`Reject::Permissions`] if others could have written the list or its folder, [`Reject::Io`] if it
/// cannot be read.
pub fn load_trusted(folder: &Path) -> Result<BTreeSet<String>, Reject> {
    let path = folder.join(TRUST_FILE);
    if !path.exists() {
        return Ok(BTreeSet::new());
    }
    check_owner(folder)?;
    check_owner(&path)?;
    let text = fs::read_to_string(&path).map_err(|error| Reject::io(&path, &error))?;
    let sums = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(sums.filter(|sum| sum.len() == 64).map(str::to_lowercase).collect())
}

/// Whether only root or this user can change a file or folder.
pub(crate) fn check_owner(path: &Path) -> Result<(), Reject> {
    let meta = fs::metadata(path).map_err(|error| Reject::io(path, &error))?;
    let ours = [0, rustix::process::geteuid().as_raw()].contains(&meta.uid());
    if !ours || meta.mode() & 0o022 != 0 {
        return Err(Reject::Permissions { path: path.display().to_string(), mode: meta.mode() & 0o7777 });
    }
    Ok(())
}
