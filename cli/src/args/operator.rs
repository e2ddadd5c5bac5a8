//! What operators say: settings and the nodes that they close.
use bursar_tenant::scope_path;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// Set everything that a file says, at one moment, or nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
The file is TOML with the tables of the daemon's config that can be set while it runs:
[[pool]], [[scope]], [[quota]] and [node] capacity. What the file does not name stays
as it is; of what it names, each key that is left out has its default, and what has
remove = true (a [[quota]], or a [[pool]] that nobody has any of) goes. Applied twice,
it says that nothing changed. Nothing that is held is taken from anybody: below what
is in use, nothing new is granted until enough came back.

What is applied is in the journal and outlives a restart. When the daemon starts, its
config is applied again, and wins for what it names: also put there what is to stay.
What drivers find does not win over what was set.")]
pub struct Apply {
    /// The file; - for standard input
    #[arg(short, long, value_name = "F")]
    pub file: PathBuf,
    /// Only say what would change
    #[arg(long)]
    pub dry_run: bool,
}

/// Set one thing.
#[derive(Debug, Args)]
pub struct Set {
    #[command(subcommand)]
    pub what: SetWhat,
}

/// What can be set. What is not said stays as it is.
#[derive(Debug, Subcommand)]
pub enum SetWhat {
    /// What a scope and those below it may hold or spend of a kind
    Quota(SetQuota),
    /// How much there is
    Pool(SetPool),
    /// A scope's share of its parent
    Scope(SetScope),
}

/// A bound.
#[derive(Debug, Args)]
pub struct SetQuota {
    /// Scope path, as team/session; / for the root
    #[arg(value_name = "SCOPE", value_parser = scope_path)]
    pub scope: String,
    /// Of what
    #[arg(value_name = "KIND")]
    pub kind: String,
    /// What the scope can always have, as 4 or 8G, or of what is spent 20k/m
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub guaranteed: Option<String>,
    /// What it may hold, as 4 or 8G, or spend in a time, as 5usd/d; none for no limit
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    pub limit: Option<String>,
    /// What may be borrowed above the guarantee; none for no limit
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    pub borrow_limit: Option<String>,
    /// What of the guarantee may be lent while it is free; none for all of it, and for nothing of what is spent
    #[arg(long, value_name = "AMOUNT|none", allow_hyphen_values = true)]
    pub lend_limit: Option<String>,
    /// Of a rate: how much may be spent at once
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub burst: Option<String>,
    /// Lift it: nobody loses what it has
    #[arg(long, conflicts_with_all = ["guaranteed", "limit", "borrow_limit", "lend_limit", "burst"])]
    pub remove: bool,
}

/// A supply.
#[derive(Debug, Args)]
pub struct SetPool {
    /// Which, as cpu or tokens:acct/model
    #[arg(value_name = "KIND[:NAME]")]
    pub pool: String,
    /// How much there is, as 8 or 16G, or comes back in which time, as 50k/m
    #[arg(value_name = "CAPACITY", allow_hyphen_values = true, required_unless_present = "remove")]
    pub capacity: Option<String>,
    /// On which node [default: wherever the only pool of this name is]
    #[arg(long, value_name = "N")]
    pub node: Option<String>,
    /// Of a rate: how much may be spent at once
    #[arg(long, value_name = "AMOUNT", allow_hyphen_values = true)]
    pub burst: Option<String>,
    /// Take it away: a pool of no node, once nobody has any of it
    #[arg(long, conflicts_with_all = ["capacity", "burst"])]
    pub remove: bool,
}

/// A weight.
#[derive(Debug, Args)]
pub struct SetScope {
    /// Scope path, as team/session; / for the root
    #[arg(value_name = "PATH", value_parser = scope_path)]
    pub path: String,
    /// Share of its parent relative to its siblings, from 1 to 1000000
    #[arg(long, value_name = "N")]
    pub weight: u32,
}

/// A node that opens or closes.
#[derive(Debug, Args)]
pub struct Node {
    /// The node, as `bursar get nodes` shows it
    #[arg(value_name = "NODE")]
    pub name: String,
}

/// A node that is to be empty.
#[derive(Debug, Args)]
pub struct Drain {
    #[command(flatten)]
    pub node: Node,
    /// How long the leases on it may stay [default: 30s]; who said less before is not overruled
    #[arg(long, value_name = "DURATION")]
    pub grace: Option<String>,
    /// Wait this long until the node is empty; ends with 1 if it is not by then
    #[arg(long, value_name = "DURATION")]
    pub wait: Option<String>,
}

/// Make a token. It is shown once and kept nowhere.
#[derive(Debug, Args)]
pub struct Token {
    /// The scope that its bearer acts in, and sees no more than [default: the root, as /]
    #[arg(long, value_name = "PATH", default_value = "", hide_default_value = true, value_parser = scope_path)]
    pub scope: String,
    /// What it is good for: read, claim, operate
    #[arg(long, value_name = "VERB,…", value_delimiter = ',', default_value = "read,claim")]
    pub verbs: Vec<String>,
    /// When it runs out, from now on [default: never]
    #[arg(long, value_name = "DURATION")]
    pub ttl: Option<String>,
}
