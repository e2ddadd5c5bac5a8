//! Devices as a recorded NVML tells of them; and as NVML itself does, where there is one.
use super::*;
use bursar_sdk::Fence;
use std::{fs, path::Path, process::Command};
use tempfile::TempDir;

/// Two devices, of which the first has a process of somebody's on it.
fn record(path: &Path, processes: &[&[u32]]) {
    let device = |(number, processes): (usize, &&[u32])| Device {
        uuid: format!("GPU-{number}"),
        model: "NVIDIA H100 80GB HBM3".into(),
        memory_bytes: Some(80 << 30),
        memory_used_bytes: Some(1 << 30),
        busy_percent: Some(25),
        processes: Some(processes.to_vec()),
    };
    let devices: Vec<Device> = processes.iter().enumerate().map(device).collect();
    fs::write(path, serde_json::to_vec(&devices).expect("JSON")).expect("written");
}

fn lease(lines: &[(&str, Amount)]) -> Lease {
    let line = |(pool, amount): &(&str, Amount)| LeaseLine {
        resource: "gpu".into(),
        pool: (*pool).into(),
        amount: *amount,
    };
    Lease { claim: ClaimId(1), fence: Fence(1), lines: lines.iter().map(line).collect(), owner: None }
}

fn recorded(processes: &[&[u32]]) -> (TempDir, std::path::PathBuf, Gpus) {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("nvml.json");
    record(&path, processes);
    let source = Source { recorded: path.display().to_string() };
    (folder, path, Gpus::new(source).expect("a source"))
}

/// A pid that nobody has any more.
fn gone() -> u32 {
    let mut child = Command::new("true").spawn().expect("true");
    child.wait().expect("ended");
    child.id()
}

#[test]
fn devices_are_found_shown_and_proved_back_by_their_own_lists() {
    let stranger = std::process::id();
    let (_folder, path, mut gpus) = recorded(&[&[stranger], &[]]);
    let found = gpus.discover().expect("a look");
    assert_eq!(found.iter().map(|one| one.pool.as_str()).collect::<Vec<_>>(), ["gpu0", "gpu1"]);
    assert_eq!((found[0].capacity, found[0].labels[0].as_str()), (1000, "NVIDIA H100 80GB HBM3"));
    let lease = lease(&[("gpu0", 1000), ("gpu1", 1000)]);
    gpus.enforce(&lease).expect("it is there");
    let shown = gpus.environment(&lease).expect("devices");
    assert_eq!(bursar_sdk::variables_lawful("gpu", &shown), Ok(()));
    assert_eq!((shown[0].name.as_str(), shown[0].value.as_str()), ("CUDA_VISIBLE_DEVICES", "GPU-0,GPU-1"));
    // Its process is gone, and the device has not noticed yet.
    let own = gone();
    record(&path, &[&[stranger], &[own]]);
    let told = gpus.release(&lease).expect_err("still on it").message;
    assert_eq!(told, format!("process {own} is still on gpu1 (GPU-1)"));
    record(&path, &[&[stranger], &[]]);
    let proof = gpus.release(&lease).expect("nobody is on it who was not before");
    assert_eq!(
        proof.evidence,
        "gpu0 (GPU-0) has none of its processes, gpu1 (GPU-1) has none of its processes"
    );
}

#[test]
fn of_a_shared_device_only_those_who_are_gone_must_be_off() {
    if !sees_everybody() {
        eprintln!("skipped: this is not the first namespace of pids");
        return;
    }
    let (_folder, path, mut gpus) = recorded(&[&[]]);
    let lease = lease(&[("gpu0", 300)]);
    gpus.enforce(&lease).expect("it is there");
    let (other, own) = (std::process::id(), gone());
    record(&path, &[&[other, own]]);
    assert!(gpus.release(&lease).expect_err("still on it").message.contains("is gone, and still on"));
    record(&path, &[&[other]]);
    assert_eq!(gpus.release(&lease).expect("proved").evidence, "gpu0 (GPU-0) has nobody who is gone");
}

#[test]
fn a_pool_that_is_no_device_is_let_be_and_a_device_that_vanished_is_not() {
    let (_folder, path, mut gpus) = recorded(&[&[]]);
    let by_hand = lease(&[("gpu", 500)]);
    gpus.enforce(&by_hand).expect("nothing to do");
    assert!(gpus.environment(&by_hand).expect("nothing").is_empty());
    assert_eq!(gpus.release(&by_hand).expect("nothing").evidence, "gpu is no device of this host");
    let lease = lease(&[("gpu0", 1000)]);
    gpus.enforce(&lease).expect("it is there");
    record(&path, &[]);
    assert!(gpus.release(&lease).expect_err("vanished").message.contains("not there any more"));
    fs::write(&path, "[{\"uid\":1}]").expect("written");
    assert!(gpus.discover().expect_err("no record").message.contains("nvml.json: unknown field"));
}

#[test]
fn readings_are_samples_and_without_nvml_unknown() {
    let (_folder, path, _) = recorded(&[&[1], &[]]);
    let collect = |recorded: String| {
        let (mut metric, mut samples) =
            (GpuReadings::new(Source { recorded }).expect("a source"), Vec::new());
        metric.collect(Time(5), &mut samples).expect("a look");
        samples
    };
    let samples = collect(path.display().to_string());
    let of = |name: &str| samples.iter().find(|sample| sample.name == name).and_then(|sample| sample.value);
    assert_eq!(
        (of("gpu_devices_total"), of("gpu0_busy_ratio"), of("gpu1_processes")),
        (Some(2.0), Some(0.25), Some(0.0))
    );
    assert_eq!(of("gpu1_memory_total_bytes"), Some((80_u64 << 30) as f64));
    let none = collect("/nowhere".into());
    assert_eq!((none.len(), none[0].name.as_str(), none[0].value), (1, "gpu_devices_total", None));
}

#[test]
fn a_real_nvml_tells_of_real_devices() {
    let mut gpus = Gpus::new(Source::default()).expect("a source");
    match gpus.look() {
        Err(why) => eprintln!("skipped: {why}"),
        Ok(devices) => {
            assert!(
                devices.iter().all(|device| !device.uuid.is_empty() && device.memory_bytes > Some(1 << 30))
            );
            let (found, lease) = (gpus.discover().expect("a look"), lease(&[("gpu0", 1000)]));
            assert_eq!(found.len(), devices.len());
            gpus.enforce(&lease).expect("it is there");
            assert_eq!(gpus.environment(&lease).expect("devices")[0].value, devices[0].uuid);
            println!("{}", gpus.release(&lease).expect("nobody came").evidence);
        }
    }
}
