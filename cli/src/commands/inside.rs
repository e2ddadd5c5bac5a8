//! The process that becomes the command: it waits until the lease is true, so that nothing of the
//! command ever runs outside of it.
use std::{
    ffi::OsString,
    fs::File,
    io::{ErrorKind, Read},
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

/// Exit code when the starter is gone before the lease is true.
pub const REFUSED: u8 = 125;
/// Exit codes of a shell: there, but it cannot be run; not there.
const NOT_RUNNABLE: u8 = 126;
const NOT_FOUND: u8 = 127;

/// `bursar inside GATE CMD…`: waits for a byte from the gate, then becomes the command.
pub fn inside(words: &[OsString]) -> ExitCode {
    let [gate, program, args @ ..] = words else {
        eprintln!("bursar: inside is started by `bursar run` only");
        return ExitCode::from(2);
    };
    let opened = File::open(gate).and_then(|mut gate| gate.read_exact(&mut [0]));
    if opened.is_err() {
        return ExitCode::from(REFUSED);
    }
    let error = Command::new(program).args(args).exec();
    eprintln!("bursar: {}: {error}", program.to_string_lossy());
    ExitCode::from(if error.kind() == ErrorKind::NotFound { NOT_FOUND } else { NOT_RUNNABLE })
}
