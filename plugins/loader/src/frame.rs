//! What a host and its plugin child say to each other: length-prefixed frames over a socket pair.
use crate::mirror::Layout;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::{
    io::{self, ErrorKind, Read, Write},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

/// The largest frame in bytes (16 MiB): what a driver with 65,536 pools to tell of needs.
const FRAME_BYTES_MAX: usize = 16 << 20;

/// What the host asks.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Question {
    /// Make the plugin, with this config.
    Make(String),
    /// Place these claims over the mirrored view, with room for so many takes.
    Place(Layout, Vec<u32>, u32),
    /// Rank these claims over the mirrored view.
    Rank(Layout, Vec<u32>),
    /// An operation and its argument.
    Call(String, Vec<u8>),
    /// Say how these pools of the mirrored view may be shared, whose plain offers stand beside.
    Offer(Layout, Vec<u32>, Vec<(u64, u64, u64, u64)>),
    /// Find what holds work up in the mirrored view, and in what is told beside (JSON).
    Report(Layout, Vec<u8>),
    /// Say how the line is to move.
    Discipline,
    /// Look at all of the mirrored view once, so that the first question about it is no dearer than later ones.
    Touch(Layout),
}

/// What the child answers.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Reply {
    /// The plugin is made; or all was looked at.
    Ready,
    /// Claim, line, pool, node and amount of each take.
    Takes(Vec<(u32, u32, u32, u32, u64)>),
    /// Tier and share of each claim.
    Ranks(Vec<(u64, u64)>),
    /// What is offered, what of it for certain, the turn in nanoseconds and the holders of each pool.
    Offers(Vec<(u64, u64, u64, u64)>),
    /// An operation's answer.
    Bytes(Vec<u8>),
    /// The number of a fault's kind, and words.
    Fault(u32, String),
    /// After how many nanoseconds something is kept for the oldest, and the number of what may pass it.
    Discipline(u64, u64),
}

/// Sends one frame; `turn` comes back with the reply.
pub(crate) fn send<T: Serialize>(mut to: &UnixStream, turn: u64, what: &T) -> io::Result<()> {
    let mut frame = vec![0; 4];
    frame = postcard::to_extend(&(turn, what), frame).map_err(io::Error::other)?;
    let length = frame.len() - 4;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken"
        )));
    }
    frame[..4].copy_from_slice(&(length as u32).to_le_bytes());
    to.write_all(&frame)
}

/// Receives one frame; with a deadline, [`ErrorKind::TimedOut`] once it has passed.
pub(crate) fn receive<T: DeserializeOwned>(
    from: &UnixStream,
    until: Option<Instant>,
) -> io::Result<(u64, T)> {
    let mut length = [0; 4];
    fill(from, &mut length, until)?;
    let length = u32::from_le_bytes(length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::Error::other(format!(
            "a frame of {length} bytes; at most {FRAME_BYTES_MAX} are taken"
        )));
    }
    let mut frame = vec![0; length];
    fill(from, &mut frame, until)?;
    postcard::from_bytes(&frame).map_err(io::Error::other)
}

fn fill(mut from: &UnixStream, mut buffer: &mut [u8], until: Option<Instant>) -> io::Result<()> {
    while !buffer.is_empty() {
        if let Some(until) = until {
            wait(from, until.saturating_duration_since(Instant::now()))?;
        }
        match from.read(buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => buffer = &mut buffer[read..],
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Whether there is something to receive, or becomes so within this time.
pub(crate) fn comes(from: &UnixStream, within: Duration) -> io::Result<bool> {
    match wait(from, within) {
        Err(late) if late.kind() == ErrorKind::TimedOut => Ok(false),
        waited => waited.map(|()| true),
    }
}

fn wait(from: &UnixStream, patience: Duration) -> io::Result<()> {
    let timeout = Timespec { tv_sec: patience.as_secs() as i64, tv_nsec: patience.subsec_nanos().into() };
    match poll(&mut [PollFd::new(from, PollFlags::IN)], Some(&timeout)) {
        Ok(0) => Err(ErrorKind::TimedOut.into()),
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
