//! Has the enforcer's thread work on another processor than whoever is writing down what it is to make true: it has that
//! done while the writer waits for the disk, but a scheduler that packs threads together would let it begin only
//! then, and let the writer, whose disk is ready, wait for it in turn.
use rustix::{
    process::getpid,
    thread::{CpuSet, Pid, gettid, sched_getaffinity, sched_getcpu, sched_setaffinity},
};
use std::sync::{
    OnceLock,
    atomic::{AtomicUsize, Ordering},
};

/// Where the enforcer's thread does not work.
#[derive(Default)]
pub struct Apart {
    thread: OnceLock<Pid>,
    /// One more than the processor that was left to the writer last; 0 for none yet.
    left: AtomicUsize,
}

impl Apart {
    /// The calling thread is the enforcer's.
    pub fn is_here(&self) {
        // A second one would stay where it likes.
        let _ = self.thread.set(gettid());
    }

    /// Leaves the processor that this runs on to the calling thread, which may go on to write: of those that this one
    /// may use the enforcer's thread has all others, if there are any. Mostly it was so before, and nothing is asked of the kernel.
    pub fn keep_off(&self) {
        let here = sched_getcpu();
        if self.left.swap(here + 1, Ordering::Relaxed) == here + 1 {
            return;
        }
        if let (Some(thread), Some(others)) = (self.thread.get(), others(here)) {
            // Where it may not be so it works all the same.
            let _ = sched_setaffinity(Some(*thread), &others);
        }
    }
}

/// The calling thread, which the enforcer's may have started, works wherever this daemon's first thread may.
pub fn anywhere() {
    if let Ok(all) = sched_getaffinity(Some(getpid())) {
        // Where it may not be so it works all the same.
        let _ = sched_setaffinity(None, &all);
    }
}

/// The processors that this thread may use, but for one; `None` for no other.
fn others(here: usize) -> Option<CpuSet> {
    let mut mine = sched_getaffinity(None).ok()?;
    mine.unset(here);
    (mine.count() > 0).then_some(mine)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        sync::{Arc, mpsc},
        thread,
    };

    #[test]
    fn the_enforcer_has_all_processors_but_the_writers() {
        let mine = sched_getaffinity(None).expect("some");
        if mine.count() < 2 {
            return eprintln!("skipped: there is one processor only");
        }
        let (apart, (tell, told)) = (Arc::new(Apart::default()), mpsc::channel());
        let (end, ended) = mpsc::channel::<()>();
        let enforcer = apart.clone();
        let enforcer = thread::spawn(move || {
            enforcer.is_here();
            let _ = tell.send(gettid());
            let _ = ended.recv();
        });
        let thread = told.recv().expect("it runs");
        for here in (0..CpuSet::MAX_CPU).filter(|cpu| mine.is_set(*cpu)).take(2) {
            let mut one = CpuSet::new();
            one.set(here);
            sched_setaffinity(None, &one).expect("one of mine");
            assert_eq!(sched_getcpu(), here);
            apart.keep_off();
            assert_eq!(
                sched_getaffinity(Some(thread)).expect("it runs"),
                mine,
                "there is no other for one that may use one"
            );
            sched_setaffinity(None, &mine).expect("as before");
        }
        let here = sched_getcpu();
        apart.left.store(0, Ordering::Relaxed);
        apart.keep_off();
        let theirs = sched_getaffinity(Some(thread)).expect("it runs");
        // Unless this thread was moved meanwhile.
        if sched_getcpu() == here {
            assert_eq!(theirs.count() + 1, mine.count());
            assert!(!theirs.is_set(here));
        }
        let started = thread::spawn(move || {
            let one_less = sched_setaffinity(None, &theirs);
            anywhere();
            one_less.and_then(|()| sched_getaffinity(None))
        });
        assert_eq!(
            started.join().expect("no panic").expect("some"),
            mine,
            "what it starts is not bound by that"
        );
        drop(end);
        enforcer.join().expect("no panic");
    }
}
