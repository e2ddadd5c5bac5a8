//! How much memory this machine could still give without harm: of the machine as a whole, and of the groups around this
//! process that limit it. Files that can be dropped count as free; neither load nor free pages alone say anything.
use crate::{
    counter::{COUNTER_BYTES_MAX, Counter},
    groups::Group,
    mounts::mounts,
};
use std::path::Path;

/// Where the machine's memory is told.
const MACHINE: &str = "/proc/meminfo";

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

/// Where memory is looked at, again and again: its files stay open.
#[derive(Debug)]
pub struct Headroom {
    machine: Counter,
    /// This process's own groups and those around them that can be limited.
    around: Vec<Limited>,
}

impl Headroom {
    /// Finds out where this process stands.
    pub fn detect() -> Headroom {
        let mounts = mounts().unwrap_or_default();
        let of = |own: Option<&std::path::PathBuf>, files: &'static Files| {
            let around = own.into_iter().flat_map(|own| own.ancestors());
            around.filter_map(|path| Limited::of(path, files)).collect::<Vec<_>>()
        };
        let v1 = of(mounts.v1.get("memory"), &V1);
        let around = v1.into_iter().chain(of(mounts.v2.as_ref(), &V2)).collect();
        Headroom { machine: Counter::new(MACHINE.into(), true), around }
    }

    /// Whichever is nearest to its end: the machine, or a group around this process. `None` where nothing of that
    /// can be read.
    pub fn look(&mut self) -> Option<Memory> {
        let buffer = &mut [0; COUNTER_BYTES_MAX];
        let machine = self.machine.text(buffer).and_then(machine);
        let most = machine.map_or(u64::MAX, |machine| machine.total);
        let around = self.around.iter_mut().filter_map(|group| group.look(most, buffer));
        let part = |memory: &Memory| u128::from(memory.available) * 1000 / u128::from(memory.total.max(1));
        machine.into_iter().chain(around).min_by_key(part)
    }
}

/// What a machine has, and could give.
fn machine(text: &str) -> Option<Memory> {
    let kibibytes = |key: &str| {
        let rest = text.lines().find_map(|line| line.strip_prefix(key))?;
        Some(rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? << 10)
    };
    let total = kibibytes("MemTotal:")?;
    Some(Memory { total, available: kibibytes("MemAvailable:")?.min(total) })
}

/// The files of a hierarchy that say it.
#[derive(Debug)]
struct Files {
    limit: &'static str,
    usage: &'static str,
    /// In `memory.stat`: memory of files, which can be dropped.
    files: [&'static str; 2],
}

static V1: Files = Files {
    limit: "memory.limit_in_bytes",
    usage: "memory.usage_in_bytes",
    files: ["total_inactive_file", "total_active_file"],
};

static V2: Files =
    Files { limit: "memory.max", usage: "memory.current", files: ["inactive_file", "active_file"] };

/// A group that may limit memory.
#[derive(Debug)]
struct Limited {
    limit: Counter,
    usage: Counter,
    stat: Counter,
    files: [&'static str; 2],
}

impl Limited {
    /// The group of this path, if memory can be limited there.
    fn of(path: &Path, files: &'static Files) -> Option<Limited> {
        let counter = |file: &str| Counter::new(path.join(file), true);
        Group(path.into()).has(files.limit).then(|| Limited {
            limit: counter(files.limit),
            usage: counter(files.usage),
            stat: counter("memory.stat"),
            files: files.files,
        })
    }

    /// Its memory, if it has a limit of its own below what the machine has.
    fn look(&mut self, most: u64, buffer: &mut [u8; COUNTER_BYTES_MAX]) -> Option<Memory> {
        let total = self.limit.number().filter(|limit| *limit < most)?;
        let usage = self.usage.number()?;
        let droppable: u64 = self.files.iter().filter_map(|key| self.stat.keyed(key, buffer)).sum();
        let available = total.saturating_sub(usage.saturating_sub(droppable));
        Some(Memory { total, available })
    }
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
        let around = [&inner, &outer].map(|path| Limited::of(path, &V1).expect("it can be limited"));
        let mut headroom = Headroom { around: around.into(), ..Headroom::detect() };
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
