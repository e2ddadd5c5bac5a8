//! `bursar run` of a plain command that ends soon, before there is a C library: it costs more to start that than all
//! the rest. Whatever is out of the ordinary (an option, a terminal, an answer, a signal, a command that takes its time) is
//! left to `run.rs`, which goes on with what was begun here.
//!
//! What is called here is bound by what `bursar_enforce::early` says: no heap, no panic, no thread.
mod answer;
mod text;
mod words;

use crate::run::exit_code;
use answer::{Lease, is_back, is_whole};
use bursar_enforce::{
    MARK,
    early::{
        Begun, KEY_BYTES, RECEIVED_MAX, Stage, Standing, Start, hand_over, hear, is_plain, keep, seen, shut,
    },
};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    net::{
        AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
        socket_with,
    },
    process::{Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, set_child_subreaper, wait},
    rand::{GetRandomFlags, getrandom},
    stdio::{stdin, stdout},
    termios::isatty,
};
use std::os::fd::RawFd;
use words::{Plain, Socket};

/// What takes no longer is waited for here, in nanoseconds; as in `attendant.rs`.
const SOON_NS: i64 = 50_000_000;
/// Signals that are heard; as in `attendant.rs`.
const HEARD: [Signal; 12] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::ALARM,
    Signal::USR1,
    Signal::USR2,
    Signal::WINCH,
    Signal::CONT,
    Signal::TSTP,
    Signal::TTIN,
    Signal::TTOU,
];
/// Exit codes that a child may have that could not become the command.
const UNCLEAR: [u8; 3] = [125, 126, 127];

/// Runs the command if it is a plain one; says its exit code if that was all. Otherwise what was begun is handed over.
pub fn early(start: &Start) -> Option<u8> {
    let plain = Plain::read(start.words())?;
    // As `words::read` has it; within a lease things are less plain.
    let away = [b"BURSAR_URL".as_slice(), MARK.as_bytes()].iter().any(|name| start.variable(name).is_some());
    let nowhere = start.variable(b"BURSAR_SOCKET").is_some_and(<[u8]>::is_empty);
    if away || nowhere || !Standing::fits(start, plain.command) || isatty(stdin()) && isatty(stdout()) {
        return None;
    }
    let socket = plain.socket(|name| start.variable(name))?;
    let connection = connected(&socket)?;
    let Some((standing, signals, key)) = begin(start, &plain, connection) else {
        shut(connection);
        return None;
    };
    let mut begun = Begun::new(&standing, connection, key);
    let code = go_on(&mut begun, &plain, standing, signals, &socket);
    if code.is_none() {
        hand_over(&begun);
    }
    code
}

/// A connection to the daemon; `None` where none answers.
fn connected(socket: &Socket) -> Option<RawFd> {
    let address = SocketAddrUnix::new(socket.bytes()).ok()?;
    let connection = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None).ok()?;
    let connection = keep(connection);
    if is_plain(connection) && connect(seen(connection), &address).is_ok() {
        return Some(connection);
    }
    shut(connection);
    None
}

/// Forks the child. From then on there is something to hand over.
fn begin(start: &Start, plain: &Plain<'_>, connection: RawFd) -> Option<(Standing, RawFd, [u8; KEY_BYTES])> {
    let key = fresh_key()?;
    // None that comes is longer than this one.
    plain.request(u32::MAX, &key)?;
    let signals = hear(&HEARD)?;
    set_child_subreaper(Some(getpid())).ok()?;
    let standing = Standing::start(start, plain.command, connection).ok()?;
    Some((standing, signals, key))
}

/// Goes on as far as all is as hoped for; says the command's code if that was to the end.
fn go_on(
    begun: &mut Begun,
    plain: &Plain<'_>,
    standing: Standing,
    signals: RawFd,
    socket: &Socket,
) -> Option<u8> {
    let connection = begun.connection;
    tell(connection, plain.request(standing.pid, &begun.key)?.bytes())?;
    // While the daemon decides.
    let command = Pid::from_raw(i32::try_from(standing.pid).ok()?)?;
    let end = pidfd_open(command, PidfdFlags::empty()).map(keep).ok()?;
    answered(connection, signals, &mut begun.received, &mut begun.length)?;
    let lease = Lease::read(begun.received.get(..begun.length)?, standing.pid)?;
    let (variables, release) = (lease.variables(socket)?, lease.release()?);
    standing.open(variables.bytes());
    begun.stage = Stage::Running;
    soon(end, signals)?;
    let code = collect(command)?;
    begun.stage = Stage::Ended(code);
    if UNCLEAR.contains(&code) {
        return None;
    }
    tell(connection, release.bytes())?;
    let (mut answer, mut length) = ([0; RECEIVED_MAX], 0);
    answered(connection, signals, &mut answer, &mut length)?;
    is_back(answer.get(..length)?).then_some(code)
}

/// Sends a request.
fn tell(connection: RawFd, request: &[u8]) -> Option<()> {
    let sent = send(seen(connection), request, SendFlags::NOSIGNAL).ok()?;
    (sent == request.len()).then_some(())
}

/// Takes in an answer; `None` when not all of it comes soon.
fn answered(
    connection: RawFd,
    signals: RawFd,
    answer: &mut [u8; RECEIVED_MAX],
    length: &mut usize,
) -> Option<()> {
    while !is_whole(answer.get(..*length)?) {
        soon(connection, signals)?;
        let room = answer.get_mut(*length..).filter(|room| !room.is_empty())?;
        let (more, _) =
            recv(seen(connection), room, RecvFlags::empty()).ok().filter(|(more, _)| *more > 0)?;
        *length += more;
    }
    Some(())
}

/// Waits for something to read; `None` when there is none soon, or a signal came.
fn soon(awaited: RawFd, signals: RawFd) -> Option<()> {
    let mut both = [awaited, signals].map(|one| PollFd::from_borrowed_fd(seen(one), PollFlags::IN));
    let until = Timespec { tv_sec: 0, tv_nsec: SOON_NS };
    let ready = poll(&mut both, Some(&until)).ok()?;
    (ready == 1 && both.first().is_some_and(|one| !one.revents().is_empty())).then_some(())
}

/// Takes the command's status, which has ended, and says its exit code; collects what it left behind on the way.
fn collect(command: Pid) -> Option<u8> {
    loop {
        match wait(WaitOptions::UNTRACED) {
            Ok(Some((pid, status))) if pid == command && !status.stopped() => return Some(exit_code(status)),
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(_) => return None,
        }
    }
}

/// A key that nobody else has.
fn fresh_key() -> Option<[u8; KEY_BYTES]> {
    let mut bytes = [0; KEY_BYTES / 2];
    let filled = getrandom(&mut bytes, GetRandomFlags::empty()).ok()?;
    let mut key = [0; KEY_BYTES];
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    key.iter_mut()
        .zip(halves)
        .for_each(|(place, half)| *place = half + if half < 10 { b'0' } else { b'a' - 10 });
    (filled == bytes.len()).then_some(key)
}
