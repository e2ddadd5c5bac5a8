//! What people type. It runs commands inside leases by itself, because it starts in a fraction of the time that
//! `bursard` beside it takes; that program does all else, and says what is wrong with words that are not read here.
//!
//! Plain commands that end soon are run before its C library is there (`bursar_enforce::early`).
#![deny(unsafe_code)]

use bursar_tenant::{Failed, REFUSED, is_run, read, run, say, unmasked};
use std::{
    ffi::OsString,
    os::unix::process::CommandExt,
    process::{Command, ExitCode},
};

#[cfg(early)]
bursar_enforce::early!(bursar_tenant::early);

/// The program that does all else.
const FULL: &str = "bursard";

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    if words.len() == 2 && (words[1] == "--version" || words[1] == "-V") {
        println!("bursar {}", env!("CARGO_PKG_VERSION"));
        return ExitCode::SUCCESS;
    }
    let Some(errand) = read(&words) else {
        let failed = become_full(&words);
        say(&failed.error);
        return ExitCode::from(if is_run(&words) { REFUSED } else { failed.code });
    };
    let place = bursar_wire::socket(errand.socket.as_deref());
    // A daemon that is to be started is one of the things that are done there.
    let reach = || Err(become_full(&words));
    ExitCode::from(run(&place.path, &errand.run, &reach))
}

/// Goes on as the full program with the same words; returns only if there is none.
fn become_full(words: &[OsString]) -> Failed {
    let full = std::env::current_exe().map(|front| front.with_file_name(FULL));
    let error = full.and_then(|full| {
        let mut command = Command::new(&full);
        command.args(words.iter().skip(1));
        if let Some(name) = words.first() {
            command.arg0(name);
        }
        let never = unmasked(|| Ok(command.exec()));
        never.map(|error| std::io::Error::new(error.kind(), format!("{}: {error}", full.display())))
    });
    let error = error.unwrap_or_else(|error| error);
    Failed::from(error).hint(format!("`{FULL}` belongs beside `bursar`"))
}
