//! The way to a library: whether only root and this user can change any step of it.
use crate::Reject;
use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt,
    path::Path,
};

/// In a folder with this bit only the owner of an entry can rename or remove it (as `/tmp`).
const STICKY: u32 = 0o1000;

/// Checks every step from the root on. The file and the folder that it lies in must be themselves and no
/// symbolic links; above them a link may be root's, if what it leads to is as sound.
///
/// # Errors
/// [`Reject::Link`], [`Reject::Owner`] or [`Reject::Permissions`] with the step that is not sound, [`Reject::Io`] if it cannot be seen.
pub(crate) fn check_way(path: &Path) -> Result<(), Reject> {
    let path = std::path::absolute(path).map_err(|error| Reject::io(path, &error))?;
    let steps: Vec<&Path> = path.ancestors().collect();
    for (above, step) in steps.iter().enumerate().rev() {
        let meta = fs::symlink_metadata(step).map_err(|error| Reject::io(step, &error))?;
        if meta.is_symlink() {
            if above < 2 || meta.uid() != 0 {
                return Err(Reject::Link { path: step.display().to_string() });
            }
            let real = fs::canonicalize(step).map_err(|error| Reject::io(step, &error))?;
            check_way(&real)?;
        } else {
            check(step, &meta)?;
        }
    }
    Ok(())
}

/// Whether only root or this user can change a file or folder itself.
pub(crate) fn check_owner(path: &Path) -> Result<(), Reject> {
    check(path, &fs::metadata(path).map_err(|error| Reject::io(path, &error))?)
}

/// The same, of what was looked up already.
pub(crate) fn check(path: &Path, meta: &Metadata) -> Result<(), Reject> {
    let ours = [0, rustix::process::geteuid().as_raw()].contains(&meta.uid());
    let open = meta.mode() & 0o022 != 0 && !(meta.is_dir() && meta.mode() & STICKY != 0);
    if !ours {
        return Err(Reject::Owner { path: path.display().to_string(), owner: meta.uid() });
    }
    if open {
        return Err(Reject::Permissions { path: path.display().to_string(), mode: meta.mode() & 0o7777 });
    }
    Ok(())
}
