//! What a program does before its C library is there. That takes two thirds of a millisecond to ask what the processor
//! can do, where it is a guest's: each question (`cpuid`) stops the guest. What ends soon needs no C library at all.
//!
//! What is done here, and whatever is called from here, allocates nothing, does not panic, and touches nothing that a
//! thread has of its own: there is no heap, and no thread yet. A C library that comes later finds the stack as the
//! kernel left it, and what was begun is handed over ([`handed`]).
#![allow(unsafe_code)]
mod kernel;
pub mod memory;
mod standing;

pub use standing::{Standing, hear, is_plain, keep, seen, shut};

use crate::gate::{Gate, Opened};
use std::{
    cell::UnsafeCell,
    ffi::{CStr, c_char},
    os::{
        fd::{FromRawFd, OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    slice,
    sync::atomic::{AtomicBool, Ordering},
};

/// Bytes of an answer that are kept for the C library's time, at most. Whatever lies on the stack here is little, since
/// each page of it that is touched takes a microsecond, here and in the child.
pub const RECEIVED_MAX: usize = 2 << 10;
/// Bytes of a key, as digits.
pub const KEY_BYTES: usize = 32;
/// Variables that an environment may have.
pub(crate) const VARIABLES_MAX: usize = 250;

/// What a program was started with.
#[derive(Debug)]
pub struct Start {
    pub(crate) words: &'static [*const c_char],
    pub(crate) environment: &'static [*const c_char],
}

impl Start {
    /// # Safety
    /// `stack` is what the kernel gave this program.
    pub(crate) unsafe fn at(stack: *const usize) -> Start {
        // SAFETY: a number of words, so many pointers and a null, then pointers to variables and a null.
        unsafe {
            let words = slice::from_raw_parts(stack.add(1).cast(), *stack);
            let variables: *const *const c_char = stack.add(*stack + 2).cast();
            let mut length = 0;
            while !(*variables.add(length)).is_null() {
                length += 1;
            }
            Start { words, environment: slice::from_raw_parts(variables, length) }
        }
    }

    /// The words of the command line, the program's name first.
    pub fn words(&self) -> impl Iterator<Item = &'static [u8]> + Clone + use<> {
        self.words.iter().map(|&word| text(word))
    }

    /// A variable of the environment.
    pub fn variable(&self, name: &[u8]) -> Option<&'static [u8]> {
        // Most are told apart by a byte or two, and how long they are does not matter.
        let called = |&&variable: &&*const c_char| {
            // SAFETY: it ends with a zero byte, and no name has one: nothing behind that is looked at.
            name.iter().chain(b"=").enumerate().all(|(at, &byte)| unsafe { *variable.add(at) } as u8 == byte)
        };
        let variable = self.environment.iter().find(called)?;
        text(*variable).get(name.len() + 1..)
    }
}

fn text(word: *const c_char) -> &'static [u8] {
    // SAFETY: the kernel ends each with a zero byte, and they stay as long as the program.
    unsafe { CStr::from_ptr(word) }.to_bytes()
}

/// What was begun early, for whoever goes on with it.
#[derive(Debug)]
pub enum Handed {
    /// A child stands at its gate, and the request that names it was sent: all there is of the answer so far.
    Asked {
        /// The child.
        gate: Gate,
        /// Where the answer comes.
        connection: UnixStream,
        /// What has come of it.
        received: Vec<u8>,
        /// The key that the request had.
        key: String,
    },
    /// The answer was good, and the gate was opened.
    Running {
        /// The child.
        command: u32,
        /// Its gate.
        opened: Opened,
        /// Where it was asked.
        connection: UnixStream,
        /// The answer.
        received: Vec<u8>,
    },
    /// The command ended with this exit code.
    Ended {
        /// With that.
        code: u8,
        /// Its gate.
        opened: Opened,
        /// Where it was asked.
        connection: UnixStream,
        /// The answer by which it was let through.
        received: Vec<u8>,
    },
}

/// How far it is.
#[derive(Clone, Copy, Debug)]
pub enum Stage {
    /// As [`Handed::Asked`].
    Asked,
    /// As [`Handed::Running`].
    Running,
    /// As [`Handed::Ended`].
    Ended(u8),
}

/// What is begun.
#[derive(Clone, Copy, Debug)]
pub struct Begun {
    /// How far.
    pub stage: Stage,
    pub(crate) pid: u32,
    pub(crate) opener: RawFd,
    pub(crate) report: RawFd,
    /// The connection to the daemon.
    pub connection: RawFd,
    /// The key of its request.
    pub key: [u8; KEY_BYTES],
    /// The answer to it, as far as it is there.
    pub received: [u8; RECEIVED_MAX],
    /// Bytes of that.
    pub length: usize,
}

impl Begun {
    /// A child stands at its gate, and a daemon is there that can be asked.
    pub fn new(standing: &Standing, connection: RawFd, key: [u8; KEY_BYTES]) -> Begun {
        let (pid, opener, report) = standing.parts();
        Begun {
            stage: Stage::Asked,
            pid,
            opener,
            report,
            connection,
            key,
            received: [0; RECEIVED_MAX],
            length: 0,
        }
    }
}

/// Where it lies meanwhile.
struct Place(UnsafeCell<Option<Begun>>);
// SAFETY: written before there is a second thread, and taken once.
unsafe impl Sync for Place {}

static PLACE: Place = Place(UnsafeCell::new(None));
static LEFT: AtomicBool = AtomicBool::new(false);

/// Leaves what was begun to the C library's time.
pub fn hand_over(begun: &Begun) {
    // SAFETY: nobody else is there yet.
    unsafe { *PLACE.0.get() = Some(*begun) };
    LEFT.store(true, Ordering::Release);
}

/// What was begun early, the first time that this is asked.
pub fn handed() -> Option<Handed> {
    if !LEFT.swap(false, Ordering::Acquire) {
        return None;
    }
    // SAFETY: whoever took the mark is the only one.
    let begun = unsafe { &*PLACE.0.get() }.as_ref()?;
    // SAFETY: they were opened for it, and nobody else has them.
    let own = |raw: RawFd| unsafe { OwnedFd::from_raw_fd(raw) };
    let received = begun.received.get(..begun.length).unwrap_or_default().to_vec();
    Some(match begun.stage {
        Stage::Asked => Handed::Asked {
            gate: Gate::again(begun.pid, own(begun.opener), own(begun.report)),
            connection: own(begun.connection).into(),
            received,
            key: String::from_utf8_lossy(&begun.key).into_owned(),
        },
        Stage::Running => Handed::Running {
            command: begun.pid,
            opened: Opened::again(own(begun.report)),
            connection: own(begun.connection).into(),
            received,
        },
        Stage::Ended(code) => Handed::Ended {
            code,
            opened: Opened::again(own(begun.report)),
            connection: own(begun.connection).into(),
            received,
        },
    })
}

/// The first thing that a program does that was linked with [`crate::early!`]. If `early` says a code, that is the end.
///
/// # Safety
/// To be called by that only, with what the kernel left on the stack.
pub unsafe fn first(stack: *const usize, early: fn(&Start) -> Option<u8>) {
    // SAFETY: as promised.
    let start = unsafe { Start::at(stack) };
    if let Some(code) = early(&start) {
        kernel::exit(code.into());
    }
    standing::remember();
}

/// Makes `early` the first thing that a program does, which has to be linked with `bursar_early` as its entry. If that
/// says a code, the program ends with it; otherwise all goes on as if nothing had been.
#[macro_export]
macro_rules! early {
    ($early:path) => {
        #[allow(unsafe_code)]
        mod early_start {
            use $crate::early::{first, memory};

            ::core::arch::global_asm!(
                ".globl bursar_early",
                "bursar_early:",
                "xor ebp, ebp",
                "mov rbx, rsp",
                "mov r12, rdx",
                // Pointers are what they are from the start. Of a program that may lie anywhere they are not, and the
                // linker does not take this for one.
                "mov eax, offset bursar_early",
                "mov rdi, rbx",
                "and rsp, -16",
                "call {begin}",
                "mov rsp, rbx",
                "mov rdx, r12",
                "jmp _start",
                begin = sym begin,
            );

            unsafe extern "C" fn begin(stack: *const usize) {
                unsafe { first(stack, $early) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
                unsafe { memory::copy(to, from, bytes) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
                unsafe { memory::shift(to, from, bytes) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memset(to: *mut u8, with: i32, bytes: usize) -> *mut u8 {
                unsafe { memory::fill(to, with, bytes) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn memcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
                unsafe { memory::compare(one, other, bytes) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn bcmp(one: *const u8, other: *const u8, bytes: usize) -> i32 {
                unsafe { memory::compare(one, other, bytes) }
            }

            #[unsafe(no_mangle)]
            unsafe extern "C" fn strlen(of: *const u8) -> usize {
                unsafe { memory::length(of) }
            }
        }
    };
}
