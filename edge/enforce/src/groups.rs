//! The few things that are done to one control group.
use crate::small;
use rustix::io::Errno;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
};

/// Members that are read of one group at most.
const MEMBERS_MAX: usize = 100_000;
/// Links of a folder in which there are no others, as the kernel counts them for control groups: its own, and its name.
const LINKS_WITHOUT_FOLDERS: u64 = 2;

/// One control group, as a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Group(pub(crate) PathBuf);

impl Group {
    /// Makes the group, with those around it; one that is there is fine. Says whether it is new.
    pub(crate) fn make(&self) -> io::Result<bool> {
        match fs::create_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&self.0).map(|()| true)
            }
            Err(_) if self.is_there() => Ok(false),
            made => made.map(|()| true),
        }
        .map_err(|error| named(&self.0, &error))
    }

    /// Whether it is there.
    pub(crate) fn is_there(&self) -> bool {
        self.0.is_dir()
    }

    /// Whether it has a file of that name: what the kernel here can do.
    pub(crate) fn has(&self, file: &str) -> bool {
        self.0.join(file).exists()
    }

    /// Writes one of its files.
    pub(crate) fn write(&self, file: &str, value: impl ToString) -> io::Result<()> {
        let path = self.0.join(file);
        fs::write(&path, value.to_string()).map_err(|error| named(&path, &error))
    }

    /// Opens the way into it.
    pub(crate) fn way_in(&self) -> io::Result<WayIn> {
        let path = self.0.join("cgroup.procs");
        let opened = File::options().write(true).open(&path);
        opened.map(|file| WayIn { file, group: self.0.clone() }).map_err(|error| named(&path, &error))
    }

    /// What one of its files says.
    pub(crate) fn text(&self, file: &str) -> Option<String> {
        small::text(self.0.join(file)).ok()
    }

    /// The word in one of its files.
    pub(crate) fn word(&self, file: &str) -> Option<String> {
        Some(self.text(file)?.trim().to_owned())
    }

    /// A number in one of its files.
    pub(crate) fn number(&self, file: &str) -> Option<u64> {
        self.text(file)?.trim().parse().ok()
    }

    /// A number behind a word in one of its files, as in `oom_kill 3`.
    pub(crate) fn keyed(&self, file: &str, key: &str) -> Option<u64> {
        let text = self.text(file)?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(name, _)| *name == key)?.1.trim().parse().ok()
    }

    /// The processes in it and in the groups below it.
    pub(crate) fn members(&self) -> Vec<u32> {
        let mut members = Vec::new();
        self.walk(&mut |group| {
            let text = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            members.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
            members.len() < MEMBERS_MAX
        });
        members
    }

    /// Takes it and the groups below it away; `false` while processes are in it.
    pub(crate) fn remove(&self) -> io::Result<bool> {
        // The kernel refuses while anything is in it: mostly there is nothing, and no need to look.
        match fs::remove_dir(&self.0) {
            Ok(()) => return Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(_) if !self.members().is_empty() => return Ok(false),
            Err(_) => {}
        }
        let mut groups = Vec::new();
        self.walk(&mut |group| {
            groups.push(group.to_path_buf());
            true
        });
        for group in groups.iter().rev() {
            match fs::remove_dir(group) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy => return Ok(false),
                Err(error) => return Err(named(group, &error)),
            }
        }
        Ok(true)
    }

    /// Visits it and the groups below it, outermost first, as long as `visit` says so.
    fn walk(&self, visit: &mut impl FnMut(&Path) -> bool) {
        let mut ahead = vec![self.0.clone()];
        while let Some(group) = ahead.pop() {
            let Some(folder) = fs::metadata(&group).ok().filter(fs::Metadata::is_dir) else { continue };
            if !visit(&group) || folder.nlink() == LINKS_WITHOUT_FOLDERS {
                continue;
            }
            let below = fs::read_dir(&group).into_iter().flatten().flatten();
            ahead.extend(
                below
                    .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
                    .map(|entry| entry.path()),
            );
        }
    }
}

/// The way into a control group, open.
#[derive(Debug)]
pub(crate) struct WayIn {
    file: File,
    group: PathBuf,
}

impl WayIn {
    /// Puts a process in, with what it starts from then on.
    pub(crate) fn take(&mut self, pid: u32) -> io::Result<()> {
        self.file.write_all(pid.to_string().as_bytes()).map_err(|error| match error.raw_os_error() {
            // The group was taken away meanwhile.
            Some(code) if code == Errno::NODEV.raw_os_error() => {
                named(&self.group, &io::ErrorKind::NotFound.into())
            }
            _ => named(&self.group, &error),
        })
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
