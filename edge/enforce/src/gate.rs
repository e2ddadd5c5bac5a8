//! A child that waits at a gate: it is there, so that it can be put into a lease, and it becomes the
//! command only when the gate is opened. Nothing of the command ever runs outside of its lease.
//!
//! It is forked, not started anew: a second start of a program costs as much as the command's own.
#![allow(unsafe_code)]
use rustix::pipe::{PipeFlags, pipe_with};
use std::{
    ffi::{CString, OsStr, OsString},
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    ptr,
};

/// Exit codes of a child whose gate never opened, and of a shell: it cannot be run; it is not there.
const NEVER_OPENED: i32 = 125;
const NOT_RUNNABLE: i32 = 126;
const NOT_FOUND: i32 = 127;

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
    /// Forks a child that will become `command`, found as a shell finds it, with `more` added to this
    /// process's environment. It stands in this process's group, and signals end it as they end any
    /// program that has made no arrangements, ignored ones excepted.
    ///
    /// # Errors
    /// A word with a zero byte, or what the system says.
    pub fn start(command: &[OsString], more: &[(&str, String)]) -> io::Result<Gate> {
        let words = Words::new(command.iter().map(|word| word.as_bytes().to_vec()))?;
        let kept =
            std::env::vars_os().filter(|(name, _)| more.iter().all(|(new, _)| OsStr::new(new) != name));
        let added = more.iter().map(|(name, value)| ((*name).into(), value.into()));
        let variables = kept
            .chain(added)
            .map(|(name, value): (OsString, OsString)| [name.as_bytes(), b"=", value.as_bytes()].concat());
        let environment = Words::new(variables)?;
        let (gate, opener) = pipe_with(PipeFlags::CLOEXEC)?;
        let (report, reporter) = pipe_with(PipeFlags::CLOEXEC)?;
        // SAFETY: the child calls only what may be called between fork and exec of a process with
        // threads (`stand_and_become`), and never returns.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => unsafe {
                stand_and_become(
                    [gate.as_raw_fd(), opener.as_raw_fd(), reporter.as_raw_fd()],
                    &words,
                    &environment,
                )
            },
            pid => Ok(Gate { pid: pid.unsigned_abs(), opener, report }),
        }
    }

    /// The child.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Lets the child become the command. One that is gone already has nothing to be told.
    pub fn open(self) -> Opened {
        let _ = File::from(self.opener).write_all(b"!");
        Opened { report: self.report }
    }
}

impl Opened {
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
    pointers: Vec<*const libc::c_char>,
}

impl Words {
    fn new(words: impl Iterator<Item = Vec<u8>>) -> io::Result<Words> {
        let owned = words.map(CString::new).collect::<Result<Vec<_>, _>>()?;
        let pointers = owned.iter().map(|word| word.as_ptr()).chain([ptr::null()]).collect();
        Ok(Words { _owned: owned, pointers })
    }
}

/// What the child does.
///
/// # Safety
/// To be called in a fresh child only. Calls nothing that is not async-signal-safe and allocates nothing.
unsafe fn stand_and_become(pipes: [RawFd; 3], words: &Words, environment: &Words) -> ! {
    let [gate, opener, reporter] = pipes;
    let mut byte = 0_u8;
    // SAFETY: descriptors and pointers are this child's copies of what its parent made and still holds.
    unsafe {
        // With its own copy open it would never see that the parent is gone.
        libc::close(opener);
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const none, ptr::null_mut());
        // Every Rust program ignores it, and no command expects that.
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
        loop {
            match libc::read(gate, (&raw mut byte).cast(), 1) {
                1 => break,
                -1 if *libc::__errno_location() == libc::EINTR => {}
                _ => libc::_exit(NEVER_OPENED),
            }
        }
        let (words, environment) = (words.pointers.as_ptr(), environment.pointers.as_ptr());
        libc::execvpe(*words, words, environment);
        let code = *libc::__errno_location();
        let bytes = code.to_ne_bytes();
        libc::write(reporter, bytes.as_ptr().cast(), bytes.len());
        libc::_exit(if code == libc::ENOENT { NOT_FOUND } else { NOT_RUNNABLE })
    }
}
