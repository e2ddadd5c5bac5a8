//! A whole batch log through the engine's own queue: every job is asked for when it was submitted, waits
//! as long as it must, and is given back when it has run. When it started is all that comes of it.
use crate::{
    machine::{self, Held, Machine, ask, granted, release},
    trace::swf::Job,
};
use bursar_engine::Plugins;
use bursar_interface::{Batch, ClaimId, What, bound::TTL_NS_MAX};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// How a log went.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// When each job started, in seconds of the log; `None` if it never did: it waited longer than anybody
    /// may wait (30 days), or too many waited already.
    pub starts_s: Vec<Option<u64>>,
    /// Faults of the strategies.
    pub faults: u64,
    /// Events of the engine.
    pub events: u64,
}

/// Runs jobs, in any order, on a machine of so many processors. At one moment, what ends is given back
/// before who arrives asks, in the order of the list.
///
/// # Errors
/// Names a job that could not run on such a machine at all.
pub fn run(jobs: &[Job], processors: u64, plugins: &mut Plugins) -> Result<Run, String> {
    machine::check(jobs, processors)?;
    let machine = Machine::new(processors, plugins);
    let mut arrivals: Vec<usize> = (0..jobs.len()).collect();
    arrivals.sort_by_key(|&job| jobs[job].submit_s);
    let run = Run { starts_s: vec![None; jobs.len()], ..Run::default() };
    let hall = Hall { jobs, waiting: BTreeMap::new(), ends: BinaryHeap::new(), run };
    Ok(hall.run(machine, &arrivals, plugins))
}

struct Hall<'a> {
    jobs: &'a [Job],
    /// The job of each claim that waits.
    waiting: BTreeMap<ClaimId, usize>,
    /// Ends to come, and the leases that end then.
    ends: BinaryHeap<Reverse<(u64, Held)>>,
    run: Run,
}

impl Hall<'_> {
    fn run(mut self, mut machine: Machine, arrivals: &[usize], plugins: &mut Plugins) -> Run {
        let mut arrivals = arrivals.iter().copied().peekable();
        let (mut commands, mut asked) = (Vec::new(), Vec::new());
        loop {
            let arrives_s = arrivals.peek().map(|&job| self.jobs[job].submit_s);
            let ends_s = self.ends.peek().map(|Reverse((at_s, _))| *at_s);
            let Some(now_s) = [arrives_s, ends_s].into_iter().flatten().min() else { break };
            asked.clear();
            while let Some(&Reverse((at_s, held))) = self.ends.peek()
                && at_s == now_s
            {
                self.ends.pop();
                commands.push(release(held));
            }
            let first = commands.len();
            while let Some(job) = arrivals.next_if(|&job| self.jobs[job].submit_s == now_s) {
                asked.push(job);
                commands.push(ask(&self.jobs[job], TTL_NS_MAX));
            }
            self.hear(now_s, machine.step(now_s, commands.drain(..), plugins), &asked, first);
            // Until the engine has nothing left to do in this moment.
            while machine.unfinished() {
                self.hear(now_s, machine.step(now_s, [], plugins), &[], 0);
            }
        }
        self.run.faults = machine.faults;
        self.run
    }

    fn hear(&mut self, now_s: u64, batch: &Batch, asked: &[usize], first: usize) {
        self.run.events += batch.events.len() as u64;
        for event in &batch.events {
            if let (What::Queued { claim, .. }, Some(cause)) = (&event.what, event.cause) {
                self.waiting.insert(*claim, asked[cause as usize - first]);
            }
        }
        for held in granted(batch) {
            if let Some(job) = self.waiting.remove(&held.claim()) {
                self.run.starts_s[job] = Some(now_s);
                self.ends.push(Reverse((now_s + self.jobs[job].run_s, held)));
            }
        }
    }
}
