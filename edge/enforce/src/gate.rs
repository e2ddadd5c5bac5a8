//! A child that waits at a gate: it is there, so that it can be put into a lease, and it becomes the
//! command only when the gate is opened. Nothing of the command ever runs outside of its lease.
//!
//! It is forked, not started anew: a second start of a program costs as much as the command's own.
#![allow(unsafe_code)]
use crate::{
    caller,
    search::{PATH, SHELL, Search, folders},
};
use rustix::{
    io::Errno,
    pipe::{PipeFlags, pipe_with},
};
use std::{
    ffi::{CStr, CString, OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    ptr,
};

/// Exit codes of a child whose gate never opened, and of a shell: it cannot be run; it is not there.
pub(crate) const NEVER_OPENED: i32 = 125;
pub(crate) const NOT_RUNNABLE: i32 = 126;
pub(crate) const NOT_FOUND: i32 = 127;

/// Bytes of what is added to the command's environment, at most: less than a pipe takes at once.
pub(crate) const ADDED_MAX: usize = 4000;
/// Variables that are added, at most.
pub(crate) const ADDED_VARIABLES_MAX: usize = 16;

/// A child at its gate. Dropped unopened, the child ends without having been anything.
#[derive(Debug)]
pub struct Gate {
    pid: u32,
    opener: OwnedFd,
    report: OwnedFd,
}

/// A child whose gate was opened.
#[derive(Debug)]
pub struct Opened {
    report: OwnedFd,
}

impl Gate {
    /// Forks a child that will become `command`, found as a shell finds it. It stands in this process's group, and
    /// signals end it as they end any program that has made no arrangements, ignored ones excepted.
    ///
    /// # Errors
    /// A word with a zero byte, or what the system says.
    pub fn start(command: &[OsString]) -> io::Result<Gate> {
        let words = Found::new(command)?;
        let environment = Words::new(environment(), ADDED_VARIABLES_MAX)?;
        let added = vec![0; ADDED_MAX];
        let (gate, opener) = pipe_with(PipeFlags::CLOEXEC)?;
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: no arrangement of this program's. Whoever started it may not have wanted to hear of children, and how
        // this one ends would be told to nobody.
        unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
        // SAFETY: the child calls only what may be called between fork and exec of a process with
        // threads (`stand_and_become`), and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => unsafe {
                stand_and_become(
                    [gate.as_raw_fd(), opener.as_raw_fd(), reporter.as_raw_fd()],
                    words,
                    environment,
                    added,
                )
            },
            pid => Ok(Gate { pid: pid.unsigned_abs(), opener, report }),
        }
    }

    /// A child that was begun early.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn again(pid: u32, opener: OwnedFd, report: OwnedFd) -> Gate {
        Gate { pid, opener, report }
    }

    /// The child.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the child become the command, with `more` added to the environment, in place of what was there of
    /// these names. One that is gone already has nothing to be told.
    ///
    /// # Errors
    /// More variables than can be added, or one with a zero byte: then the gate stays closed.
    pub fn open(self, more: &[(&str, String)]) -> io::Result<Opened> {
        let words = more.iter().map(|(name, value)| CString::new(format!("{name}={value}")));
        let added = words.collect::<Result<Vec<_>, _>>()?;
        let bytes: Vec<u8> = added.iter().flat_map(|word| word.as_bytes_with_nul()).copied().collect();
        if more.len() > ADDED_VARIABLES_MAX || bytes.len() > ADDED_MAX {
            let message = format!("{} bytes cannot be added to an environment, {ADDED_MAX} can", bytes.len());
            return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
        }
        let told = [&(bytes.len() as u32).to_ne_bytes()[..], &bytes].concat();
        let _ = File::from(self.opener).write_all(&told);
        Ok(Opened { report: self.report })
    }
}

impl Opened {
    /// One that was opened early.
    #[cfg(target_arch = "x86_64")]
    pub(crate) fn again(report: OwnedFd) -> Opened {
        Opened { report }
    }

    /// Why the child could not become the command, once it has ended; `None` if it did.
    pub fn failed(self) -> Option<io::Error> {
        let mut code = [0; 4];
        // Nothing is written by a child that became the command: its end of the pipe closed by itself.
        File::from(self.report).read_exact(&mut code).ok()?;
        Some(io::Error::from_raw_os_error(i32::from_ne_bytes(code)))
    }
}

/// Words as `exec` wants them: made before the fork, because nothing can be made after it.
struct Words {
    /// Owns what is pointed to.
    _owned: Vec<CString>,
    /// Ends with a null, and with one more for each word that there is room for.
    pointers: Vec<*const libc::c_char>,
}

impl Words {
    fn new(words: impl Iterator<Item = Vec<u8>>, room: usize) -> io::Result<Words> {
        let owned = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let ends = std::iter::repeat_n(ptr::null(), room + 1);
        let pointers = owned.iter().map(|word| word.as_ptr()).chain(ends).collect();
        Ok(Words { _owned: owned, pointers })
    }
}

/// The environment as it is, with what has no name or no value: the command is to find what its caller left it.
fn environment() -> impl Iterator<Item = Vec<u8>> {
    unsafe extern "C" {
        static mut environ: *const *const libc::c_char;
    }
    // SAFETY: nobody in this program sets a variable.
    let first = unsafe { environ };
    // SAFETY: it ends with a null, which is taken for its end, and each of it with a zero byte.
    let at = move |n| if first.is_null() { first.cast() } else { unsafe { *first.add(n) } };
    let all = (0..).map(at).take_while(|variable| !variable.is_null());
    // SAFETY: as above.
    all.map(|variable| unsafe { CStr::from_ptr(variable) }.to_bytes().to_vec())
}

/// A command, and where it may be.
struct Found {
    /// The shell, with room for the file, and the words behind the first.
    words: Words,
    /// Where it is tried, one after the other.
    places: Vec<CString>,
    search: Search,
}

impl Found {
    fn new(command: &[OsString]) -> io::Result<Found> {
        let name = command.first().map(|name| name.as_bytes()).unwrap_or_default();
        let search = Search::new(name);
        let path = std::env::var_os("PATH");
        let path = path.as_deref().map_or(PATH, OsStr::as_bytes);
        let places = match name {
            [] => Vec::new(),
            name if search.is_by_path() => {
                folders(path).map(|before| [&before[..], &[name]].concat().concat()).collect()
            }
            name => vec![name.to_vec()],
        };
        let places = places.into_iter().map(CString::new).collect::<Result<_, _>>()?;
        let words = command.iter().map(|word| word.as_bytes().to_vec());
        let words = std::iter::once(SHELL.to_bytes().to_vec()).chain(words);
        Ok(Found { words: Words::new(words, 0)?, places, search })
    }
}

/// Becomes the command, found as a shell finds it; returns why not. Allocates nothing.
///
/// # Safety
/// `environment` ends with a null, and each of it with a zero byte.
unsafe fn become_found(found: &mut Found, environment: *const *const libc::c_char) -> Errno {
    let Found { words, places, search } = found;
    for place in places {
        let over = search.at(place, |by_shell| {
            let words = &mut words.pointers;
            // SAFETY: the words end with a null, with and without the shell's own before them.
            let code = unsafe {
                if by_shell {
                    // The file in the place of the name.
                    words.iter_mut().skip(1).take(1).for_each(|name| *name = place.as_ptr());
                    libc::execve(SHELL.as_ptr(), words.as_ptr(), environment);
                } else {
                    libc::execve(place.as_ptr(), words.as_ptr().add(1), environment);
                }
                *libc::__errno_location()
            };
            Errno::from_raw_os_error(code)
        });
        if let Some(error) = over {
            return error;
        }
    }
    search.over()
}

/// Puts a variable in the place of the one of its name, or behind all others if there is room. Allocates nothing.
///
/// # Safety
/// `variable` ends with a zero byte and outlives the others, of which each ends with one; the last is null and stays it.
pub(crate) unsafe fn place(variables: &mut [*const libc::c_char], variable: *const libc::c_char) {
    let last = variables.len().saturating_sub(1);
    for place in variables.iter_mut().take(last) {
        // SAFETY: all of them end with a zero byte; two that differ are not looked at beyond that.
        if place.is_null() || unsafe { same_name(*place, variable) } {
            *place = variable;
            return;
        }
    }
}

/// Whether two variables have one name.
///
/// # Safety
/// Both end with a zero byte.
unsafe fn same_name(one: *const libc::c_char, other: *const libc::c_char) -> bool {
    const SIGN: libc::c_char = b'=' as libc::c_char;
    for i in 0.. {
        // SAFETY: neither has ended before `i`, as both would have been seen to differ there.
        let (a, b) = unsafe { (*one.add(i), *other.add(i)) };
        if a != b || a == 0 {
            return false;
        }
        if a == SIGN {
            return true;
        }
    }
    false
}

/// Reads so many bytes; `false` when there are no more. Needs no C library.
pub(crate) fn take_up(from: RawFd, into: &mut [u8]) -> bool {
    // SAFETY: the pipe of whoever calls, which stays open meanwhile.
    let from = unsafe { BorrowedFd::borrow_raw(from) };
    let mut rest = into;
    while !rest.is_empty() {
        match rustix::io::read(from, &mut *rest) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(more) if more > 0 => rest = rest.get_mut(more..).unwrap_or_default(),
            _ => return false,
        }
    }
    true
}

/// What the child does.
///
/// # Safety
/// To be called in a fresh child only. Calls nothing that is not async-signal-safe and allocates nothing.
unsafe fn stand_and_become(
    pipes: [RawFd; 3],
    mut words: Found,
    mut environment: Words,
    mut added: Vec<u8>,
) -> ! {
    let [gate, opener, reporter] = pipes;
    // SAFETY: descriptors and pointers are this child's copies of what its parent made and still holds.
    unsafe {
        // With its own copy open it would never see that the parent is gone.
        libc::close(opener);
        let mut blocked: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut blocked);
        for signal in (1..=64).filter(|signal| caller::mask() & 1 << (signal - 1) != 0) {
            libc::sigaddset(&raw mut blocked, signal);
        }
        libc::sigprocmask(libc::SIG_SETMASK, &raw const blocked, ptr::null_mut());
        // Every Rust program ignores it, and no command expects that but from who started it.
        libc::signal(libc::SIGPIPE, if caller::ignores_pipes() { libc::SIG_IGN } else { libc::SIG_DFL });
        let mut length = [0; 4];
        let told = take_up(gate, &mut length);
        let length = (u32::from_ne_bytes(length) as usize).min(added.len());
        if !told || !take_up(gate, &mut added[..length]) {
            libc::_exit(NEVER_OPENED);
        }
        for start in (0..length).filter(|&at| at == 0 || added[at - 1] == 0) {
            place(&mut environment.pointers, added.as_ptr().add(start).cast());
        }
        // What Rust's start has put into their places is this program's alone.
        for descriptor in caller::all_closed() {
            libc::close(descriptor);
        }
        let error = become_found(&mut words, environment.pointers.as_ptr());
        let bytes = error.raw_os_error().to_ne_bytes();
        libc::write(reporter, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(if error == Errno::NOENT { NOT_FOUND } else { NOT_RUNNABLE })
    }
}
