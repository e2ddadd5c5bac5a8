//! Scratch folders: made for one user, measured, and taken away with all that is in them. Whatever lies in one was put
//! there by somebody else, so no link in it is followed, and no call takes longer than it may.
use rustix::{
    fs::{
        AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid, chmodat, fchown, fstat, mkdirat, open, openat,
        renameat, statat, unlinkat,
    },
    io::Errno,
};
use std::{
    collections::BTreeSet,
    ffi::CStr,
    io,
    os::fd::{AsFd, OwnedFd},
    path::{Path, PathBuf},
    time::Instant,
};

/// Folders in each other that are open at once; what lies deeper is moved up before it is taken away.
const DEPTH_MAX: usize = 128;
/// Files with several names that are told apart while they are measured.
const LINKED_MAX: usize = 1 << 16;
/// Entries between two looks at the clock.
const STRIDE: u64 = 64;
/// Bytes of what the kernel calls a block.
const BLOCK_BYTES: u64 = 512;
/// Why a walk ended early.
const LATE: Errno = Errno::TIMEDOUT;

/// A folder by name, below one that is ours alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scratch {
    root: PathBuf,
    name: String,
}

/// Makes the folder that scratch folders lie in: others may pass through it, and not look into it.
///
/// # Errors
/// What the system says, with the path.
pub fn make_root(root: &Path) -> io::Result<()> {
    use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
    let open = || std::fs::set_permissions(root, std::fs::Permissions::from_mode(0o711));
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o711).create(root).and_then(|()| open());
    made.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", root.display())))
}

/// Bytes that the filesystem of a folder has, and those of them that are free.
///
/// # Errors
/// What the system says, with the path.
pub fn room(folder: &Path) -> io::Result<(u64, u64)> {
    let told = rustix::fs::statvfs(folder).map_err(io::Error::from);
    let told =
        told.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", folder.display())))?;
    Ok((told.f_blocks.saturating_mul(told.f_frsize), told.f_bavail.saturating_mul(told.f_frsize)))
}

/// What was taken away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleared {
    /// Files and folders.
    pub entries: u64,
}

impl Scratch {
    /// The folder of this name; made or not.
    pub fn new(root: &Path, name: &str) -> Scratch {
        Scratch { root: root.into(), name: name.into() }
    }

    /// Where it is.
    pub fn path(&self) -> PathBuf {
        self.root.join(&self.name)
    }

    /// Makes it, for its owner alone; one that is there and its owner's is left as it is.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn make(&self, owner: Option<u32>) -> io::Result<()> {
        let make = || {
            let root = open(&self.root, folder(), Mode::empty())?;
            let name = self.name.as_str();
            let own = rustix::process::geteuid().as_raw();
            if let Err(error) = mkdirat(&root, name, Mode::RWXU) {
                let there = fstat(openat(&root, name, folder(), Mode::empty())?)?;
                if error != Errno::EXIST || there.st_uid == owner.unwrap_or(own) {
                    return if error == Errno::EXIST { Ok(()) } else { Err(error) };
                }
                // Somebody was interrupted before it was given away; what another user has put into one stays its own.
                unlinkat(&root, name, AtFlags::REMOVEDIR)?;
                mkdirat(&root, name, Mode::RWXU)?;
            }
            let made = openat(&root, name, folder(), Mode::empty())?;
            match owner.filter(|owner| *owner != own) {
                Some(owner) => fchown(&made, Some(Uid::from_raw(owner)), None::<Gid>),
                None => Ok(()),
            }
        };
        make().map_err(|error| self.named(error))
    }

    /// It, open; `None` if it is not there.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn open(&self) -> io::Result<Option<OwnedFd>> {
        let opened = open(&self.root, folder(), Mode::empty())
            .and_then(|root| openat(root, self.name.as_str(), folder(), Mode::empty()));
        match opened {
            Ok(opened) => Ok(Some(opened)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(self.named(error)),
        }
    }

    /// The bytes that its files take on the disk, and how many entries were seen; `None` if that could not be found
    /// out by then. Files that were deleted while somebody has them open are not seen.
    ///
    /// # Errors
    /// What the system says, with the path.
    pub fn measure(&self, until: Instant) -> io::Result<Option<u64>> {
        let Some(opened) = self.open()? else { return Ok(Some(0)) };
        let mut tally = Tally { until, bytes: 0, entries: 0, linked: BTreeSet::new() };
        let summed = fstat(&opened).and_then(|own| tally.sum(&opened, own.st_dev, 0));
        match summed {
            Ok(()) => Ok(Some(tally.bytes)),
            Err(LATE | Errno::NAMETOOLONG) => Ok(None),
            Err(error) => Err(self.named(error)),
        }
    }

    /// Takes away as much as can be by then; says what it was once all of it is gone, and `None` before that.
    ///
    /// # Errors
    /// What the system says, with the path: something in it cannot be taken away.
    pub fn clear(&self, until: Instant) -> io::Result<Option<Cleared>> {
        let Some(top) = self.open()? else { return Ok(Some(Cleared::default())) };
        let mut broom = Broom { until, top: &top, entries: 0, moved: 0 };
        loop {
            let before = broom.entries;
            match broom.sweep(&top, 0) {
                Ok(()) => {}
                Err(LATE) => return Ok(None),
                Err(error) => return Err(self.named(error)),
            }
            let root = open(&self.root, folder(), Mode::empty())?;
            match unlinkat(root, self.name.as_str(), AtFlags::REMOVEDIR) {
                Ok(()) | Err(Errno::NOENT) => return Ok(Some(Cleared { entries: broom.entries + 1 })),
                // Somebody puts more into it, or what lay deep is at its top now.
                Err(Errno::NOTEMPTY | Errno::EXIST) if broom.entries > before || broom.moved > 0 => {
                    broom.moved = 0
                }
                Err(error) => return Err(self.named(error)),
            }
        }
    }

    fn named(&self, error: Errno) -> io::Error {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{}: {error}", self.path().display()))
    }
}

/// How folders are opened: never through a link.
fn folder() -> OFlags {
    OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC
}

fn is_late(until: Instant, entries: u64) -> bool {
    entries.is_multiple_of(STRIDE) && Instant::now() >= until
}

/// The names in a folder, but for itself and the one above.
fn entries(
    of: &OwnedFd,
) -> rustix::io::Result<impl Iterator<Item = rustix::io::Result<rustix::fs::DirEntry>>> {
    let dots = |entry: &rustix::fs::DirEntry| matches!(entry.file_name().to_bytes(), b"." | b"..");
    Ok(Dir::read_from(of)?.filter(move |entry| !entry.as_ref().is_ok_and(dots)))
}

/// What a folder takes, so far.
struct Tally {
    until: Instant,
    bytes: u64,
    entries: u64,
    linked: BTreeSet<u64>,
}

impl Tally {
    fn sum(&mut self, of: &OwnedFd, device: u64, depth: usize) -> rustix::io::Result<()> {
        for entry in entries(of)? {
            let entry = entry?;
            self.entries += 1;
            if is_late(self.until, self.entries) {
                return Err(LATE);
            }
            let Ok(stat) = statat(of, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
            // What is mounted in there takes no room here.
            if stat.st_dev != device || !is_folder && !self.is_first(&stat) {
                continue;
            }
            self.bytes += stat.st_blocks.unsigned_abs() * BLOCK_BYTES;
            if is_folder {
                if depth == DEPTH_MAX {
                    return Err(Errno::NAMETOOLONG);
                }
                match openat(of, entry.file_name(), folder(), Mode::empty()) {
                    Ok(below) => self.sum(&below, device, depth + 1)?,
                    Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether a file is met under its first name.
    fn is_first(&mut self, stat: &Stat) -> bool {
        stat.st_nlink <= 1 || self.linked.len() >= LINKED_MAX || self.linked.insert(stat.st_ino)
    }
}

/// Takes away what is in a folder.
struct Broom<'a> {
    until: Instant,
    top: &'a OwnedFd,
    entries: u64,
    moved: u64,
}

impl Broom<'_> {
    fn sweep(&mut self, of: &OwnedFd, depth: usize) -> rustix::io::Result<()> {
        for entry in entries(of)? {
            let entry = entry?;
            if is_late(self.until, self.entries + self.moved) {
                return Err(LATE);
            }
            let name = entry.file_name();
            match unlinkat(of, name, AtFlags::empty()) {
                Ok(()) => self.entries += 1,
                Err(Errno::NOENT) => {}
                // Linux says the one, others the other.
                Err(Errno::ISDIR | Errno::PERM) => self.sweep_folder(of, name, depth)?,
                Err(Errno::ACCESS) => {
                    // Its holder has taken the rights away from itself.
                    rustix::fs::fchmod(of, Mode::RWXU)?;
                    self.moved += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn sweep_folder(&mut self, of: &OwnedFd, name: &CStr, depth: usize) -> rustix::io::Result<()> {
        if depth == DEPTH_MAX {
            self.moved += 1;
            return renameat(of, name, self.top.as_fd(), format!("deep-{}-{}", self.entries, self.moved));
        }
        let open = || openat(of, name, folder(), Mode::empty());
        let below = match open() {
            Err(Errno::ACCESS) => {
                chmodat(of, name, Mode::RWXU, AtFlags::empty())?;
                open()
            }
            opened => opened,
        };
        match below {
            Ok(below) => self.sweep(&below, depth + 1)?,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(()),
            Err(error) => return Err(error),
        }
        match unlinkat(of, name, AtFlags::REMOVEDIR) {
            Ok(()) => self.entries += 1,
            // What came meanwhile is found by the next pass.
            Err(Errno::NOENT | Errno::NOTEMPTY | Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::symlink, time::Duration};

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    /// A folder of this test's own.
    fn root(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("bursar-scratch-{name}-{}", std::process::id()));
        fs::create_dir_all(&root).expect("a folder");
        root
    }

    #[test]
    fn what_is_in_it_is_measured_and_taken_away_and_no_link_is_followed() {
        let root = root("links");
        let (scratch, outside) = (Scratch::new(&root, "7"), root.join("outside"));
        fs::write(&outside, vec![1; 1 << 20]).expect("written");
        scratch.make(None).expect("made");
        scratch.make(None).expect("it is there already");
        fs::create_dir_all(scratch.path().join("a/b")).expect("folders");
        fs::write(scratch.path().join("a/b/c"), vec![1; 300_000]).expect("written");
        fs::hard_link(scratch.path().join("a/b/c"), scratch.path().join("again")).expect("a second name");
        symlink(&outside, scratch.path().join("a/link")).expect("a link");
        symlink(&root, scratch.path().join("up")).expect("a link to a folder");
        let bytes = scratch.measure(soon()).expect("a look").expect("in time");
        assert!((300_000..400_000).contains(&bytes), "{bytes}: once, and nothing from outside");
        let cleared = scratch.clear(soon()).expect("cleared").expect("in time");
        assert_eq!(cleared.entries, 7);
        assert!(!scratch.path().exists() && outside.exists());
        assert_eq!(scratch.clear(soon()).expect("again is fine"), Some(Cleared::default()));
        assert_eq!(scratch.measure(soon()).expect("a look"), Some(0));
        fs::remove_dir_all(root).expect("away");
    }

    #[test]
    fn a_link_in_its_place_is_not_followed() {
        let root = root("place");
        fs::create_dir(root.join("other")).expect("a folder");
        fs::write(root.join("other/file"), "kept").expect("written");
        symlink(root.join("other"), root.join("7")).expect("a link");
        let scratch = Scratch::new(&root, "7");
        assert!(scratch.clear(soon()).is_err() && scratch.measure(soon()).is_err());
        assert!(root.join("other/file").exists());
        fs::remove_dir_all(root).expect("away");
    }

    #[test]
    fn however_deep_it_is_it_goes() {
        let root = root("deep");
        let scratch = Scratch::new(&root, "7");
        scratch.make(None).expect("made");
        // Deeper than a path may be long, and than files may be open.
        let name = "f".repeat(200);
        let mut at = scratch.open().expect("a look").expect("it is there");
        for _ in 0..400 {
            mkdirat(&at, name.as_str(), Mode::RWXU).expect("made");
            at = openat(&at, name.as_str(), folder(), Mode::empty()).expect("opened");
        }
        assert_eq!(scratch.measure(soon()).expect("a look"), None, "that deep nobody looks");
        assert_eq!(scratch.clear(soon()).expect("cleared").expect("in time").entries, 401);
        assert!(!scratch.path().exists());
        fs::remove_dir_all(root).expect("away");
    }

    #[test]
    fn what_takes_longer_than_it_may_is_gone_on_with() {
        let root = root("late");
        let scratch = Scratch::new(&root, "7");
        scratch.make(None).expect("made");
        (0..200).for_each(|i| fs::write(scratch.path().join(format!("f{i}")), "x").expect("written"));
        let past = Instant::now();
        assert_eq!(scratch.clear(past).expect("no error"), None);
        assert!(scratch.path().exists());
        assert!(scratch.clear(soon()).expect("cleared").is_some());
        fs::remove_dir_all(root).expect("away");
    }
}
