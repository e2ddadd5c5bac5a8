//! What a cell uses at present, read from the kernel's counters. What has no counter here is `None`.
use crate::{Cell, groups::Group};
use bursar_interface::Gauge;

impl Cell {
    /// What it has used when it ends: only what is not over by then.
    pub fn last_gauge(&self) -> Gauge {
        let memory_v1 =
            || self.v1_group("memory").and_then(|group| group.number("memory.max_usage_in_bytes"));
        let memory_v2 = || self.v2_group("memory").and_then(|group| group.number("memory.peak"));
        Gauge {
            cpu_ns: self.cpu_ns(),
            memory_peak: memory_v2().or_else(memory_v1).or(self.sampled_peak),
            io_read: self.io("rbytes="),
            io_write: self.io("wbytes="),
            ..Gauge::default()
        }
    }

    fn cpu_ns(&self) -> Option<u64> {
        let v1 = self.v1_group("cpuacct").and_then(|group| group.number("cpuacct.usage"));
        let v2 = || self.v2.as_ref()?.keyed("cpu.stat", "usage_usec").map(|us| us.saturating_mul(1000));
        v1.or_else(v2)
    }

    fn io(&self, key: &str) -> Option<u64> {
        self.v2_group("io").and_then(|group| summed(&group.text("io.stat")?, key))
    }

    /// Looks once: a handful of small files, and those of its processes where its memory has no group.
    pub fn gauge(&self) -> Gauge {
        let (v1, v2) = (|name: &str| self.v1_group(name), |name: &str| self.v2_group(name));
        let memory = v2("memory").map(memory_v2).or_else(|| v1("memory").and_then(memory_v1));
        let memory = memory.unwrap_or_else(|| self.memory_of_processes());
        Gauge {
            cpu_ns: self.cpu_ns(),
            io_read: self.io("rbytes="),
            io_write: self.io("wbytes="),
            pids: v2("pids")
                .or_else(|| v1("pids"))
                .and_then(|group| group.number("pids.current"))
                .or_else(|| Some(self.inhabitants().len() as u64)),
            memory_pressure_milli: self
                .v2
                .as_ref()
                .and_then(|group| stalled(&group.text("memory.pressure")?)),
            ..memory
        }
    }

    /// Its processes as they are counted: every process joins the first group that there is, and one group is enough.
    fn inhabitants(&self) -> Vec<u32> {
        let home = self.v2.as_ref().or_else(|| self.v1.first().map(|(_, group)| group));
        home.filter(|_| self.grouped).map_or_else(|| self.members(), Group::members)
    }

    /// As far as its living processes tell; memory that two of them share counts twice.
    fn memory_of_processes(&self) -> Gauge {
        let page = rustix::param::page_size() as u64;
        let (mut memory, mut anonymous) = (0, 0);
        for pid in self.inhabitants() {
            let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/statm")) else { continue };
            let mut pages = text.split(' ').skip(1).map(|number| number.parse::<u64>().unwrap_or(0));
            let (resident, shared) = (pages.next().unwrap_or(0), pages.next().unwrap_or(0));
            memory += resident * page;
            anonymous += resident.saturating_sub(shared) * page;
        }
        Gauge {
            memory: Some(memory),
            anonymous: Some(anonymous),
            memory_peak: self.sampled_peak,
            ..Gauge::default()
        }
    }
}

fn memory_v2(group: &Group) -> Gauge {
    Gauge {
        memory: group.number("memory.current"),
        anonymous: group.keyed("memory.stat", "anon"),
        memory_peak: group.number("memory.peak"),
        ..Gauge::default()
    }
}

/// `None` where the cell has no such group because its memory is not limited.
fn memory_v1(group: &Group) -> Option<Gauge> {
    Some(Gauge {
        memory: Some(group.number("memory.usage_in_bytes")?),
        anonymous: group.keyed("memory.stat", "total_rss"),
        memory_peak: group.number("memory.max_usage_in_bytes"),
        ..Gauge::default()
    })
}

/// All numbers behind a word, as `rbytes=` in `io.stat`, which has a line for each disk.
fn summed(text: &str, key: &str) -> Option<u64> {
    text.split_whitespace()
        .filter_map(|word| word.strip_prefix(key))
        .map(|number| number.parse::<u64>().ok())
        .sum()
}

/// `some avg10=1.23 …` in thousandths: 12.
fn stalled(text: &str) -> Option<u64> {
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    let (whole, hundredths) =
        some.split(' ').find_map(|word| word.strip_prefix("avg10="))?.split_once('.')?;
    Some(whole.parse::<u64>().ok()? * 10 + hundredths.parse::<u64>().ok()? / 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_tables_are_read() {
        let text = "8:0 rbytes=10 wbytes=2 rios=1\n8:16 rbytes=5 wbytes=1 rios=1\n";
        assert_eq!((summed(text, "rbytes="), summed(text, "wbytes=")), (Some(15), Some(3)));
        assert_eq!(summed("", "rbytes="), Some(0), "nothing was read yet");
        assert_eq!(stalled("some avg10=12.34 avg60=0.00 total=1\nfull avg10=0.00"), Some(123));
        assert_eq!(stalled("nothing"), None);
    }
}
