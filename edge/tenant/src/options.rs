//! What can be said of a claim on the command line, with its help.
use clap::{Args, ValueEnum};
use std::convert::Infallible;

/// What a claim asks for.
#[derive(Clone, Debug, Default, Args)]
pub struct Ask {
    /// Cores, as 1.5 or 250m
    #[arg(long, value_name = "CORES", allow_hyphen_values = true)]
    pub cpu: Option<String>,
    /// Memory, as 512M
    #[arg(long, value_name = "BYTES", allow_hyphen_values = true)]
    pub memory: Option<String>,
    /// How much of the memory may be used without being slowed down, as 384M
    #[arg(long, value_name = "BYTES", requires = "memory", allow_hyphen_values = true)]
    pub memory_soft: Option<String>,
    /// Processes and threads
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids: Option<String>,
    /// Devices, whole or in part
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub gpu: Option<String>,
    /// Anything else, as KIND=AMOUNT or KIND:POOL=AMOUNT; may be given more than once
    #[arg(long, value_name = "KIND=AMOUNT")]
    pub need: Vec<String>,
    /// What would do as well if the rest does not fit now, as cpu=2,memory=1G; may be given more than once, in
    /// order of preference
    #[arg(long, value_name = "KIND=AMOUNT,…")]
    pub or: Vec<String>,
    /// A named lock, alone or as NAME:shared; may be given more than once. What stands behind the last colon says how it
    /// is held: of a name that has one itself, say NAME:exclusive
    #[arg(long, value_name = "NAME[:shared]")]
    pub lock: Vec<String>,
    /// A TCP port: that one, or any
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = crate::ask::ANY_PORT)]
    pub port: Vec<String>,
    /// Scope path below one's own root, as team/session/agent [default: that root, as /]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true, value_parser = scope_path)]
    pub scope: String,
    /// How firmly
    #[arg(long, value_enum, default_value_t = ClassArg::Burstable)]
    pub class: ClassArg,
    /// Larger comes first within the class
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub priority: u32,
    /// How long to wait for it
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
    /// How long the lease lasts without renewal
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
    /// How long it will probably be needed
    #[arg(long, value_name = "DURATION")]
    pub expect: Option<String>,
    /// Label term that the node must have; may be given more than once
    #[arg(long, value_name = "TERM")]
    pub label: Vec<String>,
    /// Label term that the node must not have; may be given more than once
    #[arg(long, value_name = "TERM")]
    pub not_label: Vec<String>,
    /// The lease to draw from; none for the pools, for who may [default: the lease that this runs in, if any]
    #[arg(long, value_name = "LEASE")]
    pub within: Option<String>,
    /// That lease's fence, where it is neither one's own nor within one's own
    #[arg(long, value_name = "F", requires = "within")]
    pub within_fence: Option<u64>,
    /// A lease that is held and kept until this is granted, besides the one to draw from; may be given more than once
    #[arg(long, value_name = "LEASE")]
    pub holding: Vec<String>,
    /// Granted only together with the others of this gang, which has so many
    #[arg(long, value_name = "NAME:N")]
    pub gang: Option<String>,
    /// Idempotency key: the same ask with the same key is carried out once
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Do not start a daemon where none answers
    #[arg(long)]
    pub no_autostart: bool,
}

impl Ask {
    /// Whether nothing at all is asked for.
    pub fn is_bare(&self) -> bool {
        [&self.cpu, &self.memory, &self.pids, &self.gpu].into_iter().all(Option::is_none)
            && [&self.need, &self.lock, &self.port, &self.or].into_iter().all(Vec::is_empty)
    }
}

/// A scope path as it is written: / is the root, as lists show it.
///
/// # Errors
/// None: what is no path is told by who knows the scopes.
pub fn scope_path(text: &str) -> Result<String, Infallible> {
    Ok(if text == "/" { String::new() } else { text.into() })
}

/// How firmly a claim is promised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum ClassArg {
    /// Has what it asked for, always
    Guaranteed,
    /// Has what it asked for while others do not need their guarantee
    #[default]
    Burstable,
    /// Has what is left
    BestEffort,
}

/// Run a command inside a lease; with nothing asked for, inside one of 256 processes.
#[derive(Debug, Args)]
pub struct Run {
    /// What is asked for
    #[command(flatten)]
    pub ask: Ask,
    /// The command and its arguments
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<std::ffi::OsString>,
}

impl ClassArg {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            ClassArg::Guaranteed => "guaranteed",
            ClassArg::Burstable => "burstable",
            ClassArg::BestEffort => "best-effort",
        }
    }
}
