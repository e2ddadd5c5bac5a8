//! The accept loop: our own, because it must survive a full table of open files and turn people away
//! politely when the house is full.
use crate::{
    Error, House, Limits, Peer,
    address::Address,
    connection::{Visit, converse},
    denial::Denial,
    guard::Guard,
    hall::{Caller, Hall},
    local::Local,
    routes::router,
    seats::{Seat, Seats},
    spares::Spares,
    stream::Stream,
    tls::{Line, Tls},
    wing::{Wing, with_wing},
};
use axum::Router;
use std::{
    collections::VecDeque,
    convert::Infallible,
    future::Future,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, UnixListener, UnixStream},
    task::{AbortHandle, JoinSet, yield_now},
    time::{Instant, sleep, sleep_until, timeout},
};

/// First and longest pause after an accept that failed for want of files or memory, when nobody is left to
/// be sent away for it.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// Between complaints about that in the log.
const COMPLAINTS: Duration = Duration::from_secs(1);
/// Peers that are let in at a stretch. Then those are heard who have said something meanwhile: a crowd that
/// comes at once holds up nobody who is in already, nor anybody in its midst.
const STRETCH: usize = 32;
/// People who are being turned away at once; one more is shut out without a word.
const TURNED_AWAY_MAX: usize = 16;
/// Administrators who are let in for one request though the house is full. One more takes the place of the
/// one who came first: who has something to say has said it by then.
const BRIEF_MAX: usize = 16;
/// How long one who is turned away may take to say what was wanted.
const TURN_AWAY: Duration = Duration::from_secs(1);

/// Serves the house, with the wing if there is one, over a unix socket until `stop` resolves, then finishes
/// what is in flight.
///
/// # Errors
/// [`Error::Listener`] when the listener is of no use. Nothing that a peer does ends the loop.
pub async fn serve_unix<H: House>(
    listener: std::os::unix::net::UnixListener,
    house: Arc<H>,
    limits: Limits,
    wing: Option<Wing>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listener)?;
    let address = Address::of(&listener);
    let listener = UnixListener::from_std(listener).map_err(Error::Listener)?;
    let door = UnixDoor { listener: Mutex::new(Arc::new(listener)), address };
    serve(door, house, limits, None, wing, stop).await
}

/// Serves the house over TCP to those who pass the guard, by TLS where there is something to show, until `stop`
/// resolves.
///
/// # Errors
/// [`Error::Listener`] when the listener is of no use.
pub async fn serve_tcp<H: House>(
    listener: std::net::TcpListener,
    house: Arc<H>,
    limits: Limits,
    guard: Guard,
    tls: Option<Tls>,
    wing: Option<Wing>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    listener.set_nonblocking(true).map_err(Error::Listener)?;
    let listener = TcpListener::from_std(listener).map_err(Error::Listener)?;
    let guard = Arc::new(guard);
    serve(TcpDoor { listener, tls, peer: guard.peer }, house, limits, Some(guard), wing, stop).await
}

/// A listener, and how to tell who knocks.
trait Door: Send + Sync {
    type Knock: Send;
    type Stream: Stream;
    fn knock(&self) -> impl Future<Output = io::Result<Self::Knock>> + Send;
    /// Who knocked, and the connection as it is listened to from then on.
    fn meet(&self, knocked: Self::Knock) -> io::Result<(Peer, Self::Stream)>;
}

/// A unix socket, and the file by which it is reached.
struct UnixDoor {
    /// Another one once the file of the first was removed.
    listener: Mutex<Arc<UnixListener>>,
    address: Address,
}

impl UnixDoor {
    fn listener(&self) -> std::sync::MutexGuard<'_, Arc<UnixListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Listens at another socket where the address had to be bound again.
    fn look(&self) {
        let anew = self.address.look().and_then(|anew| {
            let taken = anew.set_nonblocking(true).and_then(|()| UnixListener::from_std(anew));
            taken.inspect_err(|error| tracing::error!(%error, "the new socket is of no use")).ok()
        });
        if let Some(anew) = anew {
            *self.listener() = Arc::new(anew);
        }
    }
}

impl Door for UnixDoor {
    type Knock = UnixStream;
    type Stream = Local;

    async fn knock(&self) -> io::Result<UnixStream> {
        loop {
            let listener = self.listener().clone();
            tokio::select! {
                came = listener.accept() => return Ok(came?.0),
                () = sleep_until(self.address.next_look()) => self.look(),
            }
        }
    }

    fn meet(&self, knocked: UnixStream) -> io::Result<(Peer, Local)> {
        let cred = knocked.peer_cred()?;
        let pid = cred.pid().and_then(|pid| u32::try_from(pid).ok()).filter(|&pid| pid != 0);
        let peer = Peer { uid: cred.uid(), gid: cred.gid(), pid, unseen: pid.is_none() };
        Ok((peer, Local::new(knocked)?))
    }
}

struct TcpDoor {
    listener: TcpListener,
    tls: Option<Tls>,
    peer: Peer,
}

impl Door for TcpDoor {
    type Knock = Line;
    type Stream = Line;

    async fn knock(&self) -> io::Result<Line> {
        let (stream, _) = self.listener.accept().await?;
        // Answers are small and awaited; one that cannot be hurried is served all the same.
        let _ = stream.set_nodelay(true);
        Ok(Line::new(stream, self.tls.as_ref()))
    }

    fn meet(&self, knocked: Line) -> io::Result<(Peer, Line)> {
        Ok((self.peer, knocked))
    }
}

async fn serve<D: Door, H: House>(
    door: D,
    house: Arc<H>,
    limits: Limits,
    guard: Option<Arc<Guard>>,
    wing: Option<Wing>,
    stop: impl Future<Output = ()> + Send,
) -> Result<(), Error> {
    let finish = limits.finish;
    let seats = Seats::new(&limits);
    let hall = Hall::new(house, limits, guard);
    let mut porch = Porch {
        seats,
        router: with_wing(router(hall.clone()), &hall, wing),
        visited: 0,
        hall,
        visits: JoinSet::new(),
        brief: VecDeque::new(),
        turned_away: VecDeque::new(),
        spares: Spares::new(),
        complained: None,
    };
    tokio::select! {
        () = stop => {}
        never = porch.receive(&door) => match never {},
    }
    drop(door);
    porch.hall.close();
    let visits = &mut porch.visits;
    if timeout(finish, async { while visits.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!(left = visits.len(), "requests were still in flight when the time to finish was over");
        visits.shutdown().await;
    }
    Ok(())
}

/// What stands between the door and the hall.
struct Porch<H: House> {
    seats: Arc<Seats>,
    hall: Arc<Hall<H>>,
    router: Router,
    /// Connections so far.
    visited: u64,
    visits: JoinSet<()>,
    /// Those who are in for one request, the first of them in front.
    brief: VecDeque<AbortHandle>,
    /// Those who are being told that the house is full, likewise.
    turned_away: VecDeque<AbortHandle>,
    spares: Spares,
    /// When the log last heard that files ran out.
    complained: Option<Instant>,
}

impl<H: House> Porch<H> {
    async fn receive<D: Door>(&mut self, door: &D) -> Infallible {
        let (mut pause, mut stretch) = (PAUSES.0, 0);
        loop {
            tokio::select! {
                Some(_) = self.visits.join_next() => {}
                knock = door.knock() => match knock {
                    Ok(knocked) => {
                        pause = PAUSES.0;
                        self.admit(door, knocked);
                        stretch += 1;
                        if stretch >= STRETCH || self.brief.len() >= BRIEF_MAX {
                            // Whoever has something to say says it, and whoever was shut out is gone,
                            // before the next comes in.
                            yield_now().await;
                            self.brief.retain(|visit| !visit.is_finished());
                            stretch = 0;
                        }
                    }
                    Err(error) if passing(&error) => {}
                    Err(error) if self.make_room(&error) => yield_now().await,
                    Err(_) => {
                        sleep(pause).await;
                        pause = (pause * 2).min(PAUSES.1);
                    }
                },
            }
        }
    }

    fn admit<D: Door>(&mut self, door: &D, knocked: D::Knock) {
        // A peer that left before we looked needs no answer.
        let Ok((peer, stream)) = door.meet(knocked) else { return };
        let house = &self.hall.house;
        self.visited += 1;
        let principal = self.spares.lend(|| house.principal(&peer));
        let caller = Caller { peer, principal, token: None, visit: self.visited };
        // Whoever sits down stays: without a file to spare there is no seat.
        let seat = self.spares.complete().then(|| self.seats.take(peer.uid)).flatten();
        match seat {
            Some(seat) => self.seat(caller, stream, seat),
            None if caller.principal.admin => self.seat_briefly(caller, stream),
            None => self.turn_away(peer, stream),
        }
    }

    fn seat(&mut self, caller: Caller, stream: impl Stream, seat: Seat) {
        let (hall, router) = (self.hall.clone(), self.router.clone());
        self.visits.spawn(async move {
            converse(hall, router, caller, stream, Visit::Seated).await;
            drop(seat);
        });
    }

    /// Whoever administers the house can see what fills it and make room, though it is full.
    fn seat_briefly(&mut self, caller: Caller, stream: impl Stream) {
        if self.brief.len() >= BRIEF_MAX
            && let Some(first) = self.brief.pop_front()
        {
            first.abort();
        }
        let (hall, router) = (self.hall.clone(), self.router.clone());
        let visit = self.visits.spawn(async move {
            // One who says nothing is shut out.
            let _ = timeout(TURN_AWAY, converse(hall, router, caller, stream, Visit::Brief)).await;
        });
        self.brief.push_back(visit);
    }

    fn turn_away(&mut self, peer: Peer, stream: impl Stream) {
        tracing::warn!(uid = peer.uid, "too many connections: one was turned away");
        self.turned_away.retain(|visit| !visit.is_finished());
        if self.turned_away.len() < TURNED_AWAY_MAX {
            let visit = self.visits.spawn(async move {
                // One who does not listen to the refusal is shut out all the same.
                let _ = timeout(TURN_AWAY, say_full(stream)).await;
            });
            self.turned_away.push_back(visit);
        }
    }

    /// Out of files: gives up one to spare, or one of those who are in for a moment only, so that the next
    /// is heard, and whoever administers among them. Without this, callers would hang in the backlog until
    /// some file is closed. Says whether there was anything to give up.
    fn make_room(&mut self, error: &io::Error) -> bool {
        if self.complained.is_none_or(|at| at.elapsed() >= COMPLAINTS) {
            tracing::warn!(%error, "a connection could not be accepted");
            self.complained = Some(Instant::now());
        }
        let mut visit = || self.turned_away.pop_front().or_else(|| self.brief.pop_front());
        self.spares.give_up() || visit().inspect(AbortHandle::abort).is_some()
    }
}

/// Whether an error is about the one connection that was just lost, and the next may succeed.
fn passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, WouldBlock};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | WouldBlock)
}

/// Reads the beginning of a request, so that closing does not cut the caller off in mid-sentence, and
/// answers that the house is full.
async fn say_full(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut request = [0; 4096];
    let _ = stream.read(&mut request).await?;
    stream.write_all(&Denial::full_house().raw()).await?;
    stream.shutdown().await
}
