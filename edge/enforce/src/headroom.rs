//! How much memory this machine could still give without harm: of the machine as a whole, and of the groups around this
//! process that limit it. Files that can be dropped count as free; neither load nor free pages alone say anything.
use crate::{groups::Group, mounts::mounts};
use procfs::Current;

/// The memory of a machine, or of a group that limits it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// All of it, in bytes.
    pub total: u64,
    /// What could be given, in bytes.
    pub available: u64,
}

impl Memory {
    /// What is in use and cannot simply be dropped, in bytes.
    pub fn used(&self) -> u64 {
        self.total.saturating_sub(self.available)
    }
}

/// Where memory is looked at.
#[derive(Clone, Debug, Default)]
pub struct Headroom {
    /// This process's own groups and those around them: v1's, and v2's.
    v1: Vec<Group>,
    v2: Vec<Group>,
}

impl Headroom {
    /// Finds out where this process stands.
    pub fn detect() -> Headroom {
        let mounts = mounts().unwrap_or_default();
        let around = |own: &std::path::PathBuf| own.ancestors().map(|path| Group(path.into())).collect();
        Headroom {
            v1: mounts.v1.get("memory").map(around).unwrap_or_default(),
            v2: mounts.v2.as_ref().map(around).unwrap_or_default(),
        }
    }

    /// Whichever is nearest to its end: the machine, or a group around this process. `None` where nothing of that
    /// can be read.
    pub fn look(&self) -> Option<Memory> {
        let info = procfs::Meminfo::current().ok();
        let machine = info.and_then(|info| {
            Some(Memory { total: info.mem_total, available: info.mem_available?.min(info.mem_total) })
        });
        let most = machine.map_or(u64::MAX, |machine| machine.total);
        let v1 = self.v1.iter().filter_map(|group| limited(group, &V1, most));
        let v2 = self.v2.iter().filter_map(|group| limited(group, &V2, most));
        let part = |memory: &Memory| u128::from(memory.available) * 1000 / u128::from(memory.total.max(1));
        machine.into_iter().chain(v1).chain(v2).min_by_key(part)
    }
}

/// The files of a hierarchy that say it.
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: memory of files, which can be dropped.
    files: [&'static str; 2],
}

const V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};

const V2: Files =
    Files { limit: "memory.max", usage: "memory.current", files: ["inactive_file", "active_file"] };

/// The memory of a group, if it has a limit of its own below what the machine has.
fn limited(group: &Group, files: &Files, most: u64) -> Option<Memory> {
    let total = group.number(files.limit).filter(|limit| *limit < most)?;
    let usage = group.number(files.usage)?;
    let droppable: u64 = files.files.iter().filter_map(|key| group.keyed("memory.stat", key)).sum();
    let available = total.saturating_sub(usage.saturating_sub(droppable));
    Some(Memory { total, available })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn this_machine_has_some_left() {
        let memory = Headroom::detect().look().expect("memory can be read");
        assert!(memory.available > 0 && memory.available <= memory.total, "{memory:?}");
    }

    #[test]
    fn the_nearest_to_its_end_counts_and_files_that_can_be_dropped_are_free() {
        let folder = tempfile::tempdir().expect("a folder");
        let outer = folder.path().to_path_buf();
        let inner = outer.join("inner");
        fs::create_dir(&inner).expect("made");
        let fill = |at: &std::path::Path, limit: &str, usage: u64, file: u64| {
            fs::write(at.join("memory.limit_in_bytes"), limit).expect("written");
            fs::write(at.join("memory.usage_in_bytes"), usage.to_string()).expect("written");
            let stat = format!("cache 1\ntotal_inactive_file {file}\ntotal_active_file 0\n");
            fs::write(at.join("memory.stat"), stat).expect("written");
        };
        // What v1 says where there is no limit.
        fill(&outer, "9223372036854771712", 1 << 20, 0);
        fill(&inner, "1048576", 1 << 20, 1 << 19);
        let headroom = Headroom { v1: vec![Group(inner.clone()), Group(outer)], v2: Vec::new() };
        let look = headroom.look().expect("read");
        assert_eq!(look, Memory { total: 1 << 20, available: 1 << 19 });
        assert_eq!(look.used(), 1 << 19);
        fill(&inner, "1048576", 2 << 20, 0);
        assert_eq!(
            headroom.look().map(|memory| memory.available),
            Some(0),
            "above its limit nothing is left"
        );
    }
}
