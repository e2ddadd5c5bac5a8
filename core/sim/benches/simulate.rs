//! Goal 14: a whole batch log through the real engine, beside a plain program that does nothing but tell when its
//! jobs start; and one seed of the placement experiment, on a fleet of the size of the published one. Interleaved
//! rounds in one run; medians. Both inputs are drawn here: published traces are not part of the project.
#[path = "../tests/oracle/easy.rs"]
mod easy;

use bursar_allocator::fit::BestFit;
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Allocator, Backfill, Discipline, Fault, Qos, Rank, Row, View};
use bursar_qos::{batch::Fcfs, class::ByClass};
use bursar_sim::{
    Random, batch,
    fgd::Experiment,
    trace::{
        openb::{Node, Pod},
        swf::Job,
    },
};
use std::time::Instant;

const ROUNDS: usize = 5;
const JOBS: u64 = 20_000;
const PROCESSORS: u64 = 256;
/// Nodes by how many devices and processors they have, and how much memory in GiB.
const NODES: [(usize, u64, u64, u64); 4] =
    [(617, 8, 96, 384), (518, 2, 96, 480), (54, 4, 32, 128), (24, 1, 8, 32)];
const PODS: u64 = 8_152;
const SHAPES: u64 = 151;
/// Pods by how many of a hundred there are, how many devices, and thousandths of each.
const SHARES: [(u64, u64, u64); 7] =
    [(13, 0, 0), (13, 1, 810), (10, 1, 470), (4, 1, 320), (48, 1, 1000), (8, 2, 1000), (4, 8, 1000)];

fn main() {
    log::<ByClass>("seldom waits, by the default policy", 360);
    log::<Easy>("seldom waits, by EASY", 360);
    log::<Easy>("mostly waits, by EASY", 170);
    placement();
}

fn plugins<Q: Qos + Default + 'static>() -> Plugins {
    Plugins {
        qos: Seat::linked("order", || Box::<Q>::default() as Box<dyn Qos>),
        allocator: Seat::linked("best-fit", || Box::<BestFit>::default() as Box<dyn Allocator>),
    }
}

/// First come first served with a head from the first moment on, as the textbook has it.
#[derive(Default)]
struct Easy;

impl Qos for Easy {
    fn rank(&mut self, view: &View<'_>, queue: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        Fcfs.rank(view, queue, ranks)
    }

    fn discipline(&self) -> Discipline {
        Discipline { reserve_after_ns: 0, backfill: Backfill::Harmless }
    }
}

/// A log in which a job comes every so many seconds at most, on a machine on which it so waits or does not.
fn log<Q: Qos + Default + 'static>(what: &str, apart_s: u64) {
    let jobs = jobs(apart_s);
    let [mut events, mut ours, mut theirs] = [const { Vec::new() }; 3];
    for _ in 0..ROUNDS {
        let (starts, took) = timed(|| easy::starts(&jobs, PROCESSORS));
        theirs.push(JOBS as f64 / took);
        let mut plugins = plugins::<Q>();
        let (run, took) = timed(|| batch::run(&jobs, PROCESSORS, &mut plugins).expect("jobs that fit"));
        let strict = plugins.qos.active.discipline().reserve_after_ns == 0;
        let same = run.starts_s.into_iter().eq(starts.into_iter().map(Some));
        assert!(same || !strict, "both start each job at the same second");
        ours.push(JOBS as f64 / took);
        events.push(run.events as f64 / took);
    }
    let [events, ours, theirs] = [events, ours, theirs].map(median);
    println!("{JOBS} jobs on {PROCESSORS} processors, who comes {what}");
    println!("  the engine                          {ours:>8.0} jobs/s");
    println!("  a plain program of EASY's rules      {theirs:>8.0} jobs/s: {:.3} of it", ours / theirs);
    println!("goal 14: {:.2} M events/s simulated (goal ≥ 1)", events / 1e6);
}

/// Wide jobs are rare and most are short; nobody outlives what was said of it.
fn jobs(apart_s: u64) -> Vec<Job> {
    let (mut random, mut submit_s) = (Random::new(14), 0);
    let job = |id| {
        let (wide, long) = (random.below(8), random.below(14));
        let run_s = 1 + random.below(1 << long);
        submit_s += random.below(apart_s);
        let request_s = run_s + random.below(run_s + 1);
        Job { id, submit_s, run_s, ran: true, processors: 1 << wide, request_s }
    };
    (1..=JOBS).map(job).collect()
}

/// One seed of the experiment: some 11,000 pods one after the other.
fn placement() {
    let (nodes, pods) = (nodes(), pods());
    let (mut took, mut rates) = (Vec::new(), Vec::new());
    for seed in 1..=ROUNDS as u64 {
        let mut plugins = plugins::<ByClass>();
        let experiment = Experiment::new(&nodes, &pods, seed, &mut plugins);
        let (run, seconds) = timed(|| experiment.run(&mut plugins));
        assert_eq!(run.faults, 0);
        took.push(seconds);
        rates.push(run.arrived as f64 / seconds);
    }
    println!(
        "goal 14: one seed of the placement experiment takes {:.2} s (goal ≤ 0.5): {:.0} k pods/s on {} nodes",
        median(took),
        median(rates) / 1e3,
        nodes.len()
    );
}

fn nodes() -> Vec<Node> {
    let kinds = NODES
        .into_iter()
        .flat_map(|(count, gpus, cpus, gib)| std::iter::repeat_n((gpus, cpus * 1000, gib << 30), count));
    let named = |(n, (gpus, cpu_milli, memory))| Node {
        name: format!("node-{n:04}"),
        cpu_milli,
        memory,
        gpus,
        model: "one".into(),
    };
    kinds.enumerate().map(named).collect()
}

/// Pods of as many shapes as the published list has, some of them far more often than others.
fn pods() -> Vec<Pod> {
    let mut random = Random::new(13);
    let shapes: Vec<_> = (0..SHAPES).map(|_| shape(&mut random)).collect();
    let pod = |n| {
        let frequent = random.below(SHAPES) + 1;
        let (cpu_milli, memory, gpus, gpu_milli) = shapes[random.below(frequent) as usize];
        Pod { name: format!("pod-{n:04}"), cpu_milli, memory, gpus, gpu_milli, models: Vec::new() }
    };
    (0..PODS).map(pod).collect()
}

fn shape(random: &mut Random) -> (u64, u64, u64, u64) {
    let mut of_hundred = random.below(100);
    let share = SHARES.iter().find(|(part, ..)| {
        let found = of_hundred < *part;
        of_hundred = of_hundred.saturating_sub(*part);
        found
    });
    let &(_, gpus, gpu_milli) = share.unwrap_or(&SHARES[0]);
    (2_000 + random.below(12_000), (4 + random.below(48)) << 30, gpus, gpu_milli)
}

fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let since = Instant::now();
    let done = run();
    (done, since.elapsed().as_secs_f64())
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
