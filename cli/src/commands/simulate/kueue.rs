//! `bursar simulate --experiment kueue-…`: Kueue's scheduler performance test, in virtual time or by the clock.
use super::{plugins, scratch};
use crate::{
    args::{self, Output, Simulate},
    commands::{Context, outcome::Outcome, show},
};
use bursar_engine::Plugins;
use bursar_sim::kueue::{Hall, Run, Schedule};
use serde::Serialize;
use std::{
    thread,
    time::{Duration, Instant},
};

/// What an experiment came to.
#[derive(Debug, Serialize)]
struct Report {
    experiment: &'static str,
    allocator: String,
    qos: String,
    real: bool,
    claims: u64,
    finished: u64,
    preempted: u64,
    loops_broken: u64,
    faults: u64,
    makespan_ms: u64,
    /// What the work takes if every cpu is always at it.
    bound_ms: u64,
    /// Of all cpu time until the last job ended: what was held, and what of it was not in vain.
    used_percent: f64,
    useful_percent: f64,
    steps: u64,
    wall_ms: u64,
    /// The longest time by which the clock ran ahead of the engine; none in virtual time.
    late_ms: Option<u64>,
}

pub(super) fn simulate(context: &Context, simulate: &Simulate, experiment: args::Experiment) -> Outcome {
    let (name, schedule) = match experiment {
        args::Experiment::KueueBaseline => ("kueue-baseline", Schedule::baseline()),
        args::Experiment::KueueLarge => ("kueue-large", Schedule::large()),
    };
    let mut plugins = plugins(simulate, &simulate.qos, &scratch(simulate)?)?;
    let hall = Hall::new(&schedule, &mut plugins);
    let since = Instant::now();
    let (run, late) = match simulate.real {
        true => by_the_clock(hall, &mut plugins),
        false => (hall.live(&mut plugins), None),
    };
    let report = Report {
        experiment: name,
        allocator: simulate.allocator.clone(),
        qos: simulate.qos.clone(),
        real: simulate.real,
        claims: schedule.jobs(),
        finished: run.finished,
        preempted: run.preempted,
        loops_broken: run.loops,
        faults: run.faults,
        makespan_ms: run.makespan_ns / 1_000_000,
        bound_ms: schedule.work_ms() / schedule.cpus(),
        used_percent: percent(run.held, &schedule, run.makespan_ns),
        useful_percent: percent(run.held - run.lost, &schedule, run.makespan_ns),
        steps: run.steps,
        wall_ms: since.elapsed().as_millis() as u64,
        late_ms: late.map(|late| late.as_millis() as u64),
    };
    match context.output {
        Output::Table => show::line(&table(&report)),
        output => show::document(&report, output),
    }
    Ok(())
}

/// Does what is due when it is due; says how late it was at most.
fn by_the_clock(mut hall: Hall, plugins: &mut Plugins) -> (Run, Option<Duration>) {
    let since = Instant::now();
    let mut latest = Duration::ZERO;
    while let Some(at_ns) = hall.next_at() {
        let due = Duration::from_nanos(at_ns);
        thread::sleep(due.saturating_sub(since.elapsed()));
        let now = since.elapsed();
        latest = latest.max(now.saturating_sub(due));
        hall.step(now.as_nanos() as u64, plugins);
    }
    (hall.run().clone(), Some(latest))
}

fn percent(part: u128, schedule: &Schedule, makespan_ns: u64) -> f64 {
    let all = u128::from(schedule.cpus()) * 1000 * u128::from(makespan_ns);
    (part * 10_000 / all.max(1)) as f64 / 100.0
}

fn table(report: &Report) -> String {
    show::table(
        &["experiment", "claims", "finished", "preempted", "makespan", "bound", "used", "useful", "wall"],
        [vec![
            report.experiment.into(),
            report.claims.to_string(),
            report.finished.to_string(),
            report.preempted.to_string(),
            format!("{:.1} s", report.makespan_ms as f64 / 1000.0),
            format!("{:.1} s", report.bound_ms as f64 / 1000.0),
            format!("{:.1} %", report.used_percent),
            format!("{:.1} %", report.useful_percent),
            format!("{:.1} s", report.wall_ms as f64 / 1000.0),
        ]],
    )
}
