//! Has the enforcer's thread work on another processor than whoever is writing down what it is to make true: it has that
//! done while the writer waits for the disk, but a scheduler that packs threads together would let it begin only
//! then, and let the writer, whose disk is ready, wait for it in turn.
//!
//! It is moved and not bound: where it has worked once it is mostly woken again, and where somebody else wants that
//! processor it may go back.
use rustix::{
    process::getpid,
    thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity},
};
use std::{
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// Between two moves: on a busy machine each may cost a turn of somebody else's.
const MOVED_EVERY: Duration = Duration::from_secs(1);

/// Where the enforcer's thread works.
#[derive(Default)]
pub struct Apart {
    thread: OnceLock<Pid>,
    /// One more than the processor on which it worked last; 0 for none yet.
    works_on: AtomicUsize,
    /// It is being moved, and is bound until it works again.
    is_bound: AtomicBool,
    moved: Mutex<Option<Instant>>,
}

impl Apart {
    /// The calling thread is the enforcer's, and about to work.
    pub fn is_here(&self) {
        // A second one would stay where it likes.
        let _ = self.thread.set(gettid());
        self.works_on.store(sched_getcpu() + 1, Ordering::Relaxed);
        if self.is_bound.swap(false, Ordering::AcqRel) {
            anywhere();
        }
    }

    /// The calling thread is about to write. If the enforcer's worked on the same processor last, it is moved to one of the
    /// others; mostly it did not, and nothing is asked of the kernel.
    pub fn keep_off(&self) {
        let here = sched_getcpu();
        if self.works_on.load(Ordering::Relaxed) != here + 1 || !self.may_move() {
            return;
        }
        if let (Some(thread), Some(others)) = (self.thread.get(), others(here)) {
            // Where it may not be so it works all the same.
            let moved = sched_setaffinity(Some(*thread), &others);
            self.is_bound.store(moved.is_ok(), Ordering::Release);
        }
    }

    fn may_move(&self) -> bool {
        let mut moved = self.moved.lock().unwrap_or_else(PoisonError::into_inner);
        let may = moved.is_none_or(|moved| moved.elapsed() >= MOVED_EVERY);
        if may {
            *moved = Some(Instant::now());
        }
        may
    }
}

/// The calling thread, which the enforcer's may have started, works wherever this daemon's first thread may.
pub fn anywhere() {
    if let Ok(all) = sched_getaffinity(Some(getpid())) {
        // Where it may not be so it works all the same.
        let _ = sched_setaffinity(None, &all);
    }
}

/// The processors that this daemon may use, but for one; `None` for no other.
fn others(here: usize) -> Option<CpuSet> {
    let mut all = sched_getaffinity(Some(getpid())).ok()?;
    all.unset(here);
    (all.count() > 0).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::mpsc, thread};

    /// Only this one.
    fn bind(cpu: usize) {
        let mut one = CpuSet::new();
        one.set(cpu);
        sched_setaffinity(None, &one).expect("one of mine");
    }

    #[test]
    fn the_enforcer_is_moved_off_the_writers_processor_and_not_bound() {
        let mine = sched_getaffinity(None).expect("some");
        let Some(here) = (0..CpuSet::MAX_CPU).find(|cpu| mine.is_set(*cpu)).filter(|_| mine.count() > 1)
        else {
            return eprintln!("skipped: there is one processor only");
        };
        let apart = Apart::default();
        let (work, works) = mpsc::channel::<bool>();
        let (tell, told) = mpsc::channel();
        thread::scope(|scope| {
            let apart = &apart;
            scope.spawn(move || {
                // Where it is told to work on the writer's it does, once.
                while let Ok(beside) = works.recv() {
                    let woke_on = sched_getcpu();
                    beside.then(|| bind(here));
                    apart.is_here();
                    let _ = tell.send((gettid(), woke_on));
                    beside.then(anywhere);
                }
            });
            let works = |beside| {
                work.send(beside).expect("it lives");
                told.recv().expect("it works")
            };
            bind(here);
            let (thread, _) = works(true);
            let may_use = || sched_getaffinity(Some(thread)).expect("it lives");
            apart.keep_off();
            assert!(!may_use().is_set(here) && may_use().count() + 1 == mine.count());
            let (_, woke_on) = works(false);
            assert_ne!(woke_on, here);
            assert_eq!(may_use(), mine, "it may go back");
            apart.keep_off();
            assert_eq!(may_use(), mine, "it works elsewhere");
            works(true);
            apart.keep_off();
            assert!(may_use().is_set(here), "it was moved a moment ago");
            drop(work);
        });
    }
}
