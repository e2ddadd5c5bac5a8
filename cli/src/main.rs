//! The host and the commands: bursar.
#![forbid(unsafe_code)]
// A program exports nothing; `pub` here says that a module offers it to the others.
#![allow(unreachable_pub)]
mod args;
mod commands;
mod near;
mod serve;
mod spoken;

use args::Cli;
use clap::Parser;
use std::{ffi::OsString, process::ExitCode};
// Names the plugins that are linked in, so that they are.
use bursar_builtin as _;

fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    match Cli::try_parse_from(&words) {
        Ok(cli) => commands::carry_out(cli),
        // What is wrong with the words of `run` is ours, and no status of a command; help is no failure.
        Err(said) if said.use_stderr() && bursar_tenant::is_run(&words) => {
            let _ = said.print();
            ExitCode::from(bursar_tenant::REFUSED)
        }
        Err(said) => said.exit(),
    }
}
