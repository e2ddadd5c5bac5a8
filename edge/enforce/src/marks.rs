//! Where there are no control groups, a lease's processes are known by a mark in their environment and
//! by their parents.
use bursar_interface::{ClaimId, Fence};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    os::unix::{ffi::OsStrExt, fs::MetadataExt},
    path::{Path, PathBuf},
};

/// The variable that marks a lease's processes.
pub const MARK: &str = "BURSAR_LEASE";
/// The variable that says which daemon's lease it is.
const SOCKET: &str = "BURSAR_SOCKET";

/// The mark of a lease: claim and fence.
pub fn mark(claim: ClaimId, fence: Fence) -> String {
    format!("{claim}:{fence}")
}

/// All processes that carry the mark of a claim of the daemon at `socket`, or descend from one that does or from
/// `roots`.
pub(crate) fn marked(claim: ClaimId, roots: &[u32], socket: Option<&Path>) -> Vec<u32> {
    let own = std::process::id();
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    let mut members: BTreeSet<u32> = roots.iter().copied().filter(|pid| alive(*pid)).collect();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        let Ok(stat) = process.stat() else { continue };
        if stat.state == 'Z' || stat.pid as u32 == own {
            continue;
        }
        parents.insert(stat.pid as u32, stat.ppid as u32);
        if marked_by(stat.pid as u32, socket) == Some(claim) {
            members.insert(stat.pid as u32);
        }
    }
    // Children may have lower pids than their parents, so one pass is not enough.
    loop {
        let before = members.len();
        let descend = parents.iter().filter(|(_, parent)| members.contains(parent)).map(|(pid, _)| *pid);
        let found: Vec<u32> = descend.collect();
        members.extend(found);
        if members.len() == before {
            return members.into_iter().collect();
        }
    }
}

fn alive(pid: u32) -> bool {
    crate::identify(pid).is_ok_and(|process| process.is_some())
}

/// The claim of the daemon at `socket` whose mark a process carries. A process can shed it: without groups nothing
/// better is known.
pub(crate) fn marked_by(pid: u32, socket: Option<&Path>) -> Option<ClaimId> {
    let (claim, other) = mark_of(pid)?;
    let strange = |own: &Path| other.as_ref().is_some_and(|other| !is_same(other, own));
    (!socket.is_some_and(strange)).then_some(claim)
}

/// Whether a process carries the mark of a claim of the daemon at `socket`, and of no other that may be meant.
pub(crate) fn marked_by_us(pid: u32, claim: ClaimId, socket: Option<&Path>) -> bool {
    let Some((of, Some(named))) = mark_of(pid) else { return false };
    of == claim && named.is_absolute() && socket.is_some_and(|own| is_same(&named, own))
}

/// Whether a process carries the mark of a claim of another daemon than the one at `socket`, which answers there.
pub(crate) fn marked_by_another(pid: u32, claim: ClaimId, socket: Option<&Path>) -> bool {
    let Some((of, Some(other))) = mark_of(pid) else { return false };
    of == claim && socket.is_some_and(|own| !is_same(&other, own)) && answers(&other)
}

/// The mark that a process carries: which claim's, and where the daemon of that is.
fn mark_of(pid: u32) -> Option<(ClaimId, Option<PathBuf>)> {
    // The environment of others' processes cannot be read, and none of those is ours.
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let value = |name: &str| {
        let mut variables = environment.split(|&byte| byte == 0);
        variables.find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
    };
    let claim = std::str::from_utf8(value(MARK)?).ok()?.split(':').next()?.parse().ok()?;
    Some((ClaimId(claim), value(SOCKET).map(|socket| OsStr::from_bytes(socket).into())))
}

/// Whether somebody listens at a socket; a full backlog is an answer, too.
fn answers(path: &Path) -> bool {
    let ask = || {
        let socket = socket_with(
            AddressFamily::UNIX,
            SocketType::STREAM,
            SocketFlags::CLOEXEC | SocketFlags::NONBLOCK,
            None,
        )?;
        connect(&socket, &SocketAddrUnix::new(path)?)
    };
    matches!(ask(), Ok(()) | Err(Errno::AGAIN | Errno::ACCESS))
}

/// Whether two paths lead to one socket. One that says nothing by itself could be any.
fn is_same(other: &Path, own: &Path) -> bool {
    let file = |path: &Path| std::fs::metadata(path).ok().map(|file| (file.dev(), file.ino()));
    other == own || other.is_relative() || file(other).is_some_and(|other| Some(other) == file(own))
}
