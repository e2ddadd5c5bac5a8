//! Resource and driver plugin: room on a disk, as a scratch folder for each lease that is measured, limited where the
//! filesystem can, and taken away with the lease.
#![deny(unsafe_code)]
mod measured;

use bursar_enforce::{
    Scratch, free_project, limit_project, make_root, project_bytes, projects_enforced, room,
};
use bursar_sdk::{ClaimId, Fence, bound::AMOUNT_MAX, prelude::*};
use measured::Measured;
use std::{
    collections::BTreeMap,
    fs::File,
    io,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// The pool's name.
const POOL: &str = "scratch";
/// How long one call may look or take away: well below what a driver may take (2 s).
const CALL: Duration = Duration::from_millis(1200);
/// Projects of ours have numbers from here on, up to twice as much.
const PROJECTS: u32 = 1 << 30;

/// Room on a disk.
#[derive(Default)]
pub struct Disk;

#[plugin(id = "disk")]
impl Resource for Disk {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "disk".into(),
            shape: Shape::Capacity,
            unit: "bytes".into(),
            min: 1,
            step: 1,
            piece: 0,
            springs: 0,
            driven: true,
        }
    }
}

/// Where scratch folders are, and how much of the disk is theirs.
#[config]
#[derive(PartialEq, Eq)]
struct Place {
    /// The folder that they lie in; the daemon's own by default. Without one there is no room.
    root: String,
    /// Whose they are, where several daemons have the same root: the daemon says so itself.
    owner: String,
    /// Percent of what is free at the start that are never offered.
    kept_percent: u8,
}

impl Default for Place {
    fn default() -> Place {
        Place { root: String::new(), owner: String::new(), kept_percent: 10 }
    }
}

/// Makes scratch folders, measures them, and takes them away.
pub struct Scratches {
    root: Option<PathBuf>,
    kept_percent: u8,
    /// Leases whose folders were made true, with what they may take.
    leases: BTreeMap<ClaimId, (Fence, Amount)>,
    measured: Measured,
}

impl Scratches {
    fn new(place: Place) -> Result<Scratches, Fault> {
        let Place { root, owner, kept_percent } = place;
        let wrong = |why: String| Err(Fault::new(format!("config: {why}")));
        if !root.is_empty() && !Path::new(&root).is_absolute() {
            return wrong(format!("root {root:?} is no absolute path; write it as \"/var/scratch\""));
        }
        if owner.contains(['/', '.']) {
            return wrong(format!("owner {owner:?} is no name"));
        }
        if kept_percent >= 100 {
            return wrong(format!("kept-percent {kept_percent} leaves nothing; write 0 to 99"));
        }
        let root = (!root.is_empty()).then(|| match owner.as_str() {
            "" => PathBuf::from(&root),
            owner => Path::new(&root).join(format!("bursar-{owner}")),
        });
        Ok(Scratches { root, kept_percent, leases: BTreeMap::new(), measured: Measured::default() })
    }

    fn root(&self) -> Result<&Path, Fault> {
        self.root.as_deref().ok_or_else(|| Fault::new("there is no root for scratch folders; set root"))
    }

    /// The folders that are there, by claim and fence.
    fn folders(&self) -> io::Result<Vec<(ClaimId, Fence)>> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        let entries = match std::fs::read_dir(root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let named = |entry: io::Result<std::fs::DirEntry>| {
            let name = entry.ok()?.file_name();
            let (claim, fence) = name.to_str()?.split_once('-')?;
            Some((ClaimId(claim.parse().ok()?), Fence(fence.parse().ok()?)))
        };
        Ok(entries.filter_map(named).collect())
    }

    /// What a lease takes, measured by then at the latest: by the filesystem where it counts, else file by file.
    fn look(&self, claim: ClaimId, fence: Fence, until: Instant) -> Option<u64> {
        let scratch = scratch(self.root.as_deref()?, claim, fence);
        let counted = || {
            let folder = scratch.open().ok()??;
            projects_enforced(&folder).then(|| project_bytes(&folder, project(claim)).ok())?
        };
        counted().or_else(|| scratch.measure(until).ok()?)
    }
}

/// The folder of a lease.
fn scratch(root: &Path, claim: ClaimId, fence: Fence) -> Scratch {
    Scratch::new(root, &format!("{claim}-{}", fence.0))
}

/// The project of a claim's folder, where the filesystem keeps quotas by project.
fn project(claim: ClaimId) -> u32 {
    PROJECTS | (claim.0 as u32 & (PROJECTS - 1))
}

/// How much room a lease holds.
fn amount(lease: &Lease) -> Amount {
    lease.lines.iter().filter(|line| line.resource == "disk").map(|line| line.amount).sum()
}

fn fault(error: &io::Error) -> Fault {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "; a plugin in a child writes only where [plugins.grant.disk] lets it"
        }
        _ => "",
    };
    Fault::new(format!("{error}{hint}"))
}

#[plugin(id = "disk", config = Place, new = Scratches::new)]
impl Driver for Scratches {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        let Some(root) = &self.root else { return Ok(Vec::new()) };
        make_root(root).map_err(|error| fault(&error))?;
        let (_, free) = room(root).map_err(|error| fault(&error))?;
        let until = Instant::now() + CALL;
        let folders = self.folders().map_err(|error| fault(&error))?;
        // What cannot be measured in time is taken for in use by others: less is offered, never more.
        let ours: u64 = folders.into_iter().filter_map(|(claim, fence)| self.look(claim, fence, until)).sum();
        // Of what is there for us, so that a disk which others have filled offers little, and not nothing.
        let there = free.saturating_add(ours);
        let kept = there / 100 * u64::from(self.kept_percent);
        let capacity = there.saturating_sub(kept).min(AMOUNT_MAX);
        Ok(vec![Supply { resource: "disk".into(), pool: POOL.into(), capacity, labels: Vec::new() }])
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        let bytes = amount(lease);
        if bytes == 0 {
            return Ok(());
        }
        let root = self.root()?;
        let scratch = scratch(root, lease.claim, lease.fence);
        scratch.make(lease.owner).map_err(|error| fault(&error))?;
        if let Some(folder) = scratch.open().map_err(|error| fault(&error))?
            && projects_enforced(&folder)
        {
            limit_project(&File::from(folder), project(lease.claim), bytes).map_err(|error| fault(&error))?;
        }
        self.leases.insert(lease.claim, (lease.fence, bytes));
        Ok(())
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        let Some(root) = &self.root else { return Ok(Proof::default()) };
        // One of an earlier life is known by its claim alone.
        let of_it = |(claim, fence): &(ClaimId, Fence)| {
            *claim == lease.claim && (lease.fence.0 == 0 || *fence == lease.fence)
        };
        let folders = self.folders().map_err(|error| fault(&error))?;
        let (until, mut entries) = (Instant::now() + CALL, 0);
        for (claim, fence) in folders.into_iter().filter(of_it) {
            let scratch = scratch(root, claim, fence);
            match scratch.clear(until).map_err(|error| fault(&error))? {
                Some(cleared) => entries += cleared.entries,
                None => return Err(Fault::new(format!("{} is not empty yet", scratch.path().display()))),
            }
        }
        if let Ok(root) = File::open(root)
            && projects_enforced(&root)
        {
            free_project(&root, project(lease.claim)).map_err(|error| fault(&error))?;
        }
        self.leases.remove(&lease.claim);
        self.measured.forget(lease.claim);
        Ok(Proof { evidence: format!("scratch folder gone with {entries} files and folders") })
    }

    fn holdings(&mut self) -> Result<Vec<Holding>, Fault> {
        let folders = self.folders().map_err(|error| fault(&error))?;
        let mut measured = std::mem::take(&mut self.measured);
        let live =
            folders.iter().filter(|(claim, fence)| self.leases.get(claim).is_some_and(|(of, _)| of == fence));
        measured.go_on(live.copied(), CALL, |claim, fence, until| self.look(claim, fence, until));
        self.measured = measured;
        let holding = |(claim, _): (ClaimId, Fence)| Holding {
            claim,
            resource: "disk".into(),
            pool: POOL.into(),
            used: self.measured.of(claim),
        };
        Ok(folders.into_iter().map(holding).collect())
    }

    fn environment(&mut self, lease: &Lease) -> Result<Vec<Variable>, Fault> {
        if amount(lease) == 0 {
            return Ok(Vec::new());
        }
        let path = scratch(self.root()?, lease.claim, lease.fence).path();
        Ok(vec![Variable { name: "BURSAR_SCRATCH".into(), value: path.display().to_string() }])
    }
}

#[cfg(test)]
mod tests;
