//! The daemon under load for minutes or hours: memory, files, threads and cells must stay flat.
use crate::{demo::Daemon, plugins, step};
use anyhow::{Context, Result, ensure};
use bursar_wire::{self as wire, Client};
use serde_json::{Value, json};
use std::{
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Clients that claim and release without end.
const CLIENTS: usize = 4;
/// Looks between two lines that are told.
const TOLD: usize = 15;
/// What memory may grow by between the first and the last fifth, in parts of a hundred and in KiB.
const GROWTH: (u64, u64) = (10, 8 << 10);
/// What files and threads may grow by.
const MORE: u64 = 8;
/// Cycles in a minute below which a run says nothing: a million in ten.
const CYCLES_PER_MINUTE_MIN: f64 = 100_000.0;
/// From how many minutes on there must be that many: a short run is for trying it out.
const JUDGED_MINUTES: f64 = 10.0;

/// One look at the daemon.
#[derive(Clone, Copy, Debug, Default)]
struct Look {
    rss_kib: u64,
    files: u64,
    threads: u64,
    cells: u64,
}

/// Runs for so long.
///
/// # Errors
/// When something grows, or a request fails.
pub fn run(minutes: f64) -> Result<()> {
    let plugins = plugins::build(false)?;
    step::run(step::cargo(&["build", "--release", "--quiet", "--package", "bursar"]))?;
    let program = plugins.parent().context("plugins lie in the target folder")?.join("release/bursar");
    let scratch = tempfile::Builder::new().prefix("bursar-soak-").tempdir()?;
    let daemon = Daemon::start(&program, scratch.path(), &plugins)?;
    let (ending, cycles, runs) = (AtomicBool::new(false), AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs_f64(minutes * 60.0);
    let socket = daemon.socket();
    let looks = std::thread::scope(|scope| {
        let clients: Vec<_> =
            (0..CLIENTS).map(|_| scope.spawn(|| cycle(Client::new(&socket), &ending, &cycles))).collect();
        let runner = scope.spawn(|| run_commands(&program, &socket, &ending, &runs));
        let mut looks = Vec::new();
        while Instant::now() < until {
            std::thread::sleep(Duration::from_secs(1));
            looks.push(look(&daemon));
            if looks.len() % TOLD == 0 {
                eprintln!(
                    "{:>6} s  {:>9} cycles  {:?}",
                    looks.len(),
                    cycles.load(Ordering::Relaxed),
                    looks.last()
                );
            }
        }
        ending.store(true, Ordering::Release);
        for client in clients {
            client.join().expect("a client does not panic")?;
        }
        runner.join().expect("the runner does not panic")?;
        looks.into_iter().collect::<Result<Vec<Look>>>()
    })?;
    let fifth = (looks.len() / 5).max(1);
    let (first, last) =
        (most(&looks[fifth..(2 * fifth).min(looks.len())]), most(&looks[looks.len() - fifth..]));
    println!(
        "soak: {} cycles and {} commands in {minutes} min; then {first:?}, now {last:?}",
        cycles.load(Ordering::Relaxed),
        runs.load(Ordering::Relaxed)
    );
    daemon.stop()?;
    ensure!(last.rss_kib <= first.rss_kib + first.rss_kib * GROWTH.0 / 100 + GROWTH.1, "memory grows");
    ensure!(last.files <= first.files + MORE, "files grow");
    ensure!(last.threads <= first.threads + MORE, "threads grow");
    ensure!(last.cells <= first.cells + MORE, "cells grow");
    let enough = (minutes * CYCLES_PER_MINUTE_MIN) as u64;
    let done = cycles.load(Ordering::Relaxed);
    ensure!(minutes < JUDGED_MINUTES || done >= enough, "{done} cycles are too few to judge by, of {enough}");
    Ok(())
}

fn most(looks: &[Look]) -> Look {
    let most = |of: fn(&Look) -> u64| looks.iter().map(of).max().unwrap_or(0);
    Look {
        rss_kib: most(|look| look.rss_kib),
        files: most(|look| look.files),
        threads: most(|look| look.threads),
        cells: most(|look| look.cells),
    }
}

/// Claims and releases until told to end.
fn cycle(mut client: Client, ending: &AtomicBool, cycles: &AtomicU64) -> Result<()> {
    let ask = json!({ "lines": [{ "resource": "cpu", "amount": "1" }, { "resource": "memory", "amount": "4096" }] });
    while !ending.load(Ordering::Acquire) {
        let answer: Value = client.send("POST", "/v1/claims", &ask, None)?;
        let text = |key: &str| answer["claim"][key].as_str().unwrap_or_default().to_owned();
        let path = format!("/v1/claims/{}/release", text("id"));
        client.send::<Value>("POST", &path, &json!({ "fence": text("fence") }), None)?;
        cycles.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Runs short commands inside leases until told to end.
fn run_commands(program: &Path, socket: &Path, ending: &AtomicBool, runs: &AtomicU64) -> Result<()> {
    while !ending.load(Ordering::Acquire) {
        let mut command = Command::new(program);
        command.args([
            "run",
            "--no-autostart",
            "--cpu",
            "10m",
            "--memory",
            "32M",
            "--port",
            "--wait",
            "30s",
            "--",
            "true",
        ]);
        let status = command.env("BURSAR_SOCKET", socket).stdin(Stdio::null()).status()?;
        ensure!(status.success(), "bursar run: {status}");
        runs.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn look(daemon: &Daemon) -> Result<Look> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid()))?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let doctor: wire::Doctor = daemon.client().get("/v1/doctor")?;
    let cells = doctor.findings.iter().find(|finding| finding.what == "cells");
    Ok(Look {
        rss_kib: field("VmRSS:").context("memory")?,
        files: std::fs::read_dir(format!("/proc/{}/fd", daemon.pid()))?.count() as u64,
        threads: field("Threads:").context("threads")?,
        cells: cells.and_then(|cells| cells.detail.split(' ').next()?.parse().ok()).context("cells")?,
    })
}
