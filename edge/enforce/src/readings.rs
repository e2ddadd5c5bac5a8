//! What this host has and how it is doing, read from the kernel. What cannot be read is `None`.
use procfs::{Current, CurrentSI};
use std::fs;

/// Thousandths of a core that this process may use: its affinity, and the quota of its own groups.
pub fn cpus_milli() -> Option<u64> {
    let cores = std::thread::available_parallelism().ok()?;
    Some(cores.get() as u64 * 1000)
}

/// Bytes of memory that there are for this process: the machine's, or its own group's limit.
pub fn memory_bytes() -> Option<u64> {
    let machine = procfs::Meminfo::current().ok()?.mem_total;
    Some(own_limits("memory", &["memory.max", "memory.limit_in_bytes"]).fold(machine, u64::min))
}

/// Processes and threads that there may be for this process.
pub fn pids() -> Option<u64> {
    let number = |path: &str| fs::read_to_string(path).ok()?.trim().parse::<u64>().ok();
    let machine =
        number("/proc/sys/kernel/pid_max")?.min(number("/proc/sys/kernel/threads-max").unwrap_or(u64::MAX));
    Some(own_limits("pids", &["pids.max"]).fold(machine, u64::min))
}

/// Limits of this process's own groups and of those above them.
fn own_limits(controller: &'static str, files: &'static [&'static str]) -> impl Iterator<Item = u64> {
    let mounts = crate::mounts::mounts().unwrap_or_default();
    let own = mounts.v1.get(controller).cloned().into_iter().chain(mounts.v2);
    let ancestors = own.flat_map(|path| path.ancestors().map(ToOwned::to_owned).collect::<Vec<_>>());
    let texts =
        ancestors.flat_map(move |path| files.iter().map(move |file| fs::read_to_string(path.join(file))));
    texts.filter_map(|text| text.ok()?.trim().parse().ok())
}

/// The NVIDIA devices of this host by model, in the order of their bus addresses.
pub fn gpus() -> Vec<String> {
    let folder = fs::read_dir("/proc/driver/nvidia/gpus").into_iter().flatten().flatten();
    let mut devices: Vec<_> = folder.map(|device| device.path()).collect();
    devices.sort();
    let model = |text: String| {
        text.lines().find_map(|line| line.strip_prefix("Model:")).map(|name| name.trim().to_owned())
    };
    let models =
        devices.iter().map(|device| fs::read_to_string(device.join("information")).ok().and_then(model));
    models.map(|model| model.unwrap_or_else(|| "unknown".into())).collect()
}

/// Readings of the whole host; those that are a rate need two looks.
#[derive(Clone, Debug, Default)]
pub struct Readings {
    ticks: Option<(u64, u64)>,
}

impl Readings {
    /// Names and values as of now.
    pub fn take(&mut self) -> Vec<(&'static str, Option<f64>)> {
        let memory = procfs::Meminfo::current().ok();
        let load = procfs::LoadAverage::current().ok();
        let bytes = |value: Option<u64>| value.map(|bytes| bytes as f64);
        let [cpu, stalled, io] = ["cpu", "memory", "io"].map(pressure);
        vec![
            ("host_cpu_busy_ratio", self.busy()),
            ("host_load1", load.as_ref().map(|load| f64::from(load.one))),
            ("host_processes", load.as_ref().map(|load| f64::from(load.max))),
            ("host_memory_total_bytes", bytes(memory.as_ref().map(|memory| memory.mem_total))),
            ("host_memory_available_bytes", bytes(memory.as_ref().and_then(|memory| memory.mem_available))),
            ("host_cpu_pressure_some_avg10_percent", cpu),
            ("host_memory_pressure_some_avg10_percent", stalled),
            ("host_io_pressure_some_avg10_percent", io),
        ]
    }

    /// Share of processor time that was not idle since the last look.
    fn busy(&mut self) -> Option<f64> {
        let total = procfs::KernelStats::current().ok()?.total;
        let idle = total.idle + total.iowait.unwrap_or(0);
        let more = [total.irq, total.softirq, total.steal].into_iter().flatten().sum::<u64>();
        let all = total.user + total.nice + total.system + idle + more;
        let (idle_before, all_before) = self.ticks.replace((idle, all))?;
        let passed = all.checked_sub(all_before).filter(|passed| *passed > 0)?;
        Some(1.0 - idle.saturating_sub(idle_before) as f64 / passed as f64)
    }
}

/// Share of time in which something waited for a resource, over ten seconds.
fn pressure(resource: &str) -> Option<f64> {
    let text = fs::read_to_string(format!("/proc/pressure/{resource}")).ok()?;
    let some = text.lines().find(|line| line.starts_with("some "))?;
    some.split(' ').find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_host_can_be_read() {
        assert!(cpus_milli().is_some_and(|milli| milli >= 1000));
        assert!(memory_bytes().is_some_and(|bytes| bytes > 1 << 20));
        assert!(pids().is_some_and(|pids| pids > 1));
        let mut readings = Readings::default();
        let first = readings.take();
        assert_eq!(first[0], ("host_cpu_busy_ratio", None), "a rate needs two looks");
        assert!(first.iter().any(|(name, value)| *name == "host_memory_total_bytes" && value.is_some()));
        assert_eq!(gpus().len(), gpus().len());
    }
}
