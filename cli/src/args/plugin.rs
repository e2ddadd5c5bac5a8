//! What can be said of plugins, and of who decides.
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Plugins.
#[derive(Debug, Args)]
pub struct Plugin {
    #[command(subcommand)]
    pub verb: PluginVerb,
}

/// What is done with plugins.
#[derive(Debug, Subcommand)]
pub enum PluginVerb {
    /// Begin a plugin of one's own: a crate that builds as it stands
    New {
        /// resource, driver, qos, sharing, allocator, analyzer or metric
        role: String,
        /// Its name, which is the crate's as well
        name: String,
        /// Where to [default: a folder of that name]
        #[arg(long, value_name = "DIR")]
        path: Option<PathBuf>,
        /// A checkout of bursar, for its sdk [default: the one around, or that this program was built from]
        #[arg(long, value_name = "DIR")]
        sdk: Option<PathBuf>,
    },
    /// Show what was found, where it runs and how it is doing
    List {
        /// Follow: show it again whenever something happens
        #[arg(short, long)]
        watch: bool,
    },
    /// Try every plugin of a library by the conformance kit, in a child
    Verify {
        /// The library
        #[arg(value_name = "X.so")]
        library: PathBuf,
        /// Only this plugin of it; may be said again
        #[arg(long, value_name = "NAME")]
        only: Vec<String>,
        /// Calls over which memory, threads, files and log are watched
        #[arg(long, value_name = "N", default_value_t = 100_000)]
        calls: u64,
        /// How long the huge world may take
        #[arg(long, value_name = "DURATION", default_value = "300ms")]
        deadline: String,
    },
    /// Let a plugin be asked again
    Enable {
        /// Its role
        role: String,
        /// Its name
        name: String,
    },
    /// Let a plugin not be asked any more, until further notice
    Disable {
        /// Its role
        role: String,
        /// Its name
        name: String,
    },
    /// Look through the plugin folders again, and let the highest versions decide
    Reload,
    /// Trust whoever signs libraries with a key (minisign): they may run in the daemon's own process
    Trust {
        /// A public key, or its file; or `list`; or `revoke` and a key
        #[arg(value_name = "KEY|list|revoke", num_args = 1..=2)]
        what: Vec<String>,
    },
}

/// Who decides.
#[derive(Debug, Args)]
pub struct Strategy {
    #[command(subcommand)]
    pub verb: StrategyVerb,
}

/// What is done about who decides.
#[derive(Debug, Subcommand)]
pub enum StrategyVerb {
    /// Show who decides
    Show {
        /// Follow: show it again whenever something happens
        #[arg(short, long)]
        watch: bool,
    },
    /// Let another plugin decide from now on
    Use {
        /// allocator or qos
        role: String,
        /// The plugin, as NAME, NAME@VERSION or NAME@linked
        name: String,
    },
    /// Let whoever decided before decide again, that very version
    Rollback {
        /// allocator or qos
        role: String,
    },
}
