//! A connection over the unix socket. It is not told of room to write in until it has met none: whoever takes an answer in
//! makes room, and would have to wake us up for it before going on.
use crate::stream::Stream;
use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::UnixStream,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf, unix::AsyncFd};

/// A connection; none while it is being asked to be told of more.
pub(crate) struct Local {
    socket: Option<AsyncFd<UnixStream>>,
    told_of_room: bool,
    /// Whether it is watched if the peer hangs up: what was told of room is forgotten meanwhile.
    watched: bool,
    /// Who waits for something to read, or for the peer to hang up.
    reader: Option<Waker>,
}

impl Local {
    /// One that was just accepted.
    pub(crate) fn new(accepted: tokio::net::UnixStream) -> io::Result<Local> {
        let socket = registered(accepted.into_std()?, Interest::READABLE)?;
        Ok(Local { socket: Some(socket), told_of_room: false, watched: false, reader: None })
    }

    fn socket(&self) -> io::Result<&AsyncFd<UnixStream>> {
        self.socket.as_ref().ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// From here on it is told of room as well.
    fn listen_for_room(&mut self) -> io::Result<()> {
        if let Some(socket) = self.socket.take() {
            let both = Interest::READABLE | Interest::WRITABLE;
            self.socket = Some(registered(socket.into_inner(), both)?);
            self.told_of_room = true;
            // Who waited for something to read has to say so again.
            self.reader.take().into_iter().for_each(Waker::wake);
        }
        Ok(())
    }
}

/// As `tokio` would have it, were it not that it always asks for both.
fn registered(socket: UnixStream, interest: Interest) -> io::Result<AsyncFd<UnixStream>> {
    #[expect(
        deprecated,
        reason = "because of those whose descriptor changes or is closed; a stream's is its own"
    )]
    AsyncFd::with_interest(socket, interest)
}

impl AsyncRead for Local {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let Poll::Ready(ready) = self.socket()?.poll_read_ready(cx) else {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            let mut ready = ready?;
            let room = buf.initialize_unfilled();
            let Ok(read) = ready.try_io(|socket| socket.get_ref().read(room)) else { continue };
            let (read, room) = (read?, room.len());
            if 0 < read && read < room {
                // That was all: what comes next is told of.
                ready.clear_ready();
            }
            buf.advance(read);
            return Poll::Ready(Ok(()));
        }
    }
}

impl AsyncWrite for Local {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        if !self.told_of_room || self.watched {
            match self.socket()?.get_ref().write(buf) {
                Err(error) if error.kind() == ErrorKind::WouldBlock && self.told_of_room => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.listen_for_room()?,
                written => return Poll::Ready(written),
            }
        }
        loop {
            let mut ready = ready!(self.socket()?.poll_write_ready(cx))?;
            if let Ok(written) = ready.try_io(|socket| socket.get_ref().write(buf)) {
                return Poll::Ready(written);
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(self.socket()?.get_ref().shutdown(Shutdown::Write))
    }
}

impl Stream for Local {
    /// The system tells of a peer that closed its end, or shut down both ways, as if there were no more room to write in;
    /// of one that shut down one way it does not.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watched = true;
        loop {
            let Ok(socket) = self.socket() else { return Poll::Ready(()) };
            let Poll::Ready(ready) = socket.poll_write_ready(cx) else {
                self.reader = Some(cx.waker().clone());
                return Poll::Pending;
            };
            match ready {
                // It is but room, which is found by writing.
                Ok(mut ready) if !ready.ready().is_write_closed() => ready.clear_ready(),
                _ => return Poll::Ready(()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{future::poll_fn, time::Duration};
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        time::timeout,
    };

    const MOMENT: Duration = Duration::from_millis(50);
    const LONG: Duration = Duration::from_secs(10);

    async fn pair() -> (Local, tokio::net::UnixStream) {
        let (one, other) = tokio::net::UnixStream::pair().expect("a pair");
        (Local::new(one).expect("registered"), other)
    }

    #[tokio::test]
    async fn what_is_said_is_heard_both_ways_to_its_end() {
        let (mut local, mut peer) = pair().await;
        peer.write_all(b"ask").await.expect("sent");
        let mut heard = [0; 8];
        assert_eq!(local.read(&mut heard).await.expect("heard"), 3);
        local.write_all(b"answer").await.expect("answered");
        assert_eq!(peer.read(&mut heard).await.expect("heard"), 6);
        assert!(!local.told_of_room);
        local.shutdown().await.expect("shut");
        assert_eq!(peer.read(&mut heard).await.expect("the end"), 0);
        drop(peer);
        assert_eq!(local.read(&mut heard).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn more_than_there_is_room_for_goes_out_as_room_is_made_while_more_is_heard() {
        const BYTES: usize = 4 << 20;
        let (local, peer) = pair().await;
        let (mut hears, mut says) = tokio::io::split(local);
        let (mut takes, mut asks) = peer.into_split();
        let writing = tokio::spawn(async move { says.write_all(&vec![7; BYTES]).await });
        let mut heard = [0; 4];
        // Whoever does not listen yet may speak all the same, before there is no room and afterwards.
        for _ in 0..3 {
            asks.write_all(b"more").await.expect("sent");
            hears.read_exact(&mut heard).await.expect("heard");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let mut taken = vec![0; BYTES];
        takes.read_exact(&mut taken).await.expect("all of it");
        writing.await.expect("no panic").expect("written");
        assert!(taken.iter().all(|&byte| byte == 7));
    }

    #[tokio::test]
    async fn whoever_is_gone_is_written_to_in_vain() {
        let (mut local, peer) = pair().await;
        drop(peer);
        assert!(local.write_all(b"answer").await.is_err());
    }

    #[tokio::test]
    async fn who_says_no_more_is_gone_only_when_it_does_not_listen_either() {
        for stalled in [false, true] {
            let (mut local, mut peer) = pair().await;
            if stalled {
                // From here on it is told of room.
                let written = timeout(MOMENT, local.write_all(&vec![7; 4 << 20])).await;
                assert!(written.is_err() && local.told_of_room);
            }
            peer.shutdown().await.expect("shut");
            assert_eq!(local.read(&mut [0; 8]).await.expect("the end"), 0);
            assert!(timeout(MOMENT, poll_fn(|cx| local.poll_gone(cx))).await.is_err(), "it listens");
            let gone = async {
                poll_fn(|cx| local.poll_gone(cx)).await;
                assert!(local.write_all(b"answer").await.is_err());
            };
            let leaves = async {
                tokio::time::sleep(MOMENT).await;
                drop(peer);
            };
            timeout(LONG, async { tokio::join!(gone, leaves) }).await.expect("noticed");
        }
    }

    #[tokio::test]
    async fn who_says_no_more_takes_in_all_of_a_long_answer_while_it_is_watched() {
        const BYTES: usize = 4 << 20;
        let (mut local, mut peer) = pair().await;
        peer.shutdown().await.expect("shut");
        let reading = tokio::spawn(async move {
            let mut taken = Vec::new();
            peer.read_to_end(&mut taken).await.map(|_| taken.len())
        });
        let (answer, mut said) = (vec![7; BYTES], 0);
        poll_fn(|cx| {
            while said < BYTES {
                // As hyper does: looks first, then writes.
                assert!(local.poll_gone(cx).is_pending());
                said += ready!(Pin::new(&mut local).poll_write(cx, &answer[said..])).expect("written");
            }
            Poll::Ready(())
        })
        .await;
        drop(local);
        assert_eq!(reading.await.expect("no panic").expect("heard"), BYTES);
    }
}
