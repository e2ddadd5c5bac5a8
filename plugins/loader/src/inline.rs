//! Plugins in the host's own process: the interface traits over the border's vtables. Every index
//! that comes back is checked before it is used.
use crate::{Health, columns::cross, watchdog::Watchdog};
use abi_stable::std_types::{
    RResult::{self, RErr, ROk},
    RVec,
};
use bursar_abi::{AllocatorBox, QosBox, RFault, RRank, RTake};
use bursar_interface::{Allocator, Discipline, Fault, FaultKind, NONE, Plan, Qos, Rank, Row, View};
use rustix::time::{ClockId, clock_gettime};
use std::{sync::Arc, time::Duration};

/// Deadlines that may pass on the clock before a call is late though it used little cpu.
const STARVED: u32 = 20;

/// Processor time of this thread.
fn thread_cpu() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// What supervises an inline plugin.
#[derive(Clone)]
pub(crate) struct Watched {
    pub(crate) health: Arc<Health>,
    pub(crate) watchdog: Arc<Watchdog>,
    pub(crate) sha256: String,
    pub(crate) deadline: Duration,
}

impl Watched {
    pub(crate) fn call<T>(&self, call: impl FnOnce() -> RResult<T, RFault>) -> Result<T, Fault> {
        self.health.admit()?;
        // Reading cpu time costs as much as a small decision: only one that was late before is measured.
        let before = self.health.suspected().then(thread_cpu);
        let (outcome, took) = self.watchdog.watch(&self.sha256, call);
        match outcome {
            RErr(fault) => {
                Err(self.health.count(Fault::of(FaultKind::of(fault.kind), fault.message.to_string())))
            }
            ROk(value) if took <= self.deadline => Ok(value),
            ROk(value) => self.judge(value, took, before.map(|before| thread_cpu().saturating_sub(before))),
        }
    }

    /// One that was starved of cpu is innocent, and its answer as good as any; one that took its time
    /// is late.
    fn judge<T>(&self, value: T, took: Duration, spent: Option<Duration>) -> Result<T, Fault> {
        self.health.suspect();
        if took <= self.deadline * STARVED && spent.is_none_or(|spent| spent <= self.deadline) {
            return Ok(value);
        }
        let spent = spent.map_or(String::new(), |spent| format!(" and {spent:?} of cpu"));
        let late = format!("took {took:?}{spent}, the deadline is {:?}", self.deadline);
        Err(self.health.count(Fault::of(FaultKind::Overrun, late)))
    }
}

/// An allocator in this process.
pub(crate) struct InlineAllocator {
    pub(crate) plugin: AllocatorBox,
    pub(crate) watched: Watched,
    pub(crate) takes: Vec<RTake>,
}

impl Allocator for InlineAllocator {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        let InlineAllocator { plugin, watched, takes } = self;
        takes.clear();
        takes.resize(room(view, queue), RTake::default());
        let call = || cross(view, |raw| plugin.place(raw, queue.into(), takes.as_mut_slice().into()));
        let len = watched.call(call)?;
        carry_out(view, takes.get(..len as usize), plan).map_err(|fault| watched.health.count(fault))
    }
}

/// Lines of all queued claims: how many takes there can be.
pub(crate) fn room(view: &View<'_>, queue: &[Row]) -> usize {
    queue.iter().map(|&claim| view.claims.lines[claim as usize] as usize).sum()
}

/// Writes takes that came over the border into the plan; the first impossible one is nonsense.
pub(crate) fn carry_out(view: &View<'_>, takes: Option<&[RTake]>, plan: &mut Plan<'_>) -> Result<(), Fault> {
    let nonsense = |why: String| Fault::of(FaultKind::Nonsense, why);
    for take in takes.ok_or_else(|| nonsense("more takes than there are lines".into()))? {
        let known = (take.claim as usize) < view.claims.len()
            && (take.line as usize) < view.lines.len()
            && (take.pool as usize) < view.pools.len()
            && (take.node == NONE || (take.node as usize) < view.nodes.len());
        if !known || !plan.take(take.claim, take.line, take.pool, take.node, take.amount) {
            return Err(nonsense(format!("{take:?} cannot be")));
        }
    }
    Ok(())
}

/// A qos in this process.
pub(crate) struct InlineQos {
    pub(crate) plugin: QosBox,
    pub(crate) watched: Watched,
    pub(crate) discipline: Discipline,
}

impl Qos for InlineQos {
    fn discipline(&self) -> Discipline {
        self.discipline
    }

    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        let InlineQos { plugin, watched, .. } = self;
        let mut raw = vec![RRank::default(); ranks.len()];
        watched.call(|| cross(view, |view| plugin.rank(view, pending.into(), raw.as_mut_slice().into())))?;
        for (rank, RRank { tier, share }) in ranks.iter_mut().zip(raw) {
            *rank = Rank { tier, share };
        }
        Ok(())
    }
}

/// The bytes of an answer; what is a fault counts.
pub(crate) fn answered(health: &Health, answer: RResult<RVec<u8>, RFault>) -> Result<Vec<u8>, Fault> {
    match answer {
        ROk(answer) => Ok(answer.into_vec()),
        RErr(fault) => Err(health.count(Fault::of(FaultKind::of(fault.kind), fault.message.to_string()))),
    }
}
