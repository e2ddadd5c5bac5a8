//! Where the cgroup hierarchies are mounted, and where this process stands in them.
use crate::hierarchy::PREFIX;
use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

/// Controllers of v1 that are used, by the name under which they are mounted.
pub(crate) const V1: [&str; 6] = ["cpu", "cpuacct", "memory", "pids", "blkio", "freezer"];

/// A process's group in each hierarchy, as a folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mounts {
    /// By v1 controller.
    pub(crate) v1: BTreeMap<&'static str, PathBuf>,
    /// The v2 hierarchy.
    pub(crate) v2: Option<PathBuf>,
}

/// Finds out where this process stands. A group of ours that it lives in counts as the group that ours are in, so that a
/// daemon that was started inside a lease does not go with it.
pub(crate) fn mounts() -> io::Result<Mounts> {
    let mounted = std::fs::read_to_string("/proc/self/mountinfo")?;
    let own = std::fs::read_to_string("/proc/self/cgroup")?;
    Ok(parse(&mounted, &own, |part| !part.starts_with(PREFIX)))
}

/// Finds out where another one lives, be it in a group of ours.
pub(crate) fn homes_of(pid: u32) -> io::Result<Mounts> {
    let mounted = std::fs::read_to_string("/proc/self/mountinfo")?;
    let its = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    Ok(parse(&mounted, &its, |_| true))
}

/// As far as `goes` says of each part of a path.
fn parse(mounted: &str, own: &str, goes: impl Fn(&str) -> bool) -> Mounts {
    let mut mounts = Mounts::default();
    for line in mounted.lines() {
        let Some((before, after)) = line.split_once(" - ") else { continue };
        let before: Vec<&str> = before.split(' ').collect();
        let after: Vec<&str> = after.split(' ').collect();
        let (&[_, _, _, root, point, ..], &[kind, _, options, ..]) = (before.as_slice(), after.as_slice())
        else {
            continue;
        };
        let place =
            |name: &str| stand(Path::new(&unescape(point)), root, own_path(own, name).unwrap_or("/"), &goes);
        match kind {
            "cgroup2" => mounts.v2 = mounts.v2.or_else(|| Some(place(""))),
            "cgroup" => {
                for name in V1.into_iter().filter(|name| options.split(',').any(|option| option == *name)) {
                    mounts.v1.entry(name).or_insert_with(|| place(name));
                }
            }
            _ => {}
        }
    }
    mounts
}

/// The own group in the hierarchy of a controller; the empty name is v2's.
fn own_path<'a>(own: &'a str, controller: &str) -> Option<&'a str> {
    own.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (_, names, path) = (parts.next()?, parts.next()?, parts.next()?);
        names.split(',').any(|name| name == controller).then_some(path)
    })
}

/// The folder of a group: below the mount point, less the part that the mount hides.
fn stand(point: &Path, root: &str, own: &str, goes: impl Fn(&str) -> bool) -> PathBuf {
    let seen = if root == "/" { Some(own) } else { own.strip_prefix(root) };
    let seen = seen.unwrap_or("").trim_start_matches('/');
    seen.split('/')
        .take_while(|part| goes(part))
        .filter(|part| !part.is_empty())
        .fold(point.into(), |path, part| path.join(part))
}

/// Mount points have octal escapes for spaces.
fn unescape(text: &str) -> String {
    text.replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIXED: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpuacct,cpu
35 31 0:32 /docker/1 /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
41 31 0:38 / /sys/fs/cgroup/with\\040space rw - cgroup2 cgroup2 rw
nonsense";

    #[test]
    fn a_mixed_host_is_understood() {
        let own = "5:memory:/docker/1/a\n2:cpu,cpuacct:/\n0::/user.slice/bursar-1/lease-2/x\n";
        let mounts = parse(MIXED, own, |part| !part.starts_with(PREFIX));
        assert_eq!(mounts.v1["cpu"], Path::new("/sys/fs/cgroup/cpu"));
        assert_eq!(mounts.v1["cpuacct"], Path::new("/sys/fs/cgroup/cpu,cpuacct"));
        assert_eq!(mounts.v1["memory"], Path::new("/sys/fs/cgroup/memory/a"));
        assert_eq!(mounts.v2.as_deref(), Some(Path::new("/sys/fs/cgroup/with space/user.slice")));
        let whole = parse(MIXED, own, |_| true);
        assert_eq!(
            whole.v2.as_deref(),
            Some(Path::new("/sys/fs/cgroup/with space/user.slice/bursar-1/lease-2/x"))
        );
    }

    #[test]
    fn a_host_without_groups_has_none() {
        assert_eq!(parse("1 0 0:1 / / rw - ext4 /dev/sda rw", "0::/\n", |_| true), Mounts::default());
    }
}
