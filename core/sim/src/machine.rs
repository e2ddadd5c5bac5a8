//! One machine of processors in virtual time: jobs of a batch log as leases of the real engine.
use crate::{
    supply::{kinds, node, told},
    trace::swf::Job,
};
use bursar_engine::{Engine, Plugins};
use bursar_interface::{
    Amount, Ask, Batch, ClaimId, Command, Fence, LineAsk, Time, What, bound::TTL_NS_MAX, tag,
};

/// Millicores of one processor.
const PROCESSOR: Amount = 1000;
/// Nanoseconds of a second.
const SECOND_NS: u64 = 1_000_000_000;
/// The longest run of a job, in seconds: that of a lease.
const RUN_S_MAX: u64 = TTL_NS_MAX / SECOND_NS;
/// The latest submission, in seconds: engine time is in nanoseconds of 64 bits, and there is room behind it.
const SUBMIT_S_MAX: u64 = 1 << 33;

/// A lease by which a job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Held {
    claim: ClaimId,
    fence: Fence,
}

/// A machine and the engine that gives it out.
pub(crate) struct Machine {
    engine: Engine,
    /// The last step; kept for its room.
    batch: Batch,
    /// Faults of the strategies so far.
    pub(crate) faults: u64,
}

/// Refuses jobs that no lease on such a machine can hold.
pub(crate) fn check(jobs: &[Job], processors: u64) -> Result<(), String> {
    let days = RUN_S_MAX / 86_400;
    jobs.iter().try_for_each(|&Job { id, submit_s, run_s, processors: wide, request_s, .. }| {
        if wide > processors {
            return Err(format!("job {id} needs {wide} processors, and the machine has {processors}"));
        }
        if run_s.max(request_s) > RUN_S_MAX {
            return Err(format!(
                "job {id} runs or asks for {} s, and a lease lasts {days} days at most",
                run_s.max(request_s)
            ));
        }
        if submit_s > SUBMIT_S_MAX {
            return Err(format!(
                "job {id} was submitted at {submit_s} s, and {SUBMIT_S_MAX} is the last point there is"
            ));
        }
        Ok(())
    })
}

/// Engine time at a second of the log.
pub(crate) fn time(at_s: u64) -> Time {
    Time(at_s * SECOND_NS)
}

/// A job's processors as an amount of cpu.
pub(crate) fn cpu_milli(job: &Job) -> Amount {
    job.processors * PROCESSOR
}

/// A job's estimate in nanoseconds; one of zero seconds is the shortest there is, since 0 is for unknown.
pub(crate) fn expect_ns(job: &Job) -> u64 {
    (job.request_s * SECOND_NS).max(1)
}

impl Machine {
    /// An idle machine.
    pub(crate) fn new(processors: u64, plugins: &mut Plugins) -> Machine {
        let mut engine = Engine::new();
        let start = Command::Start { epoch: 1, boot: "simulated".into(), boottime_ns: 0 };
        let machine = node("machine", processors * PROCESSOR, 0, 0, "");
        let all = kinds().into_iter().chain(machine).chain([start]);
        engine.step(Time(0), all.map(told).collect(), plugins);
        Machine { engine, batch: Batch::default(), faults: 0 }
    }

    /// Idle processors, as the books have them.
    pub(crate) fn free(&self) -> u64 {
        let view = self.engine.view();
        let cpu = (0..view.resources.len()).find(|&kind| view.resources.tag[kind] == tag("cpu"));
        cpu.map_or(0, |kind| view.resources.free[kind] / PROCESSOR)
    }

    /// Asks for a job that will not wait; `None` if it was not granted.
    pub(crate) fn start(&mut self, at_s: u64, job: &Job, plugins: &mut Plugins) -> Option<Held> {
        granted(self.step(at_s, [ask(job, 0)], plugins)).next()
    }

    /// Gives back what a job held.
    pub(crate) fn finish(&mut self, at_s: u64, held: Held, plugins: &mut Plugins) {
        self.step(at_s, [release(held)], plugins);
    }

    /// Steps the engine.
    pub(crate) fn step(
        &mut self,
        at_s: u64,
        commands: impl IntoIterator<Item = Command>,
        plugins: &mut Plugins,
    ) -> &Batch {
        let batch = &mut self.batch;
        batch.inputs.clear();
        batch.inputs.extend(commands.into_iter().map(told));
        self.engine.advance(time(at_s), batch, plugins);
        let faults = batch.events.iter().filter(|event| matches!(event.what, What::PluginFault { .. }));
        self.faults += faults.count() as u64;
        batch
    }

    /// Whether the engine has more to do at this very moment.
    pub(crate) fn unfinished(&mut self) -> bool {
        let at = self.engine.books().at();
        self.engine.wake_at().is_some_and(|wake| wake <= at)
    }
}

/// A job as an ask that waits this long.
pub(crate) fn ask(job: &Job, wait_ns: u64) -> Command {
    let line = LineAsk { resource: "cpu".into(), amount: cpu_milli(job), ..LineAsk::default() };
    let (expect_ns, lines) = (expect_ns(job), vec![line]);
    Command::Ask(Ask { wait_ns, ttl_ns: TTL_NS_MAX, expect_ns, lines, ..Ask::default() })
}

/// A job's end.
pub(crate) fn release(Held { claim, fence }: Held) -> Command {
    Command::Release { claim, fence }
}

/// The leases that a step gave.
pub(crate) fn granted(batch: &Batch) -> impl Iterator<Item = Held> {
    batch.events.iter().filter_map(|event| match event.what {
        What::Granted { claim, fence, .. } => Some(Held { claim, fence }),
        _ => None,
    })
}

impl Held {
    /// Which claim.
    pub(crate) fn claim(self) -> ClaimId {
        self.claim
    }
}
