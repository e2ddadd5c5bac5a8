//! The few calls of the kernel that are made by hand: what there is else for them counts on a C library, or is not for
//! others to use.
use rustix::{io::Errno, process::Signal};
use std::{
    arch::asm,
    ffi::{CStr, c_char},
    os::fd::RawFd,
    ptr,
};

/// A set of signals, as the kernel has it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signals(u64);

impl Signals {
    pub(super) fn of(signals: &[Signal]) -> Signals {
        Signals(signals.iter().fold(0, |set, signal| set | 1 << (signal.as_raw() - 1)))
    }
}

/// Bytes of a set of signals.
const SET: usize = size_of::<u64>();

/// # Safety
/// As the call itself has it.
unsafe fn call(number: libc::c_long, with: [usize; 4]) -> Result<usize, Errno> {
    let [one, two, three, four] = with;
    let result: isize;
    // SAFETY: the kernel changes these registers only, and what it is told to.
    unsafe {
        asm!("syscall", inout("rax") number as isize => result, in("rdi") one, in("rsi") two, in("rdx") three,
            in("r10") four, in("r8") 0_usize, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    match usize::try_from(result) {
        Ok(value) => Ok(value),
        Err(_) => Err(Errno::from_raw_os_error(-result as i32)),
    }
}

/// Forks: the child's pid, or 0 in the child.
///
/// # Safety
/// There is no other thread, and no C library.
pub(super) unsafe fn fork() -> Result<u32, Errno> {
    // SAFETY: as promised.
    unsafe { call(libc::SYS_fork, [0; 4]) }.map(|pid| pid as u32)
}

/// Becomes another program; returns why not.
///
/// # Safety
/// Both lists end with a null.
pub(super) unsafe fn execve(
    path: &CStr,
    words: *const *const c_char,
    environment: *const *const c_char,
) -> Errno {
    // SAFETY: as promised.
    let failed =
        unsafe { call(libc::SYS_execve, [path.as_ptr() as usize, words as usize, environment as usize, 0]) };
    failed.err().unwrap_or(Errno::IO)
}

/// Ends this program.
pub(super) fn exit(code: i32) -> ! {
    loop {
        // SAFETY: nothing is left to be done wrong.
        let _ = unsafe { call(libc::SYS_exit_group, [code as usize, 0, 0, 0]) };
    }
}

/// Blocks these signals besides; says which were blocked before.
pub(super) fn block(signals: &Signals) -> Result<u64, Errno> {
    let mut before = 0_u64;
    let sets = [ptr::from_ref(&signals.0) as usize, ptr::from_mut(&mut before) as usize];
    // SAFETY: sets as long as it says; nobody is there who would count on any of them.
    let done = unsafe { call(libc::SYS_rt_sigprocmask, [libc::SIG_BLOCK as usize, sets[0], sets[1], SET]) };
    done.map(|_| before)
}

/// Blocks these signals and no others.
///
/// # Safety
/// Nothing in this program counts on any of them.
pub(super) unsafe fn block_only(signals: u64) {
    // SAFETY: as promised.
    unsafe {
        let signals = ptr::from_ref(&signals) as usize;
        let _ = call(libc::SYS_rt_sigprocmask, [libc::SIG_SETMASK as usize, signals, 0, SET]);
    }
}

/// Whether a signal is ignored.
pub(super) fn is_ignored(signal: Signal) -> bool {
    let mut now = [0_usize; 4];
    // SAFETY: room for an arrangement, and none is made.
    let looked = unsafe {
        call(libc::SYS_rt_sigaction, [signal.as_raw() as usize, 0, now.as_mut_ptr() as usize, SET])
    };
    looked.is_ok() && now[0] == libc::SIG_IGN
}

/// Lets a signal do what it does to any program that has made no arrangements.
pub(super) fn as_usual(signal: Signal) {
    let usual = [0_usize; 4];
    // SAFETY: nobody is there who would count on another arrangement; one of nothing is the usual one.
    let _ =
        unsafe { call(libc::SYS_rt_sigaction, [signal.as_raw() as usize, usual.as_ptr() as usize, 0, SET]) };
}

/// Opens a descriptor that tells of these signals.
pub(super) fn told_of(signals: &Signals) -> Result<RawFd, Errno> {
    let set = ptr::from_ref(&signals.0) as usize;
    // SAFETY: a set as long as it says.
    let opened = unsafe { call(libc::SYS_signalfd4, [usize::MAX, set, SET, libc::SFD_CLOEXEC as usize]) };
    opened.map(|descriptor| descriptor as RawFd)
}
