//! Where there are no control groups, a lease's processes are known by a mark in their environment and
//! by their parents.
use bursar_interface::{ClaimId, Fence};
use std::collections::{BTreeMap, BTreeSet};

/// The variable that marks a lease's processes.
pub const MARK: &str = "BURSAR_LEASE";

/// The mark of a lease: claim and fence.
pub fn mark(claim: ClaimId, fence: Fence) -> String {
    format!("{claim}:{fence}")
}

/// All processes that carry the mark of a claim, or descend from one that does or from `roots`.
pub(crate) fn marked(claim: ClaimId, roots: &[u32]) -> Vec<u32> {
    let own = std::process::id();
    let mut parents: BTreeMap<u32, u32> = BTreeMap::new();
    let mut members: BTreeSet<u32> = roots.iter().copied().filter(|pid| alive(*pid)).collect();
    for process in procfs::process::all_processes().into_iter().flatten().flatten() {
        let Ok(stat) = process.stat() else { continue };
        if stat.state == 'Z' || stat.pid as u32 == own {
            continue;
        }
        parents.insert(stat.pid as u32, stat.ppid as u32);
        if carries(&process, claim) {
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

/// The claim whose mark a process carries. A process can shed it: without groups nothing better is known.
pub(crate) fn marked_by(pid: u32) -> Option<ClaimId> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let start = format!("{MARK}=");
    let marks =
        environment.split(|&byte| byte == 0).filter_map(|variable| variable.strip_prefix(start.as_bytes()));
    marks
        .filter_map(|mark| std::str::from_utf8(mark).ok()?.split(':').next()?.parse().ok().map(ClaimId))
        .next()
}

fn carries(process: &procfs::process::Process, claim: ClaimId) -> bool {
    // The environment of others' processes cannot be read, and none of those is ours.
    let Ok(environment) = std::fs::read(format!("/proc/{}/environ", process.pid)) else { return false };
    let start = format!("{MARK}={claim}:");
    environment.split(|&byte| byte == 0).any(|variable| variable.starts_with(start.as_bytes()))
}
