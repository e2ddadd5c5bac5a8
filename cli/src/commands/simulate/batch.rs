//! `bursar simulate --format swf`: logs of batch systems, by a published protocol or whole.
use super::{plugins, read, scratch, unreadable};
use crate::{
    args::{Output, Protocol, Simulate},
    commands::{
        Context,
        outcome::{Failed, Outcome},
        show,
    },
    serve,
};
use bursar_sim::{
    batch, rlscheduler,
    trace::swf::{self, Job, Log},
};
use serde::Serialize;
use std::{path::Path, time::Instant};

/// What stands behind the name of an order that lets others start while the first one waits.
const BACKFILL: &str = "+bf";

/// What a simulation came to.
#[derive(Debug, Serialize)]
struct Report {
    trace: String,
    format: &'static str,
    protocol: Option<&'static str>,
    allocator: String,
    home: &'static str,
    qos: String,
    processors: u64,
    claims: u64,
    granted: u64,
    refused: u64,
    faults: u64,
    decisions_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait_ms: Option<Waits>,
    /// Mean over the sequences, or over the jobs of a whole log; none if nothing ran.
    bounded_slowdown: Option<f64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sequences: Vec<Sequence>,
}

/// How long jobs waited.
#[derive(Debug, Serialize)]
struct Waits {
    p50: u64,
    p99: u64,
}

/// One sequence of a protocol.
#[derive(Debug, Serialize)]
struct Sequence {
    first_job: String,
    jobs: u64,
    bounded_slowdown: f64,
}

pub(super) fn simulate(context: &Context, simulate: &Simulate) -> Outcome {
    if simulate.nodes.is_some() {
        return Err(Failed::usage("a log of a batch system says itself what its machine has")
            .hint("leave --nodes out"));
    }
    let log = swf::log(&read(simulate.trace())?).map_err(|why| unreadable(simulate.trace(), &why))?;
    let processors = log.processors.ok_or_else(|| {
        unreadable(simulate.trace(), &"its header says neither MaxProcs nor MaxNodes, as `; MaxProcs: 128`")
    })?;
    let scratch = scratch(simulate)?;
    let report = match simulate.protocol {
        Some(Protocol::Rlscheduler) => sequences(simulate, &log, processors, &scratch)?,
        None => whole(simulate, &log, processors, &scratch)?,
    };
    match context.output {
        Output::Table => show::line(&table(&report)),
        output => show::document(&report, output),
    }
    Ok(())
}

/// By the protocol of RLScheduler.
fn sequences(simulate: &Simulate, log: &Log, processors: u64, scratch: &Path) -> Result<Report, Failed> {
    let (qos, backfill) = match simulate.qos.strip_suffix(BACKFILL) {
        Some(qos) => (qos, true),
        None => (simulate.qos.as_str(), false),
    };
    let unfit = |why: String| unreadable(simulate.trace(), &why);
    let mut report = blank(simulate, processors);
    report.protocol = Some("rlscheduler");
    let mut spent = 0.0;
    for jobs in rlscheduler::sequences(log).map_err(unfit)? {
        // One asks who is first, the other decides in the machine's engine: their worlds are two.
        let (mut order, mut machine) = (plugins(simulate, qos, scratch)?, plugins(simulate, qos, scratch)?);
        report.home = serve::home(order.qos.decider.home);
        let since = Instant::now();
        let run =
            rlscheduler::run(jobs, processors, backfill, &mut order.qos, &mut machine).map_err(unfit)?;
        spent += since.elapsed().as_secs_f64();
        report.claims += jobs.len() as u64;
        report.granted += run.granted;
        report.refused += run.refused;
        report.faults += run.faults;
        report.sequences.push(Sequence {
            first_job: jobs.first().map(|job| job.id.to_string()).unwrap_or_default(),
            jobs: jobs.len() as u64,
            bounded_slowdown: run.bounded_slowdown,
        });
    }
    report.decisions_per_second = rate(report.claims, spent);
    report.bounded_slowdown = mean(report.sequences.iter().map(|sequence| sequence.bounded_slowdown));
    Ok(report)
}

/// All of the log in the engine's own queue, but for jobs of which it does not know how long they ran.
fn whole(simulate: &Simulate, log: &Log, processors: u64, scratch: &Path) -> Result<Report, Failed> {
    if simulate.qos.ends_with(BACKFILL) {
        return Err(Failed::usage(format!("{:?} is an order of a protocol", simulate.qos))
            .hint("give --protocol rlscheduler, or leave +bf out"));
    }
    let mut plugins = plugins(simulate, &simulate.qos, scratch)?;
    let mut report = blank(simulate, processors);
    report.home = serve::home(plugins.qos.decider.home);
    let jobs: Vec<Job> = log.jobs.iter().filter(|job| job.ran).copied().collect();
    let since = Instant::now();
    let run =
        batch::run(&jobs, processors, &mut plugins).map_err(|why| unreadable(simulate.trace(), &why))?;
    let spent = since.elapsed().as_secs_f64();
    let started: Vec<(&Job, u64)> = jobs
        .iter()
        .zip(&run.starts_s)
        .filter_map(|(job, start_s)| Some((job, (*start_s)? - job.submit_s)))
        .collect();
    report.claims = jobs.len() as u64;
    report.granted = started.len() as u64;
    report.refused = report.claims - report.granted;
    report.faults = run.faults;
    report.decisions_per_second = rate(report.claims, spent);
    report.bounded_slowdown =
        mean(started.iter().map(|(job, wait_s)| rlscheduler::bounded_slowdown(job, *wait_s)));
    report.wait_ms = waits(started.iter().map(|(_, wait_s)| wait_s * 1000).collect());
    Ok(report)
}

fn blank(simulate: &Simulate, processors: u64) -> Report {
    Report {
        trace: simulate.trace().display().to_string(),
        format: "swf",
        protocol: None,
        allocator: simulate.allocator.clone(),
        home: "linked",
        qos: simulate.qos.clone(),
        processors,
        claims: 0,
        granted: 0,
        refused: 0,
        faults: 0,
        decisions_per_second: 0.0,
        wait_ms: None,
        bounded_slowdown: None,
        sequences: Vec::new(),
    }
}

fn rate(claims: u64, spent: f64) -> f64 {
    (claims as f64 / spent.max(f64::EPSILON)).round()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> Option<f64> {
    let count = values.len();
    (count > 0).then(|| values.sum::<f64>() / count as f64)
}

/// Nearest ranks.
fn waits(mut waits_ms: Vec<u64>) -> Option<Waits> {
    waits_ms.sort_unstable();
    let at = |percent: usize| waits_ms.get((waits_ms.len() * percent).div_ceil(100).max(1) - 1).copied();
    Some(Waits { p50: at(50)?, p99: at(99)? })
}

fn table(report: &Report) -> String {
    let slowdown = report.bounded_slowdown.map_or("unknown".into(), |mean| format!("{mean:.2}"));
    show::table(
        &["qos", "home", "processors", "claims", "granted", "refused", "decisions/s", "bounded slowdown"],
        [vec![
            report.qos.clone(),
            report.home.into(),
            report.processors.to_string(),
            report.claims.to_string(),
            report.granted.to_string(),
            report.refused.to_string(),
            format!("{:.0}", report.decisions_per_second),
            slowdown,
        ]],
    )
}
