//! What this host can enforce, and where the leases' cells are.
use crate::{
    Cell,
    cell::LOW,
    groups::Group,
    marks::marked_by,
    mounts::{Mounts, homes_of, mounts},
    moves::Moves,
    process::stat,
    score::stand_as,
    small,
};
use bursar_interface::{ClaimId, bound::NEST_MAX};
use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

/// How the names of our groups begin.
pub(crate) const PREFIX: &str = "bursar-";
/// How the names of cells begin.
const LEASE: &str = "lease-";
/// Cells that are looked for in each other.
const PATH_MAX: usize = NEST_MAX as usize + 1;

/// How well something is enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// By the kernel.
    Hard,
    /// Sampled, and acted on afterwards.
    Weak,
    /// Not at all.
    Missing,
}

impl Strength {
    /// The word that `doctor` says.
    pub fn name(self) -> &'static str {
        match self {
            Strength::Hard => "ok",
            Strength::Weak => "weak",
            Strength::Missing => "missing",
        }
    }
}

/// What can be enforced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// A lease gets no more processor time than it holds.
    Cpu,
    /// A lease that passes its memory is killed, and nobody else.
    Memory,
    /// A lease has no more processes than it holds.
    Pids,
    /// A lease reads and writes no faster than it holds.
    Io,
    /// All processes of a lease can be found and killed.
    Kill,
}

impl Ability {
    /// All of them.
    pub const ALL: [Ability; 5] = [Ability::Cpu, Ability::Memory, Ability::Pids, Ability::Io, Ability::Kill];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Ability::Cpu => "cpu limit",
            Ability::Memory => "memory limit",
            Ability::Pids => "pids limit",
            Ability::Io => "io limit",
            Ability::Kill => "tree kill",
        }
    }
}

/// The hierarchies of this host, and our place in them.
#[derive(Clone, Debug, Default)]
pub struct Hierarchy {
    /// Our folder for each v1 controller.
    pub(crate) v1: Vec<(&'static str, Group)>,
    /// Our folder in v2.
    pub(crate) v2: Option<Group>,
    /// Controllers of v2 that cells have.
    pub(crate) v2_controllers: Vec<String>,
    /// Why something is not used, in words.
    notes: Vec<String>,
    /// Where the daemon answers whose leases these are; marks of others' are none of ours.
    pub(crate) socket: Option<PathBuf>,
    moves: Moves,
}

impl Hierarchy {
    /// Looks at this host and makes our folders, `bursar-INSTANCE` below this process's own groups.
    pub fn detect(instance: &str) -> Arc<Hierarchy> {
        match mounts() {
            Ok(mounts) => Arc::new(Hierarchy::make(&mounts, instance)),
            Err(error) => Arc::new(Hierarchy { notes: vec![error.to_string()], ..Hierarchy::default() }),
        }
    }

    /// A host on which we have no rights to control groups.
    pub fn weak() -> Arc<Hierarchy> {
        Arc::new(Hierarchy { notes: vec!["control groups are switched off".into()], ..Hierarchy::default() })
    }

    /// Of the daemon that answers there, whose leases without groups are told from other daemons' by that.
    pub fn of(self: Arc<Self>, socket: &Path) -> Arc<Hierarchy> {
        Arc::new(Hierarchy { socket: Some(socket.to_owned()), ..Arc::unwrap_or_clone(self) })
    }

    /// Finds out how quickly processes are moved here; `allowed` to have the kernel move them at once.
    pub fn hurried(self: Arc<Self>, allowed: bool) -> Arc<Hierarchy> {
        match self.grouped() {
            true => Arc::new(Hierarchy { moves: Moves::here(allowed), ..Arc::unwrap_or_clone(self) }),
            false => self,
        }
    }

    /// How processes are moved here.
    pub fn moves(&self) -> &Moves {
        &self.moves
    }

    fn make(mounts: &Mounts, instance: &str) -> Hierarchy {
        let mut made = Hierarchy::default();
        let name = format!("{PREFIX}{instance}");
        if let Some(own) = &mounts.v2 {
            let group = Group(own.join(&name));
            match usable(&group) {
                Ok(()) => {
                    made.v2_controllers = delegate(own, &group, &mut made.notes);
                    made.v2 = Some(group);
                }
                Err(error) => made.notes.push(format!("v2: {error}")),
            }
        }
        // Each group costs a short command 0.07 ms, and v2 counts processor time without a controller.
        let counted = made.v2.as_ref().is_some_and(|group| group.has("cpu.stat"));
        for (controller, own) in mounts.v1.iter().filter(|(name, _)| !(counted && **name == "cpuacct")) {
            let group = Group(own.join(&name));
            match usable(&group) {
                Ok(()) => made.v1.push((controller, group)),
                Err(error) => made.notes.push(format!("v1 {controller}: {error}")),
            }
        }
        made
    }

    /// How well each ability is enforced here.
    pub fn strength(&self, ability: Ability) -> Strength {
        let v1 = |name: &str| self.v1.iter().any(|(controller, _)| *controller == name);
        let v2 = |name: &str| self.v2_controllers.iter().any(|controller| controller == name);
        let hard = match ability {
            Ability::Cpu => v1("cpu") || v2("cpu"),
            Ability::Memory => v1("memory") || v2("memory"),
            Ability::Pids => v1("pids") || v2("pids"),
            Ability::Io => v2("io"),
            Ability::Kill => self.v2.is_some() || !self.v1.is_empty(),
        };
        match (hard, ability) {
            (true, _) => Strength::Hard,
            // What the kernel writes back later is not throttled by v1.
            (false, Ability::Io) if v1("blkio") => Strength::Weak,
            // A share of processor time, or of a disk's, cannot be taken back afterwards.
            (false, Ability::Cpu | Ability::Io) => Strength::Missing,
            (false, _) => Strength::Weak,
        }
    }

    /// Why something is not used, in words.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Which control groups are used, in a word: `v2`, `v1`, `v1+v2` or `none`.
    pub fn kind(&self) -> &'static str {
        match (self.v1.is_empty(), self.v2.is_some()) {
            (true, false) => "none",
            (true, true) => "v2",
            (false, false) => "v1",
            (false, true) => "v1+v2",
        }
    }

    /// Whether leases are groups of the kernel at all.
    pub fn grouped(&self) -> bool {
        self.v2.is_some() || !self.v1.is_empty()
    }

    /// The cell of a claim, made or not.
    pub fn cell(self: &Arc<Self>, claim: ClaimId) -> Cell {
        self.cell_at(&[claim])
    }

    /// The cell of the last claim of a path, which begins with the outermost one: it lies in the cell of the
    /// one before, so that the kernel holds all of them to what that one has.
    pub fn cell_at(self: &Arc<Self>, path: &[ClaimId]) -> Cell {
        Cell::new(self.clone(), path)
    }

    /// The claims whose cells are there, each as the path that leads to it from the outermost one: after a
    /// restart, those of an earlier life.
    pub fn cells(&self) -> Vec<Vec<ClaimId>> {
        let folders = self.v1.iter().map(|(_, group)| group).chain(&self.v2);
        let mut ahead: Vec<(PathBuf, Vec<ClaimId>)> =
            folders.map(|group| (group.0.clone(), Vec::new())).collect();
        let mut cells = Vec::new();
        while let Some((folder, around)) = ahead.pop() {
            for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
                let Some(claim) = entry.file_name().to_str().and_then(claim_of) else { continue };
                let path = [around.as_slice(), &[claim]].concat();
                if path.len() <= PATH_MAX {
                    ahead.push((entry.path(), path.clone()));
                }
                cells.push(path);
            }
        }
        cells.sort();
        cells.dedup();
        cells
    }

    /// The claim whose cell holds a process, if any.
    ///
    /// # Errors
    /// When that cannot be read: then nobody knows, and the process is not to be taken for a free one.
    pub fn holder(&self, pid: u32) -> io::Result<Option<ClaimId>> {
        if !self.grouped() {
            return Ok(marked_by(pid, self.socket.as_deref()));
        }
        let own = small::text(format!("/proc/{pid}/cgroup"))?;
        let ours: Vec<&str> = self.names().collect();
        // Where a hierarchy was not needed, it stands further out there than it lives.
        let cells = own.lines().filter_map(|line| {
            let path = line.splitn(3, ':').nth(2)?;
            let parts = path.split('/').skip_while(|part| !ours.contains(part)).skip(1);
            let cells: Vec<ClaimId> = parts.map_while(claim_of).collect();
            Some((cells.len(), *cells.last()?))
        });
        Ok(cells.max_by_key(|(depth, _)| *depth).map(|(_, claim)| claim))
    }

    /// The name of our folders, for each hierarchy.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        let folders = self.v1.iter().map(|(_, group)| group).chain(&self.v2);
        folders.filter_map(|group| group.0.file_name()?.to_str())
    }

    /// Takes this process out of the lease's cell that it was started in, if any: whoever ends that lease
    /// is not to end us.
    ///
    /// # Errors
    /// Names the group that did not take it.
    pub fn leave(&self) -> io::Result<()> {
        let own = std::process::id();
        let text = std::fs::read_to_string("/proc/self/cgroup")?;
        if !text.split(['/', '\n']).any(|part| part.starts_with(LEASE)) {
            return Ok(());
        }
        self.put_out(own)
    }

    /// Puts a process where its parent lives and stands, as if it had never been put into a cell.
    ///
    /// # Errors
    /// Names the group that did not take it; when it is gone, or its parent.
    pub fn put_back(&self, pid: u32) -> io::Result<()> {
        let parent = stat(pid)?.ok_or(io::ErrorKind::NotFound)?.parent;
        let homes = homes_of(parent)?;
        let v1 = self.v1.iter().filter_map(|(controller, _)| homes.v1.get(controller));
        v1.chain(self.v2.as_ref().and(homes.v2.as_ref()))
            .try_for_each(|home| Group(home.clone()).write("cgroup.procs", pid))?;
        stand_as(pid, parent)
    }

    /// Puts a process where this one lives, out of every cell.
    fn put_out(&self, pid: u32) -> io::Result<()> {
        let folders = self.v1.iter().map(|(_, group)| group).chain(&self.v2);
        folders
            .filter_map(|group| group.0.parent())
            .try_for_each(|above| Group(above.into()).write("cgroup.procs", pid))
    }

    /// The file that this process is in already, to be written again and again: see [`crate::Warmth`].
    pub(crate) fn own_procs(&self) -> Option<std::fs::File> {
        let folders = self.v1.iter().map(|(_, group)| group).chain(&self.v2);
        let mut files = folders.filter_map(|group| Some(group.0.parent()?.join("cgroup.procs")));
        let own = std::process::id().to_string();
        let stands_in = |file: &std::path::PathBuf| {
            std::fs::read_to_string(file).is_ok_and(|pids| pids.lines().any(|pid| pid == own))
        };
        let file = files.find(stands_in)?;
        std::fs::OpenOptions::new().write(true).open(file).ok()
    }

    /// Takes our folders away; cells that are left keep theirs.
    pub fn remove(&self) {
        for group in self.v1.iter().map(|(_, group)| group).chain(&self.v2) {
            // A folder that still has cells stays, and is found again.
            let _ = std::fs::remove_dir(&group.0);
        }
    }

    /// The groups of the cell that a path leads to.
    pub(crate) fn groups(&self, path: &[ClaimId]) -> (Vec<(&'static str, Group)>, Option<Group>) {
        let name: PathBuf = path.iter().map(|claim| format!("{LEASE}{claim}")).collect();
        let below = |group: &Group| Group(group.0.join(&name));
        let v1 = self.v1.iter().map(|(controller, group)| (*controller, below(group))).collect();
        (v1, self.v2.as_ref().map(below))
    }
}

/// The claim whose cell has this name.
pub(crate) fn claim_of(name: &str) -> Option<ClaimId> {
    name.strip_prefix(LEASE)?.parse().ok().map(ClaimId)
}

/// Makes a folder, and a trial group in it, as our cells will be.
fn usable(group: &Group) -> io::Result<()> {
    group.make()?;
    let trial = Group(group.0.join("trial"));
    trial.make()?;
    trial.remove().map(drop)
}

/// Hands the controllers of v2 down to our cells. A group that has processes of its own cannot do
/// so, except at the root.
fn delegate(own: &Path, ours: &Group, notes: &mut Vec<String>) -> Vec<String> {
    let own = Group(own.to_path_buf());
    let there = std::fs::read_to_string(own.0.join("cgroup.controllers")).unwrap_or_default();
    let mut handed = Vec::new();
    for controller in there.split_whitespace().filter(|name| ["cpu", "memory", "pids", "io"].contains(name)) {
        let down = own.write("cgroup.subtree_control", format!("+{controller}"));
        match down.and_then(|()| ours.write("cgroup.subtree_control", format!("+{controller}"))) {
            Ok(()) => handed.push(controller.to_owned()),
            Err(error) => notes.push(format!("v2 {controller}: {error}")),
        }
    }
    if handed.iter().any(|name| name == "memory") && ours.has(LOW) {
        // So that cells can be spared; how much all of them are is for the groups above to say.
        if let Err(error) = ours.write(LOW, "max") {
            notes.push(format!("v2 {LOW}: {error}"));
        }
    }
    handed
}

#[cfg(test)]
#[path = "unified.rs"]
mod unified;
