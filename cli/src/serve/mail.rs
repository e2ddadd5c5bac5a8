//! How inputs reach the engine's thread and how answers come back: one bounded inbox.
use bursar_interface::{Allocator, ClaimId, Command, Principal, Qos, Reason, Refusal};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::Duration;
use tokio::sync::oneshot;

/// Letters waiting for the engine's thread at once; one more is refused with `QueueFull`.
pub const INBOX_MAX: usize = 8192;

/// What an input came to, once it is durable.
pub type Answer = Result<Done, Refusal>;

/// An input that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Done {
    /// The claim that it was about or that it made.
    pub claim: Option<ClaimId>,
    /// Its sequence in the journal.
    pub seq: u64,
}

/// A strategy that is to decide from now on.
pub enum Chosen {
    /// Where.
    Allocator(Box<dyn Allocator>),
    /// Who is first.
    Qos(Box<dyn Qos>),
}

/// One input, who sent it, and where the answer goes.
pub struct Letter {
    /// Who.
    pub by: Principal,
    /// What.
    pub body: Command,
    /// The plugin that comes with a [`Command::Swap`].
    pub enclosed: Option<Chosen>,
    /// Where the answer goes; nowhere for what the daemon tells itself.
    pub reply: Option<oneshot::Sender<Answer>>,
}

/// The sending end of the inbox.
#[derive(Clone)]
pub struct Mailbox(SyncSender<Letter>);

/// The receiving end of the inbox.
pub struct Inbox(Receiver<Letter>);

/// A new inbox with both of its ends.
pub fn mailbox() -> (Mailbox, Inbox) {
    let (send, receive) = sync_channel(INBOX_MAX);
    (Mailbox(send), Inbox(receive))
}

impl Mailbox {
    /// Puts a letter in and waits for the answer.
    ///
    /// # Errors
    /// `QueueFull` at once when the inbox is full or the daemon is ending; else what the engine refuses.
    pub async fn ask(&self, by: Principal, body: Command, enclosed: Option<Chosen>) -> Answer {
        let (reply, answer) = oneshot::channel();
        self.post(Letter { by, body, enclosed, reply: Some(reply) })?;
        answer.await.unwrap_or_else(|_| Err(ending()))
    }

    /// Tells the engine something as the daemon itself, waiting for room but for no answer.
    pub fn tell(&self, body: Command) {
        let by = Principal { admin: true, ..Principal::default() };
        // The receiver is gone only when the daemon is ending: nobody is left to be told.
        let _ = self.0.send(Letter { by, body, enclosed: None, reply: None });
    }

    fn post(&self, letter: Letter) -> Result<(), Refusal> {
        self.0.try_send(letter).map_err(|error| match error {
            TrySendError::Full(_) => {
                Refusal::new(Reason::QueueFull, format!("{INBOX_MAX} requests wait already"))
                    .hint("try again in a second")
            }
            TrySendError::Disconnected(_) => ending(),
        })
    }
}

impl Inbox {
    /// Waits for a letter at most that long, then takes all that are there, up to `most`. `None` when
    /// no sender is left.
    pub fn take(&self, wait: Duration, most: usize) -> Option<Vec<Letter>> {
        let mut letters = match self.0.recv_timeout(wait) {
            Ok(letter) => vec![letter],
            Err(RecvTimeoutError::Timeout) => Vec::new(),
            Err(RecvTimeoutError::Disconnected) => return None,
        };
        while letters.len() < most {
            match self.0.try_recv() {
                Ok(letter) => letters.push(letter),
                Err(_) => break,
            }
        }
        Some(letters)
    }
}

fn ending() -> Refusal {
    Refusal::new(Reason::QueueFull, "the daemon is ending").hint("try again when it is back")
}
