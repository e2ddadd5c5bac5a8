//! The clock of one connection: what it waits for, and until when; and the stream that keeps it.
use crate::{
    Limits,
    framing::{Framing, Wrong},
    stream::Stream,
    unread,
};
use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::Instant,
};

/// What a connection waits for. Cloned freely; all clones are one.
#[derive(Clone)]
pub(crate) struct Pulse {
    limits: Arc<Limits>,
    beat: Arc<Mutex<Beat>>,
}

struct Beat {
    stage: Stage,
    /// Since when bytes of an answer wait for the peer to read.
    stalled: Option<Instant>,
    /// Whether the last request asks for something that may be long in coming.
    waits: bool,
    /// Requests that began to come, and those whose heads were complete.
    begun: u64,
    heads: u64,
}

/// What the peer owes us, and since when.
#[derive(Clone, Copy)]
enum Stage {
    /// A request.
    Idle(Instant),
    /// The rest of a request's headers.
    Head(Instant),
    /// Nothing: we owe an answer.
    Busy,
}

impl Pulse {
    pub(crate) fn new(limits: Arc<Limits>) -> Pulse {
        let beat =
            Beat { stage: Stage::Idle(Instant::now()), stalled: None, waits: false, begun: 0, heads: 0 };
        Pulse { limits, beat: Arc::new(Mutex::new(beat)) }
    }

    /// When the peer has been waited for long enough; `None` while we owe an answer.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let beat = self.beat();
        let owed = match beat.stage {
            Stage::Idle(since) => Some(since + self.limits.idle),
            Stage::Head(since) => Some(since + self.limits.header),
            Stage::Busy => None,
        };
        let stalled = beat.stalled.map(|since| since + self.limits.stalled);
        owed.into_iter().chain(stalled).min()
    }

    /// The headers are complete, of a request that may wait or not.
    pub(crate) fn busy(&self, waits: bool) -> Answering {
        let mut beat = self.beat();
        (beat.stage, beat.waits) = (Stage::Busy, waits);
        beat.heads += 1;
        drop(beat);
        Answering(self.clone())
    }

    /// Whether an answer is not out yet.
    fn owing(&self) -> bool {
        let beat = self.beat();
        matches!(beat.stage, Stage::Busy) || beat.stalled.is_some()
    }

    /// Whether what is owed may be long in coming.
    fn waits(&self) -> bool {
        self.beat().waits
    }

    /// Whether the peer owes us the rest of a request.
    fn owed_a_head(&self) -> bool {
        matches!(self.beat().stage, Stage::Head(_))
    }

    fn bytes_came(&self, begun: u64) {
        let mut beat = self.beat();
        beat.begun = begun;
        if let Stage::Idle(_) = beat.stage {
            beat.stage = Stage::Head(Instant::now());
        }
    }

    fn wrote(&self, progress: bool) {
        let mut beat = self.beat();
        beat.stalled = if progress { None } else { beat.stalled.or_else(|| Some(Instant::now())) };
    }

    fn beat(&self) -> MutexGuard<'_, Beat> {
        self.beat.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer is owed for as long as this lives.
pub(crate) struct Answering(Pulse);

impl Drop for Answering {
    fn drop(&mut self) {
        let (now, mut beat) = (Instant::now(), self.0.beat());
        // The next request may have begun to come behind the one that was answered.
        beat.stage = if beat.begun > beat.heads { Stage::Head(now) } else { Stage::Idle(now) };
    }
}

/// What no request has in it, and the end of one: whatever came before, hyper refuses it, after what it owes.
const NO_REQUEST: &[u8] = b"\0\r\n\r\n";

/// A stream that tells its pulse of every byte that comes and of every write that stands still, and hands in no request
/// that could be read otherwise.
pub(crate) struct Metered<S> {
    stream: S,
    pulse: Pulse,
    framing: Framing,
    /// What was wrong with a request, and what of [`NO_REQUEST`] is still to be handed in; nothing comes after it.
    wrong: Option<(Wrong, &'static [u8])>,
    /// What is still to be said in the stead of what was handed in, for good.
    instead: Vec<u8>,
    /// Whether hyper is yet to hear that nothing more comes.
    withheld: bool,
}

impl<S> Metered<S> {
    pub(crate) fn new(stream: S, pulse: Pulse) -> Metered<S> {
        Metered {
            stream,
            pulse,
            framing: Framing::default(),
            wrong: None,
            instead: Vec::new(),
            withheld: false,
        }
    }

    /// Looks at what came, and takes from the bytes what must not be read.
    fn look(&mut self, buf: &mut ReadBuf<'_>, before: usize) {
        let read = self.framing.read(&buf.filled()[before..]);
        self.pulse.bytes_came(self.framing.begun());
        if let Err((at, wrong)) = read {
            buf.set_filled(before + at);
            self.wrong = Some((wrong, NO_REQUEST));
        }
    }

    /// Hands in what is no request, where something was wrong with the one that came.
    fn refuse(&mut self, buf: &mut ReadBuf<'_>) {
        if let Some((_, rest)) = &mut self.wrong {
            let (now, later) = rest.split_at(rest.len().min(buf.remaining()));
            buf.put_slice(now);
            *rest = later;
        }
    }
}

impl<S: Stream> Metered<S> {
    /// Nothing more comes. Hyper takes that for the end whatever it still owes, so it hears of it only when the answer is
    /// out; or when nobody is left to hear what may be long in coming; or at once if the last request can never be whole.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.withheld = self.framing.is_between() && self.pulse.owing();
        if !self.withheld {
            return Poll::Ready(());
        }
        if self.pulse.waits() { self.stream.poll_gone(cx) } else { Poll::Pending }
    }
}

impl<S: Stream> AsyncRead for Metered<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        let mut polled = Poll::Ready(Ok(()));
        if this.wrong.is_none() {
            polled = Pin::new(&mut this.stream).poll_read(cx, buf);
            if buf.filled().len() > before {
                this.look(buf, before);
            } else if let Poll::Ready(Ok(())) = polled {
                polled = this.poll_end(cx).map(Ok);
            }
        }
        this.refuse(buf);
        polled
    }
}

impl<S: AsyncWrite + Unpin> Metered<S> {
    fn write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.pulse.wrote(polled.is_ready());
        polled
    }

    fn write_instead(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.instead.is_empty() {
            let instead = std::mem::take(&mut self.instead);
            let written = self.write(cx, &instead);
            self.instead = instead;
            match ready!(written)? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => drop(self.instead.drain(..written)),
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Metered<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        ready!(this.write_instead(cx))?;
        // Nothing of ours is said while a request is still being read: so this is hyper's own.
        let wrong = this.wrong.map(|(wrong, _)| wrong);
        if let Some(instead) = this.pulse.owed_a_head().then(|| unread::told(bytes, wrong)).flatten() {
            this.instead = instead;
            return Poll::Ready(Ok(bytes.len()));
        }
        this.write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_instead(cx))?;
        if this.withheld && !this.pulse.owing() {
            // Hyper was told to wait, and does not ask again of itself.
            this.withheld = false;
            cx.waker().wake_by_ref();
        }
        Pin::new(&mut this.stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.write_instead(cx))?;
        Pin::new(&mut this.stream).poll_shutdown(cx)
    }
}
