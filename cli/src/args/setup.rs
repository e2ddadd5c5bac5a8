//! What can be said about the program itself: its config and its manual.
use super::Serve;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// The daemon's config.
#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    pub verb: ConfigVerb,
}

/// What is said of it.
#[derive(Debug, Subcommand)]
pub enum ConfigVerb {
    /// Show what `bursar serve` with these options would be started with
    #[command(after_long_help = "\
A flag wins over the environment, that over the config file, and that over the default.
A variable is named after its key: BURSAR__JOURNAL__RETAIN_HOURS sets [journal] retain-hours.")]
    Show {
        /// The options
        #[command(flatten)]
        serve: Serve,
        /// Also say where each value comes from: default, file, environment or flag
        #[arg(long)]
        origins: bool,
    },
    /// Print which keys there are, as a JSON Schema for editors
    Schema,
}

/// The manual.
#[derive(Debug, Args)]
pub struct Man {
    /// Write the pages of all commands into this folder, as bursar-get.1
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}
