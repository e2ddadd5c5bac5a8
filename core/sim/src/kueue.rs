//! Kueue's scheduler performance test as a schedule: cohorts of queues with a nominal quota each, that lend
//! to each other and take back; small jobs of low priority come often, large ones of high priority seldom. A
//! job that was preempted starts anew from nothing.
use crate::supply::{kinds, told};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{
    Amount, Ask, Batch, ClaimId, Command, Ending, Fence, LineAsk, PoolSpec, PreemptionPolicy, QuotaSpec,
    Time, What, bound::TTL_NS_MAX,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

/// Millicores of a cpu.
const CPU: Amount = 1000;
/// Nanoseconds of a millisecond.
const MS: u64 = 1_000_000;
/// Cpus of a queue that are always its own.
const NOMINAL: Amount = 20;
/// Cpus that a queue may borrow above them.
const BORROWED: Amount = 100;

/// Jobs of one kind in each queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kind {
    /// How many.
    pub jobs: u64,
    /// One comes every so many milliseconds.
    pub every_ms: u64,
    /// How long each runs, in milliseconds.
    pub run_ms: u64,
    /// Larger goes first.
    pub priority: u32,
    /// How many cpus each takes.
    pub cpus: Amount,
}

/// A schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// Cohorts, each with queues of its own.
    pub cohorts: u64,
    /// Queues of each cohort.
    pub queues: u64,
    /// What comes to each queue.
    pub kinds: [Kind; 3],
}

/// The schedules of Kueue's `test/performance/scheduler`: 15,000 jobs, and 50,000.
impl Schedule {
    /// 5 × 6 queues.
    pub fn baseline() -> Schedule {
        let kind = |jobs, every_ms, run_ms, priority, cpus| Kind { jobs, every_ms, run_ms, priority, cpus };
        let kinds = [kind(350, 100, 200, 50, 1), kind(100, 500, 500, 100, 5), kind(50, 1200, 1000, 200, 20)];
        Schedule { cohorts: 5, queues: 6, kinds }
    }

    /// 10 × 100 queues.
    pub fn large() -> Schedule {
        let kind = |jobs, every_ms, run_ms, priority, cpus| Kind { jobs, every_ms, run_ms, priority, cpus };
        let kinds = [kind(35, 60, 150, 50, 1), kind(11, 300, 350, 100, 5), kind(4, 700, 700, 200, 20)];
        Schedule { cohorts: 10, queues: 100, kinds }
    }

    /// Jobs in all.
    pub fn jobs(&self) -> u64 {
        self.cohorts * self.queues * self.kinds.iter().map(|kind| kind.jobs).sum::<u64>()
    }

    /// Cpus in all.
    pub fn cpus(&self) -> Amount {
        self.cohorts * self.queues * NOMINAL
    }

    /// Cpu milliseconds that the jobs need in all.
    pub fn work_ms(&self) -> u64 {
        let of_queue = self.kinds.iter().map(|kind| kind.jobs * kind.run_ms * kind.cpus).sum::<u64>();
        self.cohorts * self.queues * of_queue
    }

    fn setup(&self) -> Vec<Command> {
        let cpu = |amount| amount * CPU;
        let pool = PoolSpec {
            resource: "cpu".into(),
            name: "fleet".into(),
            capacity: cpu(self.cpus()),
            ..PoolSpec::default()
        };
        let mut commands = kinds();
        commands.push(Command::SetPool(pool));
        for cohort in 0..self.cohorts {
            let whole = cpu(self.queues * NOMINAL);
            commands.push(Command::SetQuota(QuotaSpec {
                scope: format!("cohort-{cohort}"),
                resource: "cpu".into(),
                guaranteed: whole,
                limit: Some(whole),
                ..QuotaSpec::default()
            }));
            commands.extend((0..self.queues).map(|queue| {
                Command::SetQuota(QuotaSpec {
                    scope: path(cohort, queue),
                    resource: "cpu".into(),
                    guaranteed: cpu(NOMINAL),
                    borrow_limit: Some(cpu(BORROWED)),
                    ..QuotaSpec::default()
                })
            }));
        }
        let mut bands: Vec<u32> = self.kinds.iter().map(|kind| kind.priority).collect();
        bands.remove(0);
        commands.push(Command::SetPreemption(PreemptionPolicy {
            reclaim: true,
            by_band: true,
            bands,
            ..PreemptionPolicy::default()
        }));
        commands.push(Command::Start { epoch: 1, boot: "simulated".into(), boottime_ns: 0 });
        commands
    }
}

fn path(cohort: u64, queue: u64) -> String {
    format!("cohort-{cohort}/queue-{queue}")
}

/// One job of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Job {
    cohort: u64,
    queue: u64,
    /// Which of the schedule's kinds.
    kind: usize,
    what: Kind,
    /// When it comes, in milliseconds.
    at_ms: u64,
    /// When it started its last run, in nanoseconds.
    started: u64,
}

/// How a schedule went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Jobs that ran to their end.
    pub finished: u64,
    /// Leases that were taken back.
    pub preempted: u64,
    /// When the last job ended, in nanoseconds.
    pub makespan_ns: u64,
    /// Millicore nanoseconds that were held, those of runs in vain included.
    pub held: u128,
    /// Of these, in vain.
    pub lost: u128,
    /// How long each kind of job waited in all, from when it came to when its last run began, in nanoseconds.
    pub waited_ns: [u128; 3],
    /// Steps of the engine.
    pub steps: u64,
    /// Turns that the loop breaker stopped; there should be none.
    pub loops: u64,
    /// Faults of the strategies.
    pub faults: u64,
}

/// A schedule under way.
pub struct Hall {
    engine: Engine,
    jobs: Vec<Job>,
    /// Jobs by when they come, the last first.
    to_come: Vec<usize>,
    /// To be asked for again.
    again: BTreeSet<usize>,
    waiting: BTreeMap<ClaimId, usize>,
    running: BTreeMap<ClaimId, (usize, Fence)>,
    ends: BinaryHeap<Reverse<(u64, ClaimId)>>,
    run: Run,
}

impl Hall {
    /// Nothing has come yet.
    pub fn new(schedule: &Schedule, plugins: &mut Plugins) -> Hall {
        let mut engine = Engine::new();
        engine.step(Time(0), schedule.setup().into_iter().map(told).collect(), plugins);
        let queues = (0..schedule.cohorts).flat_map(|c| (0..schedule.queues).map(move |q| (c, q)));
        let jobs: Vec<Job> = queues
            .flat_map(|at| schedule.kinds.iter().enumerate().map(move |(kind, &what)| (at, kind, what)))
            .flat_map(|((cohort, queue), kind, what)| {
                let at_ms = move |i: u64| i * what.every_ms;
                (0..what.jobs).map(move |i| Job { cohort, queue, kind, what, at_ms: at_ms(i), started: 0 })
            })
            .collect();
        let mut to_come: Vec<usize> = (0..jobs.len()).collect();
        to_come.sort_by_key(|&job| Reverse(jobs[job].at_ms));
        let (again, waiting, running) = (BTreeSet::new(), BTreeMap::new(), BTreeMap::new());
        Hall { engine, jobs, to_come, again, waiting, running, ends: BinaryHeap::new(), run: Run::default() }
    }

    /// When something happens next, in nanoseconds; `None` when all is done, or nothing ever will.
    pub fn next_at(&mut self) -> Option<u64> {
        let comes = self.to_come.last().map(|&job| self.jobs[job].at_ms * MS);
        let now = self.engine.books().at().0;
        let again = (!self.again.is_empty()).then_some(now);
        let ends = loop {
            match self.ends.peek() {
                Some(Reverse((_, claim))) if !self.running.contains_key(claim) => drop(self.ends.pop()),
                other => break other.map(|Reverse((at, _))| *at),
            }
        };
        let busy = !self.waiting.is_empty() || !self.running.is_empty();
        let wakes = self.engine.wake_at().filter(|_| busy).map(|at| at.0);
        [comes, again, ends, wakes].into_iter().flatten().min()
    }

    /// Does what is due at a point in time, in nanoseconds.
    pub fn step(&mut self, at_ns: u64, plugins: &mut Plugins) {
        let mut commands = Vec::new();
        while let Some(&Reverse((at, claim))) = self.ends.peek()
            && at <= at_ns
        {
            self.ends.pop();
            if let Some((job, fence)) = self.running.remove(&claim) {
                self.run.finished += 1;
                self.run.makespan_ns = self.run.makespan_ns.max(at_ns);
                let Job { kind, at_ms, started, .. } = self.jobs[job];
                self.run.waited_ns[kind] += u128::from(started - at_ms * MS);
                self.count(job, at_ns, false);
                commands.push(Command::Release { claim, fence });
            }
        }
        let first = commands.len();
        let mut asked: Vec<usize> = std::mem::take(&mut self.again).into_iter().collect();
        while let Some(job) = self.to_come.pop_if(|job| self.jobs[*job].at_ms * MS <= at_ns) {
            asked.push(job);
        }
        commands.extend(asked.iter().map(|&job| ask(&self.jobs[job])));
        let batch = self.engine.step(Time(at_ns), commands.into_iter().map(told).collect(), plugins);
        self.run.steps += 1;
        self.hear(at_ns, &batch, &asked, first);
    }

    /// How it went so far.
    pub fn run(&self) -> &Run {
        &self.run
    }

    fn count(&mut self, job: usize, at_ns: u64, lost: bool) {
        let job = &self.jobs[job];
        let held = u128::from(at_ns - job.started) * u128::from(job.what.cpus * CPU);
        self.run.held += held;
        self.run.lost += if lost { held } else { 0 };
    }

    fn hear(&mut self, at_ns: u64, batch: &Batch, asked: &[usize], first: usize) {
        for event in &batch.events {
            match &event.what {
                What::Queued { claim, .. } => {
                    let cause = event.cause.map_or(0, |cause| cause as usize);
                    self.waiting.insert(*claim, asked[cause - first]);
                }
                What::Granted { claim, fence, .. } => {
                    let Some(job) = self.waiting.remove(claim) else { continue };
                    self.jobs[job].started = at_ns;
                    self.running.insert(*claim, (job, *fence));
                    self.ends.push(Reverse((at_ns + self.jobs[job].what.run_ms * MS, *claim)));
                }
                What::Closed { claim, ending: Ending::Preempted } => {
                    let Some((job, _)) = self.running.remove(claim) else { continue };
                    self.count(job, at_ns, true);
                    self.run.preempted += 1;
                    self.again.insert(job);
                }
                What::LoopBroken { .. } => self.run.loops += 1,
                What::PluginFault { .. } => self.run.faults += 1,
                _ => {}
            }
        }
    }

    /// Lives through a whole schedule in virtual time.
    pub fn live(mut self, plugins: &mut Plugins) -> Run {
        while let Some(at_ns) = self.next_at() {
            self.step(at_ns, plugins);
        }
        self.run
    }
}

fn ask(job: &Job) -> Command {
    let line = LineAsk { resource: "cpu".into(), amount: job.what.cpus * CPU, ..LineAsk::default() };
    Command::Ask(Ask {
        scope: path(job.cohort, job.queue),
        priority: job.what.priority,
        wait_ns: TTL_NS_MAX,
        ttl_ns: TTL_NS_MAX,
        lines: vec![line],
        ..Ask::default()
    })
}
