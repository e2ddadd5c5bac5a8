//! The cell of one lease: what lives in it, what it may use, what it used.
use crate::{
    Hierarchy,
    groups::{Group, WayIn},
    marks::marked,
    process::{Watch, same, signal_all},
};
use bursar_interface::{ClaimId, Process};
use rustix::process::Signal;
use std::{io, path::PathBuf, sync::Arc};

/// The kernel's period for processor time, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;
/// The smallest share of a period that the kernel takes, in microseconds.
const CPU_QUOTA_US_MIN: u64 = 1_000;

/// What a group is spared on v2, as long as there is anything else to take.
pub(crate) const LOW: &str = "memory.low";
/// A soft limit on v1.
const SOFT_V1: &str = "memory.soft_limit_in_bytes";

/// The group below a cell's own in which its processes live, where v2 limits.
pub(crate) const LEAF: &str = "own";

/// What a lease may use; `None` for no limit of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Thousandths of a core.
    pub cpu_milli: Option<u64>,
    /// Bytes.
    pub memory_bytes: Option<u64>,
    /// Bytes from which on its processes are slowed down (v2), or the kernel takes from it first (v1).
    pub memory_soft: Option<u64>,
    /// Bytes that the kernel takes from it last of all, where it can be told so (v2).
    pub memory_low: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes a second that it may read, and write, of each disk.
    pub io_bytes: Option<u64>,
}

/// All that a process needs to be put into a cell at once.
#[derive(Debug)]
pub struct Entrance {
    process: Process,
    watch: Watch,
    ways: Vec<WayIn>,
}

impl Entrance {
    /// Whose it is.
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// One lease's groups, or its processes where there are no groups.
#[derive(Clone, Debug)]
pub struct Cell {
    claim: ClaimId,
    pub(crate) grouped: bool,
    pub(crate) v1: Vec<(&'static str, Group)>,
    pub(crate) v2: Option<Group>,
    pub(crate) v2_controllers: Vec<String>,
    /// Attached processes; only needed where there are no groups.
    roots: Vec<Process>,
    /// Where the daemon answers, by which its marks are told from others'; only needed there, too.
    socket: Option<PathBuf>,
    pub(crate) limits: Limits,
    /// What the cells around it are limited in.
    around: Limits,
    /// Where v2 limits: its processes live in a group of their own below, because one that hands its
    /// controllers down to those within has none itself.
    leaf: Option<Group>,
    /// Which of its groups were made, each by the bit of its place among all.
    made: u32,
    /// It was made from nothing, and there is no group of it but those.
    known: bool,
    /// The most memory seen at a look, where there are no groups.
    pub(crate) sampled_peak: Option<u64>,
    /// Killed for passing a limit at a look.
    sampled_kills: u64,
}

impl Cell {
    pub(crate) fn new(hierarchy: Arc<Hierarchy>, path: &[ClaimId]) -> Cell {
        let (v1, v2) = hierarchy.groups(path);
        let limited = v2.as_ref().filter(|_| !hierarchy.v2_controllers.is_empty());
        Cell {
            claim: path.last().copied().unwrap_or_default(),
            leaf: limited.map(|group| Group(group.0.join(LEAF))),
            around: Limits::default(),
            grouped: hierarchy.grouped(),
            v1,
            v2,
            v2_controllers: hierarchy.v2_controllers.clone(),
            roots: Vec::new(),
            socket: hierarchy.socket.clone(),
            limits: Limits::default(),
            made: 0,
            known: false,
            sampled_peak: None,
            sampled_kills: 0,
        }
    }

    /// Whose it is.
    pub fn claim(&self) -> ClaimId {
        self.claim
    }

    /// The cell lies in one with these limits: its processes are to be where that one is limited.
    pub fn surround(&mut self, limits: Limits) {
        let around = &mut self.around;
        around.cpu_milli = around.cpu_milli.or(limits.cpu_milli);
        around.memory_bytes = around.memory_bytes.or(limits.memory_bytes);
        around.pids = around.pids.or(limits.pids);
        around.io_bytes = around.io_bytes.or(limits.io_bytes);
    }

    /// Makes the groups and sets the limits; again for a cell that is there.
    ///
    /// # Errors
    /// Names the group or file that could not be written.
    pub fn build(&mut self, limits: Limits) -> io::Result<()> {
        self.limits = limits;
        self.make()?;
        if let (Some(leaf), Some(group)) = (&self.leaf, &self.v2) {
            let down: Vec<String> = self.v2_controllers.iter().map(|name| format!("+{name}")).collect();
            group.write("cgroup.subtree_control", down.join(" "))?;
            leaf.make()?;
        }
        let (v1, v2) = (|name: &str| self.v1_group(name), |name: &str| self.v2_group(name));
        if let Some(milli) = limits.cpu_milli {
            let quota = (milli * CPU_PERIOD_US / 1000).max(CPU_QUOTA_US_MIN);
            if let Some(group) = v2("cpu") {
                group.write("cpu.max", format!("{quota} {CPU_PERIOD_US}"))?;
            } else if let Some(group) = v1("cpu") {
                // The period is what a new group has.
                group.write("cpu.cfs_quota_us", quota)?;
            }
        }
        if let Some(bytes) = limits.memory_bytes {
            if let Some(group) = v2("memory") {
                group.write("memory.max", bytes)?;
                if group.has("memory.swap.max") {
                    group.write("memory.swap.max", 0)?;
                }
            } else if let Some(group) = v1("memory") {
                limit_v1_memory(group, bytes)?;
            }
        }
        if let Some(soft) = limits.memory_soft {
            if let Some(group) = v2("memory").filter(|group| group.has("memory.high")) {
                group.write("memory.high", soft)?;
            } else if let Some(group) = v1("memory").filter(|group| group.has(SOFT_V1)) {
                group.write(SOFT_V1, soft)?;
            }
        }
        if let Some(low) = limits.memory_low
            && let Some(group) = v2("memory").filter(|group| group.has(LOW))
        {
            // What a group is spared is shared out below it by what each asks for.
            [Some(group), self.leaf.as_ref()]
                .into_iter()
                .flatten()
                .try_for_each(|group| group.write(LOW, low))?;
        }
        if let Some(pids) = limits.pids
            && let Some(group) = v2("pids").or_else(|| v1("pids"))
        {
            group.write("pids.max", pids)?;
        }
        limits.io_bytes.map_or(Ok(()), |bytes| self.throttle(bytes))
    }

    /// Makes the groups that are needed.
    fn make(&mut self) -> io::Result<()> {
        let (mut made, mut new) = (0, true);
        for (place, group) in self.needed() {
            new &= group.make()?;
            made |= 1 << place;
        }
        if self.made == 0 {
            self.known = new;
        }
        self.made |= made;
        Ok(())
    }

    /// Others will live within it, in cells of their own: those make what they need of it.
    pub fn enclose(&mut self) {
        self.known = false;
    }

    /// Its group of a v1 controller, if it may be there.
    pub(crate) fn v1_group(&self, name: &str) -> Option<&Group> {
        let place = self.v1.iter().position(|(controller, _)| *controller == name)?;
        self.v1.get(place).filter(|_| self.may_have(place)).map(|(_, group)| group)
    }

    /// Whether the group at this place may be there.
    fn may_have(&self, place: usize) -> bool {
        !self.known || self.made & 1 << place != 0
    }

    /// Its group of v2, where that has the controller.
    pub(crate) fn v2_group(&self, name: &str) -> Option<&Group> {
        self.v2.as_ref().filter(|_| self.v2_controllers.iter().any(|has| has == name))
    }

    /// The limits in force.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Whether its groups are there.
    pub fn is_built(&self) -> bool {
        self.needed().next().is_some() && self.needed().all(|(_, group)| group.is_there())
    }

    /// Whether all that these limits need was made, as far as is known here.
    pub fn stands(&self, limits: Limits) -> bool {
        self.limits == limits && self.needed().all(|(place, _)| self.made & 1 << place != 0)
    }

    /// Puts a process in, with what it starts from then on; watches it from then on.
    ///
    /// # Errors
    /// When the process is gone or another, or a group does not take it.
    pub fn join(&mut self, process: &Process) -> io::Result<Watch> {
        let entrance = self.open(process)?;
        self.enter(entrance)
    }

    /// Does all that can be done before a process is put in, without any effect on it.
    ///
    /// # Errors
    /// Those of [`Cell::join`].
    pub fn open(&self, process: &Process) -> io::Result<Entrance> {
        let watch = Watch::open(process);
        watch.still(process)?;
        let ways = self.homes().map(Group::way_in).collect::<io::Result<_>>()?;
        Ok(Entrance { process: process.clone(), watch, ways })
    }

    /// Puts a process in for which all is ready.
    ///
    /// # Errors
    /// Those of [`Cell::join`].
    pub fn enter(&mut self, entrance: Entrance) -> io::Result<Watch> {
        let Entrance { process, watch, mut ways } = entrance;
        watch.still(&process)?;
        ways.iter_mut().try_for_each(|way| way.take(process.pid))?;
        // The pid may have passed on between the first look and the write, but not of one that is still there.
        watch.still(&process)?;
        self.remember(&process);
        Ok(watch)
    }

    /// The groups in which its processes are to live.
    pub(crate) fn homes(&self) -> impl Iterator<Item = &Group> {
        let lives_in = |group| if Some(group) == self.v2.as_ref() { self.leaf.as_ref() } else { None };
        self.needed().map(move |(_, group)| lives_in(group).unwrap_or(group))
    }

    /// Remembers an attached process that is in already.
    pub fn remember(&mut self, process: &Process) {
        if !self.roots.contains(process) {
            self.roots.push(process.clone());
        }
    }

    /// The processes in it.
    pub fn members(&self) -> Vec<u32> {
        if self.grouped {
            let mut members: Vec<u32> = self.groups().flat_map(Group::members).collect();
            members.sort_unstable();
            members.dedup();
            return members;
        }
        let roots: Vec<u32> = self.roots.iter().filter(|root| same(root)).map(|root| root.pid).collect();
        marked(self.claim, &roots, self.socket.as_deref())
    }

    /// Processes that were killed because the lease passed its memory; `None` where it could not be
    /// measured.
    pub fn oom_kills(&self) -> Option<u64> {
        let kills_v1 =
            self.v1_group("memory").and_then(|group| group.keyed("memory.oom_control", "oom_kill"));
        // Those of the cells within are theirs to tell.
        let own = self.v2_group("memory").map(|group| self.leaf.as_ref().unwrap_or(group));
        let kills_v2 = || own.and_then(|group| group.keyed("memory.events", "oom_kill"));
        kills_v1.or_else(kills_v2).or((!self.grouped).then_some(self.sampled_kills))
    }

    /// Asks everything in it to end.
    pub fn term(&self) {
        signal_all(Signal::TERM, || self.members());
    }

    /// Kills everything in it. One call may not be enough against a process that forks meanwhile where
    /// the kernel has no `cgroup.kill`; call again until it is empty.
    pub fn kill(&self) {
        if let Some(group) = self.v2.as_ref().filter(|group| group.has("cgroup.kill"))
            && group.write("cgroup.kill", 1).is_ok()
        {
            return;
        }
        let freezer = self.v1_group("freezer");
        // Frozen processes do not fork; they take the signal when they thaw. Without it, the next call
        // finds those that were born meanwhile.
        freezer.map(|group| group.write("freezer.state", "FROZEN"));
        signal_all(Signal::KILL, || self.members());
        freezer.map(|group| group.write("freezer.state", "THAWED"));
    }

    /// Takes the groups away; `false` while something lives in them.
    ///
    /// # Errors
    /// Names the group that could not be taken away.
    pub fn remove(&self) -> io::Result<bool> {
        if !self.grouped {
            return Ok(self.members().is_empty());
        }
        // Whoever lives in one lives in all: as long as the first stays, so do the others.
        for group in self.groups() {
            if !group.remove()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where there are no groups: measures, and kills what passed a limit; says whether it did. To be
    /// called four times a second.
    pub fn sample(&mut self) -> bool {
        if self.grouped {
            return false;
        }
        let members = self.members();
        let memory = resident(&members);
        self.sampled_peak = Some(self.sampled_peak.unwrap_or(0).max(memory));
        let over = self.limits.memory_bytes.is_some_and(|limit| memory > limit)
            || self.limits.pids.is_some_and(|limit| members.len() as u64 > limit);
        if over {
            self.sampled_kills += 1;
            self.kill();
        }
        over
    }

    /// Memory of its processes at present, in bytes.
    pub(crate) fn resident(&self) -> u64 {
        resident(&self.members())
    }

    /// Every move into a group holds up all forks of the machine for a moment, so a process joins only
    /// those that limit or measure what was asked for, and the one of v2, which knows it and kills. Each with its place
    /// among all.
    fn needed(&self) -> impl Iterator<Item = (usize, &Group)> {
        let (own, around) = (self.limits, self.around);
        let needs = move |controller: &str| match controller {
            "cpu" | "cpuacct" => own.cpu_milli.or(around.cpu_milli).is_some(),
            "memory" => own.memory_bytes.or(around.memory_bytes).is_some(),
            "pids" => own.pids.or(around.pids).is_some(),
            "blkio" => own.io_bytes.or(around.io_bytes).is_some(),
            _ => false,
        };
        let all = self.v2.is_none();
        let needed = move |place: usize| self.v1.get(place).is_none_or(|(name, _)| all || needs(name));
        self.places().filter(move |(place, _)| needed(*place))
    }

    /// Those that may be there.
    fn groups(&self) -> impl Iterator<Item = &Group> {
        self.places().filter(|(place, _)| self.may_have(*place)).map(|(_, group)| group)
    }

    /// All that there may be, the one of v2 last, each with its place.
    pub(crate) fn places(&self) -> impl Iterator<Item = (usize, &Group)> {
        self.v1.iter().map(|(_, group)| group).chain(&self.v2).enumerate()
    }
}

fn resident(members: &[u32]) -> u64 {
    let page = rustix::param::page_size() as u64;
    let one = |pid: &u32| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
        text.split(' ').nth(1)?.parse::<u64>().ok().map(|pages| pages * page)
    };
    members.iter().filter_map(one).sum()
}

/// Memory and swap together are limited too where the kernel counts them; the one must never be above
/// the other, so the order depends on which way it goes.
fn limit_v1_memory(group: &Group, bytes: u64) -> io::Result<()> {
    let both = "memory.memsw.limit_in_bytes";
    if group.number(both).is_some_and(|now| now < bytes) {
        group.write(both, bytes)?;
    }
    group.write("memory.limit_in_bytes", bytes)?;
    if group.has(both) {
        group.write(both, bytes)?;
    }
    Ok(())
}
