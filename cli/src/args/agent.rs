//! What can be said for agents: the tools that they see, and their hooks.
use super::Ask;
use clap::{Args, ValueEnum};

/// The tools that agents see.
#[derive(Debug, Args)]
pub struct Mcp {
    /// How long one call may wait before it says how things stand [default: 20s]
    #[arg(long, value_name = "DURATION")]
    pub hold: Option<String>,
    /// Do not start a daemon where none answers
    #[arg(long)]
    pub no_autostart: bool,
}

/// A proxy to be set as the base URL of a model provider, as in
/// ANTHROPIC_BASE_URL=http://127.0.0.1:4141/anthropic/team/session.
#[derive(Debug, Args)]
pub struct Gate {
    /// Config file (TOML), whose table [gate] counts; it may be the daemon's own
    #[arg(long, value_name = "F")]
    pub config: std::path::PathBuf,
    /// Where callers connect [default: what the config says, or 127.0.0.1:4141]
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<String>,
    /// What is done while no daemon answers [default: what the config says, or closed]
    #[arg(long, value_enum)]
    pub fail: Option<Fail>,
    /// Listen also where other machines reach it, though keys then pass in the clear; needs callers with tokens
    #[arg(long)]
    pub far: bool,
    /// Do not start a daemon where none answers
    #[arg(long)]
    pub no_autostart: bool,
}

/// A hook of an agent. What a claim asks for is what the object on standard input does not say; for
/// claude-code it is what each heavy command gets.
#[derive(Debug, Args)]
pub struct Hook {
    /// What happens
    #[arg(value_enum)]
    pub event: HookEvent,
    #[command(flatten)]
    pub ask: Ask,
    /// What is done while no daemon answers
    #[arg(long, value_enum, default_value_t = Fail::Open, env = "BURSAR_HOOK_FAIL")]
    pub fail: Fail,
    /// The agent's process, with which its session's lease lives and ends [default: the one that runs the hook]
    #[arg(long, value_name = "P")]
    pub agent_pid: Option<u32>,
    /// A heavy command, by the words it begins with; may be given more than once [default: builds and tests]
    #[arg(long, value_name = "WORDS")]
    pub heavy: Vec<String>,
    /// Whether a rewritten command is shown to the user first
    #[arg(long, value_enum, default_value_t = Decide::Ask)]
    pub decide: Decide,
    /// What a session holds for as long as its agent lives, as KIND=AMOUNT; may be given more than once
    #[arg(long, value_name = "KIND=AMOUNT", default_value = "pids=4096")]
    pub session: Vec<String>,
    /// What a subagent holds from its start to its end, as KIND=AMOUNT; may be given more than once
    #[arg(long, value_name = "KIND=AMOUNT")]
    pub subagent: Vec<String>,
}

/// What happens in an agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum HookEvent {
    /// A task is about to begin: claim for it
    PreTask,
    /// A task goes on: renew
    Progress,
    /// A task has ended: settle and release
    PostTask,
    /// A session begins: claim, and bind it to the agent's process
    SessionStart,
    /// A session ends: release
    SessionEnd,
    /// Any hook of Claude Code, by the name in its object
    ClaudeCode,
}

/// What is done while no daemon answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Fail {
    /// Everything passes, unmanaged
    Open,
    /// Nothing passes that would need a lease
    Closed,
}

/// Whether a rewritten command is shown first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Decide {
    /// The user sees it and decides
    Ask,
    /// It runs: for agents whose commands nobody approves
    Allow,
}
