//! A child at its gate as in `gate.rs`, begun before the C library is there: the same child, told the same way.
use super::{
    Start, VARIABLES_MAX,
    kernel::{self, Signals, execve},
};
use crate::{
    caller,
    gate::{ADDED_MAX, ADDED_VARIABLES_MAX, NEVER_OPENED, NOT_FOUND, NOT_RUNNABLE, place, take_up},
    search::{PATH, SHELL, Search, folders},
};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
    process::Signal,
};
use std::{
    ffi::{CStr, c_char},
    io::IoSlice,
    os::fd::{BorrowedFd, IntoRawFd, OwnedFd, RawFd},
    ptr,
};

/// Bytes that a child is told of its lease where no driver adds to it.
const ROOM: usize = 500;
/// Words that a command may have.
const WORDS_MAX: usize = 500;
/// Bytes of a path.
const PATH_MAX: usize = 4096;
/// The descriptors that a program starts with.
const STANDARD: RawFd = 3;

/// What happens to a descriptor that is not closed by the one who has it: it goes with the program.
pub fn keep(descriptor: OwnedFd) -> RawFd {
    descriptor.into_raw_fd()
}

/// Descriptors that come into being early are none of the standard ones: those may be closed, and are opened by the C
/// library's time.
pub fn is_plain(descriptor: RawFd) -> bool {
    descriptor >= STANDARD
}

/// Closes a descriptor of one's own.
pub fn shut(descriptor: RawFd) {
    // SAFETY: as said.
    unsafe { rustix::io::close(descriptor) };
}

/// A descriptor of one's own.
pub fn seen<'a>(descriptor: RawFd) -> BorrowedFd<'a> {
    // SAFETY: it stays open as long as this program.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

/// Blocks these signals for this program, and opens a descriptor that tells of them. How children end is told from now
/// on, though whoever started this program did not want to hear of its own.
pub fn hear(signals: &[Signal]) -> Option<RawFd> {
    kernel::as_usual(Signal::CHILD);
    let signals = Signals::of(signals);
    caller::blocked(kernel::block(&signals).ok()?);
    kernel::told_of(&signals).ok()
}

/// Remembers what a command is to be started with, before others change it.
pub(super) fn remember() {
    kernel::block(&Signals::of(&[])).into_iter().for_each(caller::blocked);
    if kernel::is_ignored(Signal::PIPE) {
        caller::ignored_pipes();
    }
    (0..STANDARD).filter(|&one| rustix::io::fcntl_getfd(seen(one)).is_err()).for_each(caller::closed);
}

/// A child at its gate.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// The child.
    pub pid: u32,
    opener: RawFd,
    report: RawFd,
}

impl Standing {
    /// Whether the command and its environment are what a child can be made of early.
    pub fn fits(start: &Start, command: usize) -> bool {
        let words = start.words.len().saturating_sub(command);
        (1..=WORDS_MAX).contains(&words) && start.environment.len() <= VARIABLES_MAX
    }

    /// Forks a child that will become the command that begins at this word; `beside` is not left open in it.
    ///
    /// # Errors
    /// What the system says; no child is there then.
    pub fn start(start: &Start, command: usize, beside: RawFd) -> Result<Standing, Errno> {
        let (gate, opener) = pipe()?;
        let (report, reporter) = pipe().inspect_err(|_| [gate, opener].into_iter().for_each(shut))?;
        // SAFETY: there is no thread and no C library, so nothing in the child can be half done.
        let forked = match unsafe { kernel::fork() } {
            // SAFETY: in the child, with its copies.
            Ok(0) => unsafe {
                shut(beside);
                stand_and_become([gate, opener, reporter], start, command)
            },
            forked => forked,
        };
        let unused = if forked.is_ok() { &[gate, reporter][..] } else { &[gate, reporter, opener, report] };
        unused.iter().for_each(|&descriptor| shut(descriptor));
        Ok(Standing { pid: forked?, opener, report })
    }

    /// Lets the child become the command, with these variables, each with a zero byte behind it; at most
    /// [`Standing::ROOM`].
    pub fn open(&self, added: &[u8]) {
        // One that is gone already has nothing to be told.
        let length = (added.len() as u32).to_ne_bytes();
        let _ = rustix::io::writev(seen(self.opener), &[IoSlice::new(&length), IoSlice::new(added)]);
        shut(self.opener);
    }

    /// Bytes that can be told.
    pub const ROOM: usize = ROOM;

    pub(super) fn parts(&self) -> (u32, RawFd, RawFd) {
        (self.pid, self.opener, self.report)
    }
}

/// What is read, and what is written to.
fn pipe() -> Result<(RawFd, RawFd), Errno> {
    pipe_with(PipeFlags::CLOEXEC).map(|(read, written)| (keep(read), keep(written)))
}

/// What the child does, as the one in `gate.rs`.
///
/// # Safety
/// To be called in a fresh child only.
unsafe fn stand_and_become(pipes: [RawFd; 3], start: &Start, command: usize) -> ! {
    let [gate, opener, reporter] = pipes;
    // With its own copy open it would never see that the parent is gone.
    shut(opener);
    // SAFETY: nothing in this process counts on any of them.
    unsafe { kernel::block_only(caller::mask()) };
    let mut length = [0; 4];
    if !take_up(gate, &mut length) {
        kernel::exit(NEVER_OPENED);
    }
    let length = u32::from_ne_bytes(length) as usize;
    // SAFETY: as promised.
    let error = match length <= ROOM {
        true => unsafe { become_told::<ROOM>(gate, length, start, command) },
        // By who went on with it later.
        false => unsafe { become_told::<ADDED_MAX>(gate, length, start, command) },
    };
    let _ = rustix::io::write(seen(reporter), &error.raw_os_error().to_ne_bytes());
    kernel::exit(if error == Errno::NOENT { NOT_FOUND } else { NOT_RUNNABLE })
}

/// Becomes the command, with as many bytes of variables as the gate is about to tell; returns why not.
///
/// # Safety
/// To be called in a fresh child only.
#[inline(never)]
unsafe fn become_told<const MAX: usize>(gate: RawFd, length: usize, start: &Start, command: usize) -> Errno {
    let mut added = [0; MAX];
    let room = added.get_mut(..length).unwrap_or_default();
    if !take_up(gate, room) {
        kernel::exit(NEVER_OPENED);
    }
    let mut environment = [ptr::null(); VARIABLES_MAX + ADDED_VARIABLES_MAX + 1];
    environment.iter_mut().zip(start.environment).for_each(|(place, &variable)| *place = variable);
    let mut starts_word = true;
    for byte in room.iter() {
        if starts_word {
            // SAFETY: it ends with a zero byte, as told.
            unsafe { place(&mut environment, ptr::from_ref(byte).cast()) };
        }
        starts_word = *byte == 0;
    }
    // SAFETY: all of them end with a null.
    unsafe { become_found(start, command, &environment) }
}

/// Becomes the command, found as `execvp` finds it; returns why not.
///
/// # Safety
/// `environment` ends with a null.
unsafe fn become_found(start: &Start, command: usize, environment: &[*const c_char]) -> Errno {
    let words = start.words.get(command..).unwrap_or_default();
    let Some(&first) = words.first() else { return Errno::NOENT };
    // SAFETY: the kernel ended it with a zero byte.
    let name = unsafe { CStr::from_ptr(first) };
    if name.is_empty() {
        return Errno::NOENT;
    }
    let mut search = Search::new(name.to_bytes());
    if !search.is_by_path() {
        // SAFETY: as promised.
        let over = search.at(name, |by_shell| unsafe { become_this(name, by_shell, words, environment) });
        return over.unwrap_or(search.over());
    }
    // SAFETY: as promised.
    unsafe { become_searched(&mut search, name, start, words, environment) }
}

/// Becomes the command, looked for in each folder of the path.
///
/// # Safety
/// As for [`become_found`].
#[inline(never)]
unsafe fn become_searched(
    search: &mut Search,
    name: &CStr,
    start: &Start,
    words: &[*const c_char],
    environment: &[*const c_char],
) -> Errno {
    let mut path = [0; PATH_MAX];
    for [folder, slash] in folders(start.variable(b"PATH").unwrap_or(PATH)) {
        let Some(path) = joined(&mut path, [folder, slash, name.to_bytes_with_nul()]) else { continue };
        // SAFETY: as promised.
        let over = search.at(path, |by_shell| unsafe { become_this(path, by_shell, words, environment) });
        if let Some(error) = over {
            return error;
        }
    }
    search.over()
}

fn joined<'a>(path: &'a mut [u8; PATH_MAX], parts: [&[u8]; 3]) -> Option<&'a CStr> {
    let mut at = 0;
    for part in parts {
        path.get_mut(at..at + part.len())?.copy_from_slice(part);
        at += part.len();
    }
    CStr::from_bytes_with_nul(path.get(..at)?).ok()
}

/// Becomes this file, or has a shell read it.
///
/// # Safety
/// As for [`become_found`].
unsafe fn become_this(
    path: &CStr,
    by_shell: bool,
    words: &[*const c_char],
    environment: &[*const c_char],
) -> Errno {
    match by_shell {
        // SAFETY: the words of the command line end with a null, and so does the environment.
        false => unsafe { execve(path, words.as_ptr().cast(), environment.as_ptr().cast()) },
        // SAFETY: as promised.
        true => unsafe { become_read(path, words, environment) },
    }
}

/// Has a shell read this file.
///
/// # Safety
/// As for [`become_found`].
#[inline(never)]
unsafe fn become_read(path: &CStr, words: &[*const c_char], environment: &[*const c_char]) -> Errno {
    let mut read = [ptr::null(); WORDS_MAX + 2];
    let all = [SHELL.as_ptr(), path.as_ptr()].into_iter().chain(words.iter().skip(1).copied());
    read.iter_mut().take(WORDS_MAX + 1).zip(all).for_each(|(place, word)| *place = word);
    // SAFETY: ends with a null.
    unsafe { execve(SHELL, read.as_ptr().cast(), environment.as_ptr().cast()) }
}
