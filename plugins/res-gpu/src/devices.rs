//! What is known of devices: told by NVML, or by a file that was recorded from it.
use nvml_wrapper::{Nvml, error::NvmlError};
use serde::{Deserialize, Serialize};
use std::{
    ffi::OsStr,
    fs,
    path::PathBuf,
    time::{Duration, Instant},
};

/// How NVML's library is called where only the driver is installed.
const LIBRARY: &str = "libnvidia-ml.so.1";
/// How long it is not looked for again where it is missing.
const MISSING_FOR: Duration = Duration::from_secs(60);

/// One device, as of now. What a device does not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Device {
    /// By which it is named, whatever else is plugged in.
    pub(crate) uuid: String,
    /// What it is.
    pub(crate) model: String,
    /// Bytes of its memory.
    pub(crate) memory_bytes: Option<u64>,
    /// Bytes of that in use.
    pub(crate) memory_used_bytes: Option<u64>,
    /// Percent of the last moments in which it computed.
    pub(crate) busy_percent: Option<u32>,
    /// Who has something on it, by pid.
    pub(crate) processes: Option<Vec<u32>>,
}

/// Who knows of devices.
pub(crate) trait Devices: Send {
    /// All of them, in the order of their bus addresses; in words why that is not known.
    fn look(&self) -> Result<Vec<Device>, String>;
}

/// NVML, loaded when it is there.
pub(crate) struct Live(Nvml);

impl Live {
    /// Loads NVML.
    pub(crate) fn load() -> Result<Live, String> {
        let named = || Nvml::builder().lib_path(OsStr::new(LIBRARY)).init();
        named().or_else(|_| Nvml::init()).map(Live).map_err(|error| format!("no NVML: {error}"))
    }

    fn device(&self, index: u32) -> Result<Device, NvmlError> {
        let device = self.0.device_by_index(index)?;
        let memory = device.memory_info().ok();
        // A device that computes and draws has both kinds.
        let (computing, drawing) = (device.running_compute_processes(), device.running_graphics_processes());
        let mut processes: Option<Vec<u32>> = match (computing, drawing) {
            (Err(_), Err(_)) => None,
            (computing, drawing) => {
                let all = computing.into_iter().chain(drawing).flatten();
                Some(all.map(|process| process.pid).collect())
            }
        };
        if let Some(processes) = &mut processes {
            processes.sort_unstable();
            processes.dedup();
        }
        Ok(Device {
            uuid: device.uuid()?,
            model: device.name().unwrap_or_else(|_| "unknown".into()),
            memory_bytes: memory.as_ref().map(|memory| memory.total),
            memory_used_bytes: memory.as_ref().map(|memory| memory.used),
            busy_percent: device.utilization_rates().ok().map(|rates| rates.gpu),
            processes,
        })
    }
}

impl Devices for Live {
    fn look(&self) -> Result<Vec<Device>, String> {
        let count = self.0.device_count().map_err(|error| error.to_string())?;
        (0..count)
            .map(|index| self.device(index).map_err(|error| format!("device {index}: {error}")))
            .collect()
    }
}

/// What was recorded, read anew at each look.
pub(crate) struct Recorded(pub(crate) PathBuf);

impl Devices for Recorded {
    fn look(&self) -> Result<Vec<Device>, String> {
        let text = fs::read(&self.0).map_err(|error| format!("{}: {error}", self.0.display()))?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", self.0.display()))
    }
}

/// Who knows, found when it is first needed.
#[derive(Default)]
pub(crate) enum Known {
    /// Nobody was asked for yet.
    #[default]
    Unasked,
    /// Somebody knows.
    There(Box<dyn Devices>),
    /// Nobody does, as of then.
    Missing(String, Instant),
}

impl Known {
    /// All devices, by the record if there is one, else by NVML. Where that is missing it is looked for again after a
    /// while: it may be installed meanwhile.
    pub(crate) fn look(&mut self, recorded: &str) -> Result<Vec<Device>, String> {
        let due = match self {
            Known::Unasked => true,
            Known::There(_) => false,
            Known::Missing(_, since) => since.elapsed() >= MISSING_FOR,
        };
        if due {
            *self = match recorded {
                "" => match Live::load() {
                    Ok(live) => Known::There(Box::new(live)),
                    Err(why) => Known::Missing(why, Instant::now()),
                },
                path => Known::There(Box::new(Recorded(path.into()))),
            };
        }
        match self {
            Known::There(devices) => devices.look(),
            Known::Missing(why, _) => Err(why.clone()),
            Known::Unasked => Ok(Vec::new()),
        }
    }
}
