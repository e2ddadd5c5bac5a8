//! `bursar simulate`: a trace through the same engine and the same plugins, in virtual time.
mod agents;
mod batch;
mod kueue;

use super::{
    Context,
    outcome::{Failed, Outcome},
    show, state_dir,
};
use crate::{
    args::{Format, Output, Simulate},
    serve::{self, Settings},
};
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Decider, Home};
use bursar_loader::Loader;
use bursar_sim::{
    fgd::{Experiment, Run},
    trace::openb,
};
use serde::Serialize;
use std::{collections::BTreeMap, fs::File, io::Read, ops::RangeInclusive, path::Path, time::Instant};

/// Bytes of a trace, unpacked, at most.
const TRACE_BYTES_MAX: u64 = 1 << 30;

/// The arrived demand, in percent of the fleet, at which allocation is told.
const PERCENTS: [usize; 2] = [100, 130];

/// What a simulation came to; means where there was more than one seed.
#[derive(Debug, Serialize)]
struct Report {
    trace: String,
    allocator: String,
    home: &'static str,
    qos: String,
    seed: u64,
    seeds: u64,
    claims: u64,
    granted: u64,
    refused: u64,
    faults: u64,
    decisions_per_second: f64,
    gpu_allocated_percent: BTreeMap<String, Option<f64>>,
}

/// `bursar simulate`.
pub fn simulate(context: &Context, simulate: &Simulate) -> Outcome {
    if let Some(experiment) = simulate.experiment {
        return kueue::simulate(context, simulate, experiment);
    }
    match simulate.format {
        Format::Openb => openb(context, simulate),
        Format::Swf => batch::simulate(context, simulate),
        Format::Agentcgroup => agents::simulate(context, simulate),
    }
}

fn openb(context: &Context, simulate: &Simulate) -> Outcome {
    if simulate.protocol.is_some() {
        return Err(Failed::usage("a protocol is for logs of batch systems").hint("give --format swf"));
    }
    let trace = read(simulate.trace())?;
    let nodes_path = simulate
        .nodes
        .as_ref()
        .ok_or_else(|| Failed::usage("an openb trace needs its machines").hint("give them with --nodes"))?;
    let nodes = openb::nodes(&read(nodes_path)?).map_err(|why| unreadable(nodes_path, &why))?;
    let pods = openb::pods(&trace).map_err(|why| unreadable(simulate.trace(), &why))?;
    if pods.is_empty() {
        return Err(unreadable(simulate.trace(), &"there is no pod in it"));
    }
    // Pods arrive until they have asked for more gpus than there are.
    if pods.iter().all(|pod| pod.gpu_total() == 0) {
        return Err(unreadable(simulate.trace(), &"there is no pod in it that asks for a gpu"));
    }
    let (seeds, scratch) = (seeds(simulate)?, scratch(simulate)?);
    let mut runs = Vec::new();
    let (mut spent, mut home) = (0.0, "linked");
    for seed in seeds {
        let mut plugins = plugins(simulate, &simulate.qos, &scratch)?;
        home = serve::home(plugins.allocator.decider.home);
        let experiment = Experiment::new(&nodes, &pods, seed, &mut plugins);
        let start = Instant::now();
        runs.push(experiment.run(&mut plugins));
        spent += start.elapsed().as_secs_f64();
    }
    let report = report(simulate, &runs, spent, home);
    match context.output {
        Output::Table => show::line(&table(&report)),
        output => show::document(&report, output),
    }
    Ok(())
}

/// The seeds that were asked for, from the first to the last.
fn seeds(simulate: &Simulate) -> Result<RangeInclusive<u64>, Failed> {
    let (first, more) = (simulate.seed, simulate.seeds.saturating_sub(1));
    let last = first.checked_add(more).ok_or_else(|| {
        let why = format!("--seed {first} --seeds {}: no seed is above {}", simulate.seeds, u64::MAX);
        Failed::usage(why).hint(format!("give --seed {} at most, or fewer --seeds", u64::MAX - more))
    })?;
    Ok(first..=last)
}

/// The text of a trace, unpacked if its name ends in `.gz`.
fn read(path: &Path) -> Result<String, Failed> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| match path.extension().is_some_and(|end| end == "gz") {
        true => flate2::read::MultiGzDecoder::new(file).take(TRACE_BYTES_MAX).read_to_string(&mut text),
        false => file.take(TRACE_BYTES_MAX).read_to_string(&mut text),
    });
    match read.map_err(|error| unreadable(path, &error))? as u64 {
        TRACE_BYTES_MAX.. => Err(unreadable(path, &format!("is longer than {TRACE_BYTES_MAX} bytes"))),
        _ => Ok(text),
    }
}

fn unreadable(path: &Path, why: &impl ToString) -> Failed {
    Failed::usage(format!("{}: {}", path.display(), why.to_string()))
}

/// Where loaded plugins are staged: the user's own folder, as for the daemon.
fn scratch(simulate: &Simulate) -> Result<std::path::PathBuf, Failed> {
    match simulate.plugins.is_empty() {
        true => Ok(std::path::PathBuf::new()),
        false => Ok(state_dir()?.join("simulate")),
    }
}

/// The plugins that decide: loaded from the folders that were named, else linked in.
fn plugins(simulate: &Simulate, qos: &str, scratch: &Path) -> Result<Plugins, Failed> {
    if simulate.plugins.is_empty() {
        let linked = |home: &str| Decider { plugin: home.into(), home: Home::Linked };
        let unknown = |role: &str, id: &str| {
            Failed::usage(format!("there is no {role} {id:?}")).hint("see `bursar plugin list`")
        };
        let allocator = || serve::linked_allocator(&simulate.allocator);
        let no_allocator = || unknown("allocator", &simulate.allocator);
        let no_qos = || unknown("qos", qos);
        return Ok(Plugins {
            allocator: Seat::new(
                linked(&simulate.allocator),
                allocator().ok_or_else(no_allocator)?,
                linked(&simulate.allocator),
                allocator().ok_or_else(no_allocator)?,
            ),
            qos: Seat::new(
                linked(qos),
                serve::linked_qos(qos).ok_or_else(no_qos)?,
                linked(qos),
                serve::linked_qos(qos).ok_or_else(no_qos)?,
            ),
        });
    }
    let mut settings = Settings::default();
    settings.strategy.allocator = simulate.allocator.clone();
    settings.strategy.qos = qos.to_owned();
    // Virtual time waits for everybody.
    settings.plugins.deadline_ms = 1000;
    super::make_private(scratch)?;
    let loader_settings = serve::loader_settings(&settings, &simulate.plugins, scratch)?;
    let mut loader = Loader::new(loader_settings).map_err(anyhow::Error::from)?;
    Ok(serve::strategies(
        &mut loader,
        &settings,
        &bursar_engine::Engine::new(),
        &mut serve::Roster::default(),
    )?)
}

fn report(simulate: &Simulate, runs: &[Run], spent: f64, home: &'static str) -> Report {
    let sum = |of: fn(&Run) -> u64| runs.iter().map(of).sum::<u64>();
    let mean = |percent: usize| {
        let values: Vec<f64> =
            runs.iter().filter_map(|run| run.allocated.get(percent).copied().flatten()).collect();
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        (!values.is_empty()).then(|| round(values.iter().sum::<f64>() / values.len() as f64))
    };
    let (claims, granted) = (sum(|run| run.arrived), sum(|run| run.placed));
    Report {
        trace: simulate.trace().display().to_string(),
        allocator: simulate.allocator.clone(),
        home,
        qos: simulate.qos.clone(),
        seed: simulate.seed,
        seeds: runs.len() as u64,
        claims,
        granted,
        refused: claims - granted,
        faults: sum(|run| run.faults),
        decisions_per_second: (claims as f64 / spent.max(f64::EPSILON)).round(),
        gpu_allocated_percent: PERCENTS
            .into_iter()
            .map(|percent| (percent.to_string(), mean(percent)))
            .collect(),
    }
}

fn table(report: &Report) -> String {
    let percent = |percent: &str| match report.gpu_allocated_percent.get(percent) {
        Some(Some(value)) => format!("{value:.2} %"),
        _ => "unknown".into(),
    };
    show::table(
        &[
            "allocator",
            "home",
            "seeds",
            "claims",
            "granted",
            "refused",
            "decisions/s",
            "gpu at 100 %",
            "gpu at 130 %",
        ],
        [vec![
            report.allocator.clone(),
            report.home.into(),
            report.seeds.to_string(),
            report.claims.to_string(),
            report.granted.to_string(),
            report.refused.to_string(),
            format!("{:.0}", report.decisions_per_second),
            percent("100"),
            percent("130"),
        ]],
    )
}
