//! Letters to the engine and the answers to them, and the bounded inbox in which letters wait.
pub use super::turn::Mailbox;
use bursar_interface::{Allocator, Change, ClaimId, Command, Principal, Process, Qos, Reason, Refusal};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::oneshot;

/// Inputs waiting for the engine at once; one letter more is refused with `QueueFull`.
pub const INBOX_MAX: usize = 8192;

/// When to come back to a daemon that is ending, in nanoseconds.
const COME_BACK_NS: u64 = 1_000_000_000;

/// What an input came to, once it is durable.
pub type Answer = Result<Done, Refusal>;

/// An input that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The claim that it was about or that it made.
    pub claim: Option<ClaimId>,
    /// Its sequence in the journal.
    pub seq: u64,
    /// What came of what was set.
    pub changes: Vec<Change>,
}

/// A strategy that is to decide from now on.
pub enum Chosen {
    /// Where.
    Allocator(Box<dyn Allocator>),
    /// Who is first.
    Qos(Box<dyn Qos>),
}

/// Inputs that stay together, who sent them, and where the answers go.
pub struct Letter {
    /// Who.
    pub by: Principal,
    /// What, in order; one at least.
    pub bodies: Vec<Command>,
    /// The plugin that comes with a [`Command::Swap`].
    pub enclosed: Option<Chosen>,
    /// The process that is to be attached to what the one body, an ask, is granted at once.
    pub joining: Option<Process>,
    /// Where the answers go; nowhere for what the daemon tells itself.
    pub reply: Option<oneshot::Sender<Vec<Answer>>>,
}

/// Where the answers to one letter go.
pub struct Reply {
    /// How many the engine will give.
    pub inputs: usize,
    /// What was refused before it came to that, each with its place among all of the letter, in order.
    pub refused: Vec<(usize, Refusal)>,
    /// To whom.
    pub to: Option<oneshot::Sender<Vec<Answer>>>,
}

impl Reply {
    /// Sends as many of the answers as are this letter's.
    pub fn send(self, answers: &mut impl Iterator<Item = Answer>) {
        let mut mine: Vec<Answer> = answers.take(self.inputs).collect();
        for (at, refusal) in self.refused {
            mine.insert(at.min(mine.len()), Err(refusal));
        }
        if let Some(to) = self.to {
            // A caller who left needs no answer.
            let _ = to.send(mine);
        }
    }

    /// Refuses all of the letter.
    pub fn refuse(self, refusal: &Refusal) {
        self.send(&mut std::iter::repeat_with(|| Err(refusal.clone())));
    }
}

/// Letters that wait.
#[derive(Default)]
pub struct Inbox {
    waiting: Mutex<Waiting>,
    bell: Condvar,
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    letters: VecDeque<Letter>,
    /// In all letters.
    inputs: usize,
    /// Who waits for room.
    insisting: usize,
    rung: bool,
    closed: bool,
}

impl Inbox {
    /// Puts a letter in, without a word to anybody.
    ///
    /// # Errors
    /// `QueueFull` when the inbox is full; `Stopping` when the daemon is ending.
    pub fn post(&self, letter: Letter) -> Result<(), Refusal> {
        let mut waiting = self.waiting();
        if waiting.closed {
            return Err(ending());
        }
        if waiting.inputs + letter.bodies.len() > INBOX_MAX {
            return Err(Refusal::new(Reason::QueueFull, format!("{INBOX_MAX} requests wait already"))
                .hint("try again in a second"));
        }
        waiting.put(letter);
        Ok(())
    }

    /// Puts a letter in as soon as there is room, without a word to anybody. It is lost only if the daemon is
    /// ending.
    pub fn insist(&self, letter: Letter) {
        let mut waiting = self.waiting();
        while !waiting.closed && waiting.inputs + letter.bodies.len() > INBOX_MAX {
            waiting.rung = true;
            self.bell.notify_one();
            waiting.insisting += 1;
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.insisting -= 1;
        }
        if !waiting.closed {
            waiting.put(letter);
        }
    }

    /// How many inputs wait.
    pub fn inputs(&self) -> usize {
        self.waiting().inputs
    }

    /// Wakes whoever waits in [`Inbox::wait`].
    pub fn ring(&self) {
        self.waiting().rung = true;
        self.bell.notify_one();
    }

    /// Waits until somebody rings or the time is over; not at all while letters are there.
    pub fn wait(&self, patience: Duration) {
        let waiting = self.waiting();
        if waiting.letters.is_empty() {
            let rung = self.bell.wait_timeout_while(waiting, patience, |waiting| !waiting.rung);
            rung.unwrap_or_else(PoisonError::into_inner).0.rung = false;
        }
    }

    /// Takes letters out, oldest first, of up to `most` inputs together; one at least, if there is one.
    pub fn take(&self, most: usize) -> Vec<Letter> {
        let mut waiting = self.waiting();
        let mut inputs = 0;
        let fit = waiting.letters.iter().take_while(|letter| {
            inputs += letter.bodies.len();
            inputs <= most
        });
        let fit = fit.count().max(1).min(waiting.letters.len());
        let taken: Vec<Letter> = waiting.letters.drain(..fit).collect();
        waiting.inputs -= taken.iter().map(|letter| letter.bodies.len()).sum::<usize>();
        if waiting.insisting > 0 {
            self.room.notify_all();
        }
        taken
    }

    /// Takes no letter any more; whoever waits for an answer is told by that.
    pub fn close(&self) {
        let mut waiting = self.waiting();
        waiting.closed = true;
        waiting.rung = true;
        waiting.letters.clear();
        waiting.inputs = 0;
        self.bell.notify_one();
        self.room.notify_all();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    fn put(&mut self, letter: Letter) {
        self.inputs += letter.bodies.len();
        self.letters.push_back(letter);
    }
}

/// What is told to whoever comes too late.
pub fn ending() -> Refusal {
    Refusal::new(Reason::Stopping, "the daemon is ending").after(Some(COME_BACK_NS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(inputs: usize) -> Letter {
        let bodies = vec![Command::Tick; inputs];
        Letter { by: Principal::default(), bodies, enclosed: None, joining: None, reply: None }
    }

    #[test]
    fn the_inbox_is_bounded_by_inputs_and_keeps_letters_whole() {
        let inbox = Inbox::default();
        for _ in 0..8 {
            inbox.post(letter(1000)).expect("room");
        }
        assert_eq!(inbox.post(letter(193)).expect_err("full").reason, Reason::QueueFull);
        inbox.post(letter(192)).expect("room for just as many");
        assert_eq!(inbox.take(2500).len(), 2, "a third would be too many");
        assert_eq!(inbox.take(10).len(), 1, "one at least, whatever its size");
        assert_eq!(inbox.inputs(), 5192);
        inbox.close();
        assert_eq!(inbox.post(letter(1)).expect_err("closed").reason, Reason::Stopping);
        assert!(inbox.take(1).is_empty());
    }

    #[test]
    fn a_letter_by_itself_wakes_nobody_and_a_bell_does() {
        let inbox = Inbox::default();
        std::thread::scope(|scope| {
            let slept = scope.spawn(|| {
                let since = std::time::Instant::now();
                inbox.wait(Duration::from_secs(60));
                since.elapsed()
            });
            std::thread::sleep(Duration::from_millis(50));
            inbox.post(letter(1)).expect("room");
            std::thread::sleep(Duration::from_millis(50));
            assert!(!slept.is_finished());
            inbox.ring();
            assert!(slept.join().expect("woken") >= Duration::from_millis(90));
        });
    }
}
