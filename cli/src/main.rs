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
use std::process::ExitCode;
// Names the plugins that are linked in, so that they are.
use bursar_builtin as _;

fn main() -> ExitCode {
    commands::carry_out(Cli::parse())
}
