//! The experiment of RLScheduler (Zhang et al., SC'20) through the real engine and the real orders: ten
//! sequences of a batch log, each on an idle machine, told by their mean bounded slowdown.
//!
//! The protocol's desk is not the engine's queue: the first of the queue is chosen, and stays chosen until
//! it fits; who arrives meanwhile joins then. So each job is asked for when the desk has chosen it, without
//! waiting, and who is first is asked of the qos plugin when a job joins.
use crate::{
    machine::{self, Held, Machine, cpu_milli, expect_ns},
    trace::swf::{Job, Log},
};
use bursar_engine::{Plugins, Seat};
use bursar_interface::{Class, NONE, Qos, Rank, Tables, Time, tag};

/// Where the ten sequences begin in the list of jobs, counted from 0.
pub const STARTS: [usize; 10] = [1981, 2756, 4299, 8850, 3316, 2714, 5228, 7762, 4022, 7085];
/// Jobs in a sequence.
pub const JOBS: usize = 1024;
/// Runs below this many seconds count as this long in a slowdown.
const SHORT_S: u64 = 10;

/// How one sequence went.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Run {
    /// Jobs that ran.
    pub granted: u64,
    /// Jobs that were not granted though they would have fit: none, unless strategies are at fault.
    pub refused: u64,
    /// Faults of the strategies.
    pub faults: u64,
    /// Mean over the jobs that ran of max(1, (wait + run) / max(run, 10 s)).
    pub bounded_slowdown: f64,
}

/// The sequences of a log.
///
/// # Errors
/// The log is too short for them.
pub fn sequences(log: &Log) -> Result<[&[Job]; STARTS.len()], String> {
    let needed = STARTS.iter().max().map_or(0, |last| last + JOBS);
    match log.jobs.len() {
        jobs if jobs < needed => Err(format!("the log has {jobs} jobs, and the protocol takes {needed}")),
        _ => Ok(STARTS.map(|start| &log.jobs[start..start + JOBS])),
    }
}

/// Bounded slowdown of a job that waited this long.
pub fn bounded_slowdown(job: &Job, wait_s: u64) -> f64 {
    ((wait_s + job.run_s) as f64 / job.run_s.max(SHORT_S) as f64).max(1.0)
}

/// Runs one sequence, which is in order of submission, on a machine of its own. `order` says who is
/// first; `plugins` decide in the machine's engine; both are fresh. With `backfill`, jobs start while the
/// chosen one waits if by their own estimates they end before it could start.
///
/// # Errors
/// Names a job that could not run on such a machine at all.
pub fn run(
    jobs: &[Job],
    processors: u64,
    backfill: bool,
    order: &mut Seat<dyn Qos>,
    plugins: &mut Plugins,
) -> Result<Run, String> {
    machine::check(jobs, processors)?;
    let machine = Machine::new(processors, plugins);
    let now_s = jobs.first().map_or(0, |first| first.submit_s);
    let (queue, running, run) = (Vec::new(), Vec::new(), Run::default());
    let paper = paper();
    let desk = Desk { machine, order, plugins, jobs, paper, now_s, next: 0, queue, running, run };
    Ok(desk.run(backfill))
}

/// A job in the queue.
#[derive(Clone, Copy, Debug)]
struct Queued {
    rank: Rank,
    job: Job,
}

/// A job that runs.
#[derive(Clone, Copy, Debug)]
struct Running {
    job: Job,
    start_s: u64,
    held: Held,
}

impl Running {
    fn end_s(&self) -> u64 {
        self.start_s + self.job.run_s
    }

    fn expected_end_s(&self) -> u64 {
        self.start_s + self.job.request_s
    }
}

struct Desk<'a> {
    machine: Machine,
    order: &'a mut Seat<dyn Qos>,
    plugins: &'a mut Plugins,
    jobs: &'a [Job],
    /// The view in which a job that joins is ranked.
    paper: Tables,
    now_s: u64,
    /// Index of the next arrival.
    next: usize,
    queue: Vec<Queued>,
    running: Vec<Running>,
    run: Run,
}

impl Desk<'_> {
    fn run(mut self, backfill: bool) -> Run {
        loop {
            while self.queue.is_empty() && self.next < self.jobs.len() {
                self.move_on();
            }
            self.queue.sort_by_key(|queued| queued.rank);
            if self.queue.is_empty() {
                break;
            }
            let head = self.queue.remove(0).job;
            if !self.fits(&head) {
                self.wait_for_room(&head, backfill);
            }
            self.start(head);
        }
        self.run.faults += self.machine.faults;
        self.run.bounded_slowdown /= self.run.granted.max(1) as f64;
        self.run
    }

    fn fits(&self, job: &Job) -> bool {
        job.processors <= self.machine.free()
    }

    /// Lets time go on until the chosen job fits.
    fn wait_for_room(&mut self, head: &Job, backfill: bool) {
        let earliest_s = self.earliest_start_s(head);
        while !self.fits(head) {
            if backfill {
                self.backfill(earliest_s);
            }
            self.move_on();
        }
    }

    /// When the chosen job could start if all that run keep to their estimates.
    fn earliest_start_s(&mut self, head: &Job) -> u64 {
        self.running.sort_by_key(Running::expected_end_s);
        let mut free = self.machine.free();
        let enough = self.running.iter().find(|running| {
            free += running.job.processors;
            free >= head.processors
        });
        enough.map_or(self.now_s, Running::expected_end_s)
    }

    /// Starts, in order of submission, whatever fits and says that it ends before `earliest_s`.
    fn backfill(&mut self, earliest_s: u64) {
        self.queue.sort_by_key(|queued| queued.job.submit_s);
        for Queued { rank, job } in std::mem::take(&mut self.queue) {
            if self.fits(&job) && self.now_s + job.request_s < earliest_s {
                self.start(job);
            } else {
                self.queue.push(Queued { rank, job });
            }
        }
    }

    /// To the next arrival or the next end, whichever is first; an arrival if both are.
    fn move_on(&mut self) {
        self.running.sort_by_key(Running::end_s);
        let ends_s = self.running.first().map(Running::end_s);
        match self.jobs.get(self.next) {
            Some(&job) if ends_s.is_none_or(|ends_s| job.submit_s <= ends_s) => {
                self.now_s = self.now_s.max(job.submit_s);
                self.next += 1;
                let rank = self.rank(&job);
                self.queue.push(Queued { rank, job });
            }
            _ if self.running.is_empty() => {}
            _ => {
                let ended = self.running.remove(0);
                self.now_s = self.now_s.max(ended.end_s());
                self.machine.finish(self.now_s, ended.held, self.plugins);
            }
        }
    }

    fn start(&mut self, job: Job) {
        match self.machine.start(self.now_s, &job, self.plugins) {
            None => self.run.refused += 1,
            Some(held) => {
                self.run.granted += 1;
                self.run.bounded_slowdown += bounded_slowdown(&job, self.now_s - job.submit_s);
                self.running.push(Running { job, start_s: self.now_s, held });
            }
        }
    }

    /// The rank of a job that joins, by the plugin or, after a fault, by its fallback.
    fn rank(&mut self, job: &Job) -> Rank {
        let (paper, epoch) = (&mut self.paper, self.next as u64);
        paper.claims.id[0] = epoch;
        paper.claims.asked_at[0] = machine::time(job.submit_s).0;
        paper.claims.expect[0] = expect_ns(job);
        paper.lines.amount[0] = cpu_milli(job);
        paper.claims.touch(0, epoch);
        paper.lines.touch(0, epoch);
        let view = paper.view(machine::time(self.now_s), epoch);
        let mut ranks = [Rank::default()];
        if self.order.active.rank(&view, &[0], &mut ranks).is_err() {
            self.run.faults += 1;
            ranks = [Rank::default()];
            self.run.faults += u64::from(self.order.fallback.rank(&view, &[0], &mut ranks).is_err());
        }
        ranks[0]
    }
}

/// Tables of one waiting claim for cpu.
fn paper() -> Tables {
    let mut paper = Tables::default();
    let kind = paper.resources.push() as usize;
    (paper.resources.tag[kind], paper.resources.first_floating[kind]) = (tag("cpu"), NONE);
    (paper.resources.min[kind], paper.resources.step[kind]) = (1, 1);
    let claim = paper.claims.push() as usize;
    paper.claims.class[claim] = Class::default() as u32;
    (paper.claims.node[claim], paper.claims.apart[claim]) = (NONE, NONE);
    (paper.claims.lines[claim], paper.claims.wait_until[claim]) = (1, Time::NEVER.0);
    let line = paper.lines.push() as usize;
    (paper.lines.want[line], paper.lines.pool[line], paper.lines.used[line]) = (NONE, NONE, u64::MAX);
    paper
}
