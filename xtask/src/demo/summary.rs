//! What the demo came to, read from the daemon's own events, and whether that is what was promised.
use super::{Fleet, Part};
use anyhow::{Context, Result, bail, ensure};
use bursar_wire::{self as wire, Client};
use std::{collections::BTreeMap, time::Duration};

/// Events in one page.
const PAGE: usize = 1000;
/// The exit code of a process that was killed with signal 9, as a shell says it.
const KILLED: Option<i32> = Some(137);
/// The same for one that aborted.
const ABORTED: Option<i32> = Some(134);

/// The figures.
pub struct Summary {
    granted: usize,
    waits_ms: Vec<i64>,
    by: BTreeMap<String, usize>,
    endings: BTreeMap<String, usize>,
    faults: usize,
    returned: (u64, u64),
    cells_left: usize,
}

/// Reads the figures.
pub fn of(client: &mut Client) -> Result<Summary> {
    let events = events(client)?;
    let (mut queued, mut waits_ms) = (BTreeMap::new(), Vec::new());
    let (mut by, mut endings) = (BTreeMap::new(), BTreeMap::new());
    let (mut granted, mut faults) = (0, 0);
    for event in &events {
        let at = event.at.parse::<jiff::Timestamp>().context("a time")?.as_millisecond();
        match (event.kind.as_str(), event.claim) {
            ("queued", Some(claim)) => {
                queued.insert(claim, at);
            }
            ("granted", Some(claim)) => {
                granted += 1;
                waits_ms.extend(queued.get(&claim).map(|queued| at - queued));
                let by_whom = &event.detail["by"];
                let name = format!(
                    "{} ({})",
                    by_whom["plugin"].as_str().unwrap_or("?"),
                    by_whom["home"].as_str().unwrap_or("?")
                );
                *by.entry(name).or_insert(0) += 1;
            }
            ("closed", Some(_)) => {
                *endings.entry(event.detail["ending"].as_str().unwrap_or("?").to_owned()).or_insert(0) += 1;
            }
            ("plugin_fault", _) => faults += 1,
            _ => {}
        }
    }
    waits_ms.sort_unstable();
    let pools: wire::Pools = client.get("/v1/pools")?;
    let taken = pools.pools.iter().map(|pool| pool.reserved + pool.held + pool.quarantined).sum();
    let offered = pools.pools.iter().map(|pool| pool.offered).sum();
    Ok(Summary {
        granted,
        waits_ms,
        by,
        endings,
        faults,
        returned: (taken, offered),
        cells_left: cells(client)?,
    })
}

fn events(client: &mut Client) -> Result<Vec<wire::EventRow>> {
    let (mut all, mut since) = (Vec::new(), 0);
    loop {
        let page: wire::Events = client.get(&format!("/v1/events?since={since}&limit={PAGE}"))?;
        let Some(last) = page.events.last() else { return Ok(all) };
        since = last.seq;
        all.extend(page.events);
    }
}

/// Cells of leases that are still there.
fn cells(client: &mut Client) -> Result<usize> {
    let doctor: wire::Doctor = client.get("/v1/doctor")?;
    let cells =
        doctor.findings.iter().find(|finding| finding.what == "cells").context("cells are told of")?;
    cells.detail.split(' ').next().and_then(|number| number.parse().ok()).context("a number of cells")
}

impl Summary {
    fn wait(&self, percent: usize) -> String {
        let index = (self.waits_ms.len() * percent / 100).min(self.waits_ms.len().saturating_sub(1));
        self.waits_ms.get(index).map_or("unknown".into(), |ms| format!("{ms} ms"))
    }

    fn ending(&self, name: &str) -> usize {
        self.endings.get(name).copied().unwrap_or(0)
    }

    /// The figures as a table.
    pub fn text(&self, orphans: usize, took: Duration) -> String {
        let by: Vec<String> = self.by.iter().map(|(who, count)| format!("{count} by {who}")).collect();
        let endings: Vec<String> = self.endings.iter().map(|(how, count)| format!("{count} {how}")).collect();
        let (taken, offered) = self.returned;
        let percent = 100.0 * (offered - taken.min(offered)) as f64 / offered.max(1) as f64;
        [
            format!("granted             {} ({})", self.granted, by.join(", ")),
            format!("waited              p50 {}, p99 {}", self.wait(50), self.wait(99)),
            format!("ended               {}", endings.join(", ")),
            format!("killed by own limit {}", self.ending("over_limit")),
            format!("plugin faults       {}", self.faults),
            format!("orphans             {orphans}"),
            format!("capacity returned   {percent:.0} %"),
            format!("took                {:.1} s", took.as_secs_f64()),
        ]
        .join("\n")
    }

    /// Whether everything that was promised came true.
    pub fn check(&self, orphans: &[u32], fleet: &Fleet) -> Result<()> {
        let went_well = |part: Part, code: Option<i32>| fleet.codes(part).iter().all(|other| *other == code);
        if !went_well(Part::Agent, Some(0)) || !went_well(Part::Worker, Some(0)) {
            let codes = [Part::Agent, Part::Worker].map(|part| {
                fleet.codes(part).into_iter().filter(|code| *code != Some(0)).collect::<Vec<_>>()
            });
            bail!(
                "a job did not end well (agents {:?}, workers {:?}):\n{}",
                codes[0],
                codes[1],
                fleet.logs()
            );
        }
        ensure!(went_well(Part::Hog, KILLED), "the memory hog was not killed: {:?}", fleet.codes(Part::Hog));
        ensure!(went_well(Part::Crash, ABORTED), "the crash did not show: {:?}", fleet.codes(Part::Crash));
        ensure!(
            went_well(Part::Leaver, Some(0)),
            "the one that leaves did not end: {:?}",
            fleet.codes(Part::Leaver)
        );
        ensure!(
            self.ending("over_limit") == 1,
            "{} leases were killed by their own limit",
            self.ending("over_limit")
        );
        ensure!(orphans.is_empty(), "processes are left: {orphans:?}");
        ensure!(self.returned.0 == 0, "{} base units did not come back", self.returned.0);
        ensure!(self.cells_left == 0, "{} cells are left", self.cells_left);
        Ok(())
    }
}
