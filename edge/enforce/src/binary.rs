//! Whether a file that the kernel does not know how to start is nothing for a shell either: a program of another
//! machine is not read as a script. Needs no C library.
use rustix::{
    fs::{Mode, OFlags, open},
    io::read,
};
use std::{ffi::CStr, mem::ManuallyDrop, os::fd::AsFd};

/// How a program begins, for whatever machine.
const PROGRAM: &[u8] = b"\x7fELF";
/// Bytes that are looked at; a script has said by then what it is.
const LOOKED_AT: usize = 128;

/// A zero byte stands in the first line, or it begins as a program does: as bash tells it. What cannot be read is none.
pub(crate) fn is_binary(path: &CStr) -> bool {
    let mut start = [0; LOOKED_AT];
    let file = open(path, OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK, Mode::empty());
    let Ok(file) = file else { return false };
    // It goes with this program: to close it by letting go of it would need the C library.
    let file = ManuallyDrop::new(file);
    let Ok(length) = read(file.as_fd(), &mut start) else { return false };
    let start = start.get(..length).unwrap_or_default();
    let line = start.split(|&byte| byte == b'\n').next().unwrap_or_default();
    start.starts_with(PROGRAM) || line.contains(&0)
}
