//! The command line: what can be said, with its help.
mod agent;
mod operator;
mod plugin;
mod setup;

pub use agent::{Decide, Fail, Gate, Hook, HookEvent, Mcp};
pub use bursar_tenant::{Ask, Run};
pub use plugin::{Plugin, PluginVerb, Strategy, StrategyVerb};

use clap::{Args, Parser, Subcommand, ValueEnum};
pub use operator::{Apply, Drain, Node, Set, SetPool, SetQuota, SetWhat, Token};
pub use setup::{Config, ConfigVerb, Man};
use std::path::PathBuf;

/// The one gate through which a fleet of agents gets everything it spends
#[derive(Debug, Parser)]
#[command(name = "bursar", version, max_term_width = 110, subcommand_required = true)]
pub struct Cli {
    /// The daemon's socket [default: in the user's runtime directory]
    #[arg(long, global = true, value_name = "PATH", env = "BURSAR_SOCKET")]
    pub socket: Option<PathBuf>,
    /// A daemon elsewhere instead, as https://HOST:PORT; its token stands in BURSAR_TOKEN or in a file
    #[arg(long, global = true, value_name = "URL", env = "BURSAR_URL")]
    pub url: Option<String>,
    /// Certificates (PEM) that vouch for that daemon [default: those that this machine trusts]
    #[arg(long, global = true, value_name = "F", env = "BURSAR_CA_FILE")]
    pub ca_file: Option<PathBuf>,
    /// A file with the token for that daemon
    #[arg(long, global = true, value_name = "F", env = "BURSAR_TOKEN_FILE")]
    pub token_file: Option<PathBuf>,
    /// How answers are written
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Table)]
    pub output: Output,
    /// What is to be done
    #[command(subcommand)]
    pub verb: Verb,
}

/// How answers are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people
    Table,
    /// For people, with what waits were for
    Wide,
    /// One JSON document, for scripts
    Json,
    /// One JSON document a line, for streams
    Jsonl,
    /// The same document as YAML
    Yaml,
    /// Only the names, one a line, as other commands take them
    Name,
}

/// What is to be done.
#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Run the daemon
    Serve(Serve),
    /// Claim, wait, run a command inside the lease, and give everything back
    Run(Run),
    /// Claim by hand; the answer has the fence
    Claim(Claim),
    /// Ask for more time
    Renew(Renew),
    /// Say what was used, as KIND=AMOUNT
    Settle(Settle),
    /// Hold more in the same lease, as KIND=AMOUNT to hold then; granted or refused at once
    Extend(Resize),
    /// Give back some of what a lease holds, as KIND=AMOUNT to hold then
    Shrink(Resize),
    /// Give a lease back
    Release(Release),
    /// End a claim, whoever holds it
    Cancel(Cancel),
    /// Put a running process into a lease
    Attach(Attach),
    /// Show what there is
    Get(Get),
    /// Say why a claim waits, and who holds what it waits for
    Explain(Explain),
    /// Show live who uses what and who waits
    Top(Top),
    /// Set everything that a file says, at one moment, or nothing
    Apply(Apply),
    /// Set a quota, a pool or a scope's weight
    Set(Set),
    /// Let a node take no new claims
    Cordon(Node),
    /// Let a node take claims again
    Uncordon(Node),
    /// Let a node take no new claims, and end the leases on it
    Drain(Drain),
    /// Plugins
    Plugin(Plugin),
    /// Who decides
    Strategy(Strategy),
    /// Answer a hook of an agent: one JSON object on standard input, one on standard output
    Hook(Hook),
    /// Serve the tools that agents see, over standard input and output (the daemon serves them under /mcp)
    Mcp(Mcp),
    /// Stand between agents and model providers: reserve each call, pass it on, settle what it used
    Gate(Gate),
    /// Replay a trace through the same engine in virtual time
    Simulate(Simulate),
    /// Say what works on this host and what does not
    Doctor(Doctor),
    /// Make a token for somebody who comes over TCP, and the lines for the config that let it in
    Token(Token),
    /// Say what the daemon would be started with, and where each value comes from; or which keys there are
    Config(Config),
    /// Print the HTTP API as an OpenAPI document
    Api,
    /// Print the manual page, or write those of all commands
    Man(Man),
    /// Copy the journal, beside a running daemon or without
    Backup(Backup),
    /// Put a copy of a journal where a daemon will be started
    Restore(Restore),
    /// Print completions for a shell
    Completions {
        /// For which shell
        shell: clap_complete::Shell,
    },
    /// Host one plugin (started by the daemon only)
    #[command(hide = true)]
    PluginHost {
        /// Library, role, id
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<String>,
    },
}

/// The daemon.
#[derive(Debug, Args)]
pub struct Serve {
    /// Config file (TOML) [default: bursar/bursar.toml in the user's config directory, or /etc/bursar/bursar.toml]
    #[arg(long, value_name = "F")]
    pub config: Option<PathBuf>,
    /// State directory: journal, staged plugins [default: in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Also serve HTTP on this TCP address, for bearers of the token in the state directory
    #[arg(long, value_name = "ADDR")]
    pub http: Option<String>,
    /// Let that address be one that other machines reach, though nothing is encrypted
    #[arg(long, requires = "http")]
    pub far: bool,
    /// Speak TLS there, and show this certificate (PEM, with those that vouch for it)
    #[arg(long, value_name = "F", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// Its key (PEM)
    #[arg(long, value_name = "F", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// A folder of plugin libraries; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
    /// Go on though answers that were given are missing from the journal; what there is gets copied aside
    #[arg(long)]
    pub accept_loss: bool,
    /// Leave after this long without claims and requests
    #[arg(long, value_name = "DURATION")]
    pub idle_exit: Option<String>,
}

/// Claim by hand.
#[derive(Debug, Args)]
pub struct Claim {
    #[command(flatten)]
    pub ask: Ask,
    /// Answer at once; the claim may still wait
    #[arg(long)]
    pub detach: bool,
}

/// Which lease, and its token.
#[derive(Debug, Args)]
pub struct Lease {
    /// The claim
    #[arg(value_name = "ID")]
    pub id: String,
    /// Its fence, as the grant gave it
    #[arg(long, value_name = "F")]
    pub fence: String,
}

/// Ask for more time.
#[derive(Debug, Args)]
pub struct Renew {
    #[command(flatten)]
    pub lease: Lease,
    /// From now on [default: as asked for at first]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
}

/// Say what was used.
#[derive(Debug, Args)]
pub struct Settle {
    #[command(flatten)]
    pub lease: Lease,
    /// What was used, as memory=512M
    #[arg(value_name = "KIND=AMOUNT", required = true)]
    pub used: Vec<String>,
}

/// Hold more, or less.
#[derive(Debug, Args)]
pub struct Resize {
    #[command(flatten)]
    pub lease: Lease,
    /// What the lease is to hold then, as memory=1G or gpu:gpu0=500
    #[arg(value_name = "KIND=AMOUNT", required = true)]
    pub to: Vec<String>,
}

/// Give a lease back.
#[derive(Debug, Args)]
pub struct Release {
    #[command(flatten)]
    pub lease: Lease,
    /// Wait this long until all of it is free
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
}

/// End a claim.
#[derive(Debug, Args)]
pub struct Cancel {
    /// The claim
    #[arg(value_name = "ID")]
    pub id: String,
    /// Wait this long until all of it is free
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
}

/// Put a process into a lease.
#[derive(Debug, Args)]
pub struct Attach {
    #[command(flatten)]
    pub lease: Lease,
    /// The process
    #[arg(long, value_name = "P")]
    pub pid: u32,
}

/// Show what there is.
#[derive(Debug, Args)]
pub struct Get {
    /// Of what
    #[arg(value_enum)]
    pub what: What,
    /// Follow: show it again whenever something happens
    #[arg(short, long)]
    pub watch: bool,
    /// Of events or audit: those above this sequence
    #[arg(long, value_name = "SEQ")]
    pub since: Option<u64>,
    /// So many rows, from the first one on
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
}

/// What can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// Demands
    Claims,
    /// Supplies
    Pools,
    /// Machines
    Nodes,
    /// The demand tree
    Scopes,
    /// Bounds
    Quotas,
    /// Plugins, in use or not
    Plugins,
    /// What holds work up
    Findings,
    /// What metrics measured, and what plugins count of themselves
    Metrics,
    /// What happened
    Events,
    /// What those who administer did, and tried
    Audit,
}

/// Say why a claim waits.
#[derive(Debug, Args)]
pub struct Explain {
    /// The claim
    #[arg(value_name = "CLAIM")]
    pub id: String,
    /// Follow: say it again whenever something happens, until the claim does not wait any more
    #[arg(short, long)]
    pub watch: bool,
}

/// Show live who uses what and who waits: s sorts, / filters, e explains, r ends, tab changes the table, q leaves.
#[derive(Debug, Args)]
pub struct Top {
    /// How often to look
    #[arg(long, value_name = "TIME", default_value = "1s")]
    pub every: String,
}

/// Replay a trace.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The trace, which may be compressed (.gz): for openb the list of pods, for swf the log
    #[arg(long, value_name = "F", required_unless_present = "experiment")]
    pub trace: Option<PathBuf>,
    /// A schedule that is made by rule and needs no trace
    #[arg(long, value_enum, value_name = "NAME", conflicts_with_all = ["trace", "nodes", "protocol"])]
    pub experiment: Option<Experiment>,
    /// Live through the experiment by the clock on the wall
    #[arg(long, requires = "experiment")]
    pub real: bool,
    /// Its format
    #[arg(long, value_enum, default_value_t = Format::Openb)]
    pub format: Format,
    /// The machines: for openb the list of nodes
    #[arg(long, value_name = "F")]
    pub nodes: Option<PathBuf>,
    /// Who decides where
    #[arg(long, value_name = "NAME", default_value = "best-fit")]
    pub allocator: String,
    /// Who decides who is first; for the protocol rlscheduler with +bf behind it to let others start
    /// while the first one waits
    #[arg(long, value_name = "NAME", default_value = "class")]
    pub qos: String,
    /// How a log is put through [default: all of it, in the engine's own queue]
    #[arg(long, value_enum, value_name = "NAME")]
    pub protocol: Option<Protocol>,
    /// The first seed
    #[arg(long, value_name = "N", default_value_t = 42)]
    pub seed: u64,
    /// How many seeds; the answer has their mean
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub seeds: u64,
    /// A folder of plugin libraries; may be given more than once
    #[arg(long, value_name = "DIR")]
    pub plugins: Vec<PathBuf>,
    /// For agentcgroup: the machine's memory
    #[arg(long, value_name = "AMOUNT", default_value = "16G")]
    pub memory: String,
    /// For agentcgroup: agents that would run at once
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub slots: usize,
    /// For agentcgroup: how long
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub hours: u64,
}

impl Simulate {
    /// The trace; there is one wherever no experiment is asked for.
    pub fn trace(&self) -> &std::path::Path {
        self.trace.as_deref().unwrap_or(std::path::Path::new(""))
    }
}

/// Formats of traces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Pods and nodes of the FGD experiment (Alibaba, 2023)
    Openb,
    /// A log of a batch system (Standard Workload Format)
    Swf,
    /// Memory of real agents, second by second: how many finish without a manager, with fixed caps, and with Bursar
    Agentcgroup,
}

/// Schedules that are made by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Experiment {
    /// Kueue's scheduler performance test: 30 queues that lend and take back, 15,000 jobs
    KueueBaseline,
    /// The same with 1,000 queues and 50,000 jobs
    KueueLarge,
}

/// Protocols of experiments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// Ten sequences of 1,024 jobs, each on an idle machine (RLScheduler, SC'20)
    Rlscheduler,
}

/// Say what works.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Look at the journal in this state directory instead, with a daemon on it or without; ends with 1 if it is not sound
    #[arg(long, value_name = "DIR")]
    pub journal: Option<PathBuf>,
    /// Follow: look again whenever something happens
    #[arg(short, long, conflicts_with = "journal")]
    pub watch: bool,
}

/// Copy the journal.
#[derive(Debug, Args)]
pub struct Backup {
    /// Where to: a folder that is empty or not there
    #[arg(value_name = "TO")]
    pub to: PathBuf,
    /// State directory [default: in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

/// Put a copy in place.
#[derive(Debug, Args)]
pub struct Restore {
    /// The copy
    #[arg(value_name = "FROM")]
    pub from: PathBuf,
    /// State directory, empty or not there [default: in the user's state directory]
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn run_is_found_behind_whatever_may_be_said_before_it() {
        let command = Cli::command();
        let global = command.get_arguments().filter(|one| one.is_global_set());
        let valued = global.filter(|one| one.get_action().takes_values());
        let names: Vec<String> = valued
            .flat_map(|one| {
                let long = one.get_long().map(|name| format!("--{name}"));
                long.into_iter().chain(one.get_short().map(|name| format!("-{name}")))
            })
            .collect();
        assert!(names.len() >= 6, "{names:?}");
        for name in names {
            let found = |words: &[&str]| {
                let words: Vec<_> = ["bursar", &name].iter().chain(words).map(Into::into).collect();
                bursar_tenant::is_run(&words)
            };
            assert!(found(&["get", "run"]) && !found(&["run"]) && !found(&["run", "get", "run"]), "{name}");
        }
    }
}
