//! Whose thread serves the edges. A change of threads costs 30 to 50 µs on an idle machine, and a command that starts
//! and ends used to change four times. So as long as commands keep coming, whoever has committed a batch makes it true
//! as well; the enforcer's own thread does what is left, what may take long, and what time brings.
pub mod apart;

use super::enforcer::{Enforcer, Ground, Note};
use apart::Apart;
use bursar_interface::{ClaimId, Command};
use std::{
    collections::VecDeque,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The way to the enforcer. Cloned freely; all clones are one.
#[derive(Clone, Default)]
pub struct Edges(Arc<Shared>);

#[derive(Default)]
struct Shared {
    notes: Mutex<Notes>,
    bell: Condvar,
    /// Gone when the daemon is ending.
    enforcer: Mutex<Option<Enforcer>>,
    /// No process is moved for the first time after a quiet while, which may take long.
    warm: AtomicBool,
    /// Where the enforcer's thread works.
    apart: Apart,
}

/// Whether what was foretold is in the log by now: it outlives this daemon then, though it is promised to nobody yet.
#[derive(Clone, Default)]
pub struct Written(Arc<AtomicBool>);

/// What the enforcer is to hear. Bounded by the leases that there are.
#[derive(Default)]
struct Notes {
    waiting: VecDeque<Note>,
    rung: bool,
    /// When the enforcer's own thread looks up by itself; `None` for never.
    up_at: Option<Instant>,
}

impl Written {
    /// Whether it is.
    pub fn is_so(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// It is.
    pub fn say(&self) {
        self.0.store(true, Ordering::Release);
    }
}

impl Edges {
    /// Leaves a note, without a word to anybody: for those who call [`Edges::serve`] or [`Edges::ring`] afterwards.
    pub fn leave(&self, note: Note) {
        self.notes().waiting.push_back(note);
    }

    /// Leaves a note, and has the enforcer's thread see to it.
    pub fn send(&self, note: Note) {
        self.leave(note);
        self.ring();
    }

    /// Has the enforcer's thread make groups while what needs them is being written down, and put into them who is to
    /// live there as soon as it is in the log, if commands keep coming: who writes has to wait for the disk.
    pub fn foretell(&self, grounds: Vec<Ground>, written: &Written) {
        if self.0.warm.load(Ordering::Acquire) && !grounds.is_empty() {
            self.0.apart.keep_off();
            self.send(Note::Ground(grounds, written.clone()));
        }
    }

    /// Takes back what a lease holds, if that is quick, nothing lives in it and nobody else is at it; tells what is to be
    /// told of that.
    pub fn take_back(&self, claim: ClaimId) -> Vec<Command> {
        // Who is about to live in it may stand in a note.
        if !self.0.warm.load(Ordering::Acquire) || self.first(|_| true) {
            return Vec::new();
        }
        let Ok(mut seat) = self.0.enforcer.try_lock() else { return Vec::new() };
        seat.as_mut().map_or_else(Vec::new, |enforcer| enforcer.take_back(claim))
    }

    /// Wakes the enforcer's thread.
    pub fn ring(&self) {
        self.notes().rung = true;
        self.0.bell.notify_one();
    }

    /// Has the notes served that are there: here, if that is quick and nobody else does, or else by the
    /// enforcer's thread.
    pub fn serve(&self) {
        while self.first(|_| true) {
            if !self.0.warm.load(Ordering::Acquire) || !self.first(Note::is_quick) {
                return self.ring();
            }
            // Whoever has it looks once more afterwards.
            let Ok(mut seat) = self.0.enforcer.try_lock() else { return };
            let Some(enforcer) = seat.as_mut() else { return };
            while let Some(note) = self.take(Note::is_quick) {
                enforcer.take(note);
            }
            // What time brings because of that is for its own thread.
            let due = enforcer.due().map(|due| Instant::now() + due);
            drop(seat);
            if due.is_some_and(|due| self.notes().up_at.is_none_or(|up_at| due < up_at)) {
                self.ring();
            }
        }
    }

    /// The enforcer's own thread, until the daemon ends.
    pub fn keep(&self, enforcer: Enforcer) {
        self.0.apart.is_here();
        *self.seat() = Some(enforcer);
        loop {
            {
                let mut seat = self.seat();
                let Some(enforcer) = seat.as_mut() else { return };
                while let Some(note) = self.take(|_| true) {
                    if matches!(note, Note::End) {
                        enforcer.let_go();
                        *seat = None;
                        return;
                    }
                    enforcer.take(note);
                }
                let due = enforcer.go_on();
                self.0.warm.store(enforcer.is_warm(), Ordering::Release);
                self.look_up_in(due);
            }
            self.wait();
        }
    }

    /// Whether there is a note, and it is such a one.
    fn first(&self, such: impl Fn(&Note) -> bool) -> bool {
        self.notes().waiting.front().is_some_and(such)
    }

    fn take(&self, such: impl Fn(&Note) -> bool) -> Option<Note> {
        let mut notes = self.notes();
        match notes.waiting.front().is_some_and(such) {
            true => notes.waiting.pop_front(),
            false => None,
        }
    }

    /// The enforcer's own thread will look up then, or when it meant to before, if that is sooner: mostly the next
    /// command comes before that, and it need not be woken for it.
    fn look_up_in(&self, due: Option<Duration>) {
        let (now, mut notes) = (Instant::now(), self.notes());
        let meant = notes.up_at.filter(|up_at| now < *up_at);
        notes.up_at = [due.map(|due| now + due), meant].into_iter().flatten().min();
    }

    /// Waits until somebody rings or it is time to look up; not at all while notes are there.
    fn wait(&self) {
        let notes = self.notes();
        let idle = |notes: &mut Notes| notes.waiting.is_empty() && !notes.rung;
        let mut notes = match notes.up_at {
            Some(up_at) => {
                let patience = up_at.saturating_duration_since(Instant::now());
                let woken = self.0.bell.wait_timeout_while(notes, patience, idle);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.0.bell.wait_while(notes, idle).unwrap_or_else(PoisonError::into_inner),
        };
        notes.rung = false;
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.0.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A panic in there is a bug, and nobody goes on with what it left.
    fn seat(&self) -> MutexGuard<'_, Option<Enforcer>> {
        self.0.enforcer.lock().unwrap_or_else(|_| panic!("somebody panicked at the edges"))
    }
}
