//! Resource, driver and metric plugin: the NVIDIA devices of this host, by NVML where it is installed.
//!
//! Who holds a device hears which one by `CUDA_VISIBLE_DEVICES`; that it came back is proved by the device's own list
//! of processes.
#![deny(unsafe_code)]
mod devices;

use bursar_enforce::{gpus, identify};
use bursar_sdk::{ClaimId, LeaseLine, prelude::*};
use devices::{Device, Known};
use std::collections::{BTreeMap, BTreeSet};

/// A whole device, in thousandths.
const WHOLE: Amount = 1000;
/// The number of the first namespace of pids, from which every process is seen.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// Graphics devices, whole or by thousandths; two devices are two lines.
#[derive(Default)]
pub struct Gpu;

#[plugin(id = "gpu")]
impl Resource for Gpu {
    fn spec(&self) -> ResourceSpec {
        ResourceSpec {
            name: "gpu".into(),
            shape: Shape::Unit,
            unit: "thousandths".into(),
            min: 1,
            step: 1,
            piece: WHOLE,
            springs: 0,
            driven: true,
        }
    }
}

/// Where devices are told of.
#[config]
#[derive(Default, PartialEq, Eq)]
struct Source {
    /// A file that stands for NVML, as recorded from it; NVML itself if empty.
    recorded: String,
}

/// Shows leases their devices, and takes them back.
pub struct Gpus {
    source: Source,
    devices: Known,
    /// Who was on a lease's devices before it, by claim and pool.
    before: BTreeMap<(ClaimId, String), BTreeSet<u32>>,
}

impl Gpus {
    fn new(source: Source) -> Result<Gpus, Fault> {
        Ok(Gpus { source, devices: Known::default(), before: BTreeMap::new() })
    }

    fn look(&mut self) -> Result<Vec<Device>, String> {
        self.devices.look(&self.source.recorded)
    }
}

/// The number of the device that a pool is: `gpu3` is 3.
fn number(pool: &str) -> Option<usize> {
    pool.strip_prefix("gpu")?.parse().ok()
}

fn lines(lease: &Lease) -> impl Iterator<Item = &LeaseLine> {
    lease.lines.iter().filter(|line| line.resource == "gpu")
}

#[plugin(id = "gpu", config = Source, new = Gpus::new)]
impl Driver for Gpus {
    fn discover(&mut self) -> Result<Vec<Supply>, Fault> {
        // Without NVML it is known which there are, and nothing else of them.
        let models = match self.look() {
            Ok(devices) => devices.into_iter().map(|device| device.model).collect(),
            Err(_) if self.source.recorded.is_empty() => gpus(),
            Err(why) => return Err(Fault::new(why)),
        };
        let supply = |(number, model)| Supply {
            resource: "gpu".into(),
            pool: format!("gpu{number}"),
            capacity: WHOLE,
            labels: vec![model],
        };
        Ok(models.into_iter().enumerate().map(supply).collect())
    }

    fn enforce(&mut self, lease: &Lease) -> Result<(), Fault> {
        let Ok(devices) = self.look() else { return Ok(()) };
        for line in lines(lease) {
            let device = number(&line.pool).and_then(|number| devices.get(number));
            let there = device.and_then(|device| device.processes.clone()).unwrap_or_default();
            self.before
                .entry((lease.claim, line.pool.clone()))
                .or_insert_with(|| there.into_iter().collect());
        }
        Ok(())
    }

    fn release(&mut self, lease: &Lease) -> Result<Proof, Fault> {
        let devices = self.look();
        let mut evidence = Vec::new();
        for line in lines(lease) {
            let pool = &line.pool;
            let told = match (&devices, number(pool)) {
                (Err(_), _) => Ok(format!("{pool}: without NVML its processes are not known")),
                (Ok(_), None) => Ok(format!("{pool} is no device of this host")),
                (Ok(devices), Some(number)) => match devices.get(number) {
                    None => Err(format!("{pool} is not there any more")),
                    Some(device) => {
                        let none = BTreeSet::new();
                        let before = self.before.get(&(lease.claim, pool.clone())).unwrap_or(&none);
                        proved(line, device, before)
                    }
                },
            };
            evidence.push(told.map_err(Fault::new)?);
        }
        self.before.retain(|(claim, _), _| *claim != lease.claim);
        Ok(Proof { evidence: evidence.join(", ") })
    }

    fn environment(&mut self, lease: &Lease) -> Result<Vec<Variable>, Fault> {
        let devices = self.look().unwrap_or_default();
        let name = |line: &LeaseLine| {
            let number = number(&line.pool)?;
            Some(devices.get(number).map_or_else(|| number.to_string(), |device| device.uuid.clone()))
        };
        let visible: Vec<String> = lines(lease).filter_map(name).collect();
        let variable = |visible: String| Variable { name: "CUDA_VISIBLE_DEVICES".into(), value: visible };
        Ok((!visible.is_empty()).then(|| variable(visible.join(","))).into_iter().collect())
    }
}

/// Whether a device came back, and what says so. The lease's processes are gone by now; the device may not know yet.
fn proved(line: &LeaseLine, device: &Device, before: &BTreeSet<u32>) -> Result<String, String> {
    let (pool, uuid) = (&line.pool, &device.uuid);
    let Some(processes) = &device.processes else {
        return Ok(format!("{pool} ({uuid}) does not tell who is on it"));
    };
    let mut came = processes.iter().filter(|pid| !before.contains(pid));
    if line.amount >= WHOLE {
        return match came.next() {
            Some(pid) => Err(format!("process {pid} is still on {pool} ({uuid})")),
            None => Ok(format!("{pool} ({uuid}) has none of its processes")),
        };
    }
    // Of a device that is shared the others may be on it; those who are gone may not.
    if !sees_everybody() {
        return Ok(format!("{pool} ({uuid}) is shared, and not everybody on it is seen from here"));
    }
    match came.find(|&&pid| identify(pid).is_ok_and(|process| process.is_none())) {
        Some(pid) => Err(format!("process {pid} is gone, and still on {pool} ({uuid})")),
        None => Ok(format!("{pool} ({uuid}) has nobody who is gone")),
    }
}

/// Whether the pids that the driver tells of are ours.
fn sees_everybody() -> bool {
    std::fs::read_link("/proc/self/ns/pid").is_ok_and(|namespace| namespace.as_os_str() == FIRST_NAMESPACE)
}

/// Reads the devices: how busy, how full. Their number is unknown where there is no NVML.
pub struct GpuReadings {
    source: Source,
    devices: Known,
}

impl GpuReadings {
    fn new(source: Source) -> Result<GpuReadings, Fault> {
        Ok(GpuReadings { source, devices: Known::default() })
    }
}

#[plugin(id = "gpu", config = Source, new = GpuReadings::new)]
impl Metric for GpuReadings {
    fn collect(&mut self, at: Time, samples: &mut Vec<Sample>) -> Result<(), Fault> {
        let devices = self.devices.look(&self.source.recorded);
        let mut say = |name: String, value| samples.push(Sample { name, at, value });
        say("gpu_devices_total".into(), devices.as_ref().ok().map(|devices| devices.len() as f64));
        for (number, device) in devices.unwrap_or_default().into_iter().enumerate() {
            let bytes = |bytes: Option<u64>| bytes.map(|bytes| bytes as f64);
            say(
                format!("gpu{number}_busy_ratio"),
                device.busy_percent.map(|percent| f64::from(percent) / 100.0),
            );
            say(format!("gpu{number}_memory_total_bytes"), bytes(device.memory_bytes));
            say(format!("gpu{number}_memory_used_bytes"), bytes(device.memory_used_bytes));
            say(format!("gpu{number}_processes"), device.processes.map(|all| all.len() as f64));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
