//! Whose a process is that a lease is said to have. Where a state was copied, two daemons have the same leases, and the
//! processes are those of one of them: the one that lives, whose groups or whose mark they carry.
use crate::{
    Cell, Hierarchy,
    cell::LEAF,
    groups::Group,
    hierarchy::{PREFIX, claim_of},
    marks::{marked_by_another, marked_by_us},
    presence::lives,
};
use bursar_interface::{ClaimId, Process};
use std::{fs, io, os::unix::fs::MetadataExt};

/// How often those are looked for who were born while others were moved.
const MOVES_MAX: usize = 100;

impl Hierarchy {
    /// Whether another daemon that lives has this process in its lease of the same claim: then it is not ours,
    /// whatever our books say.
    pub fn is_anothers(&self, pid: u32, claim: ClaimId) -> bool {
        let Ok(groups) = fs::read_to_string(format!("/proc/{pid}/cgroup")) else { return false };
        let socket = self.socket.as_deref();
        if self.names().any(|ours| has_part(&groups, ours)) || marked_by_us(pid, claim, socket) {
            return false;
        }
        let user = fs::metadata(format!("/proc/{pid}")).map_or(0, |found| found.uid());
        // A cell in which we live ourselves has what is ours in it, too.
        let around = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let theirs = innermost(&groups).filter(|(instance, of)| *of == claim && !has_part(&around, instance));
        theirs.is_some_and(|(instance, _)| lives(instance.trim_start_matches(PREFIX), user))
            || marked_by_another(pid, claim, socket)
    }
}

impl Cell {
    /// Puts a process in, with all that a daemon which is dead had in its cell of the same claim: as where a copy of
    /// its state is served in its place.
    ///
    /// # Errors
    /// Those of [`Cell::join`].
    pub fn inherit(&mut self, process: &Process) -> io::Result<()> {
        let groups = fs::read_to_string(format!("/proc/{}/cgroup", process.pid)).unwrap_or_default();
        let ours = |part: &str| self.places().any(|(_, group)| instance_of(group) == Some(part));
        let before =
            innermost(&groups).filter(|(_, claim)| *claim == self.claim() && !parts(&groups).any(ours));
        let left: Vec<Group> = before.map_or(Vec::new(), |(instance, _)| self.of(&instance));
        self.join(process)?;
        for _ in 0..MOVES_MAX {
            let pids: Vec<u32> = left.iter().flat_map(direct_members).collect();
            if pids.is_empty() {
                break;
            }
            // One that has ended meanwhile needs none.
            pids.iter()
                .for_each(|pid| drop(self.homes().try_for_each(|home| home.write("cgroup.procs", pid))));
        }
        for group in &left {
            let up =
                group.0.ancestors().take_while(|above| instance_of(&Group(above.to_path_buf())).is_some());
            // What others still live in stays.
            [group.0.join(LEAF).as_path()]
                .into_iter()
                .chain(up)
                .for_each(|folder| drop(fs::remove_dir(folder)));
        }
        Ok(())
    }

    /// Where this cell would be if it were another daemon's.
    fn of(&self, instance: &str) -> Vec<Group> {
        let theirs = |group: &Group| {
            let own = instance_of(group)?;
            let parts = group.0.components().map(|part| part.as_os_str());
            Some(Group(parts.map(|part| if part == own { instance.as_ref() } else { part }).collect()))
        };
        self.places().filter_map(|(_, group)| theirs(group)).collect()
    }
}

/// The innermost cell that a process is in, as its groups tell: the name of the daemon's folder, and the claim.
fn innermost(groups: &str) -> Option<(String, ClaimId)> {
    let cells = groups.lines().filter_map(|line| {
        let parts: Vec<&str> = line.splitn(3, ':').nth(2)?.split('/').collect();
        let at = parts.iter().rposition(|part| part.starts_with(PREFIX))?;
        let claims: Vec<ClaimId> = parts[at + 1..].iter().map_while(|part| claim_of(part)).collect();
        Some((claims.len(), parts[at].to_owned(), *claims.last()?))
    });
    // Where a hierarchy was not needed, it stands further out there than it lives.
    cells.max_by_key(|(depth, ..)| *depth).map(|(_, instance, claim)| (instance, claim))
}

/// The names of all groups that are told of.
fn parts(groups: &str) -> impl Iterator<Item = &str> {
    groups.split(['/', '\n'])
}

fn has_part(groups: &str, name: &str) -> bool {
    parts(groups).any(|part| part == name)
}

/// The processes in a cell's own group, and not in the cells within.
fn direct_members(group: &Group) -> Vec<u32> {
    let own = [group.0.clone(), group.0.join(LEAF)];
    let texts = own.into_iter().filter_map(|folder| fs::read_to_string(folder.join("cgroup.procs")).ok());
    texts.flat_map(|text| text.lines().filter_map(|pid| pid.parse().ok()).collect::<Vec<u32>>()).collect()
}

/// The name of the daemon's folder in which a cell's group lies.
fn instance_of(group: &Group) -> Option<&str> {
    group.0.iter().rev().filter_map(|part| part.to_str()).find(|part| part.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_innermost_cell_is_the_one_that_a_process_is_in() {
        let groups = "9:name=systemd:/\n4:memory:/a/bursar-1/lease-3\n0::/a/bursar-1/lease-3/lease-7/own\n";
        assert_eq!(innermost(groups), Some(("bursar-1".into(), ClaimId(7))));
        let nested = "0::/bursar-1/lease-3/bursar-2/lease-5\n";
        assert_eq!(innermost(nested), Some(("bursar-2".into(), ClaimId(5))));
        assert_eq!(innermost("0::/bursar-1\n1:cpu:/\n"), None);
    }
}
