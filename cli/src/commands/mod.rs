//! The commands: each says something to the daemon, and shows what it answers.
mod autostart;
mod backup;
mod claim;
mod config;
mod daemon;
mod doctor;
mod gate;
mod get;
mod hook;
mod lease;
mod manifest;
mod manual;
mod mcp;
mod names;
mod operate;
mod outcome;
mod plugin;
mod remote;
mod scaffold;
mod show;
mod simulate;
mod strategy;
mod token;
mod top;
mod verify;

use crate::args::{Cli, Output, PluginVerb, Verb, What};
use bursar_interface::NodeState;
use clap::CommandFactory;
use outcome::{Failed, Outcome};
use std::{path::Path, process::ExitCode};

/// What every command is told.
pub struct Context {
    socket: bursar_wire::Place,
    output: crate::args::Output,
    /// Tables have more columns.
    wide: bool,
    /// A daemon elsewhere.
    elsewhere: Option<std::sync::Arc<dyn bursar_wire::Reach>>,
}

/// How long a look waits for its answer. Claims, releases and what is set wait for the disk, however slow that is.
const LOOK_PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

impl Context {
    fn client(&self) -> bursar_wire::Client {
        match &self.elsewhere {
            Some(way) => bursar_wire::Client::by(way.clone()),
            None => bursar_wire::Client::new(&self.socket.path),
        }
    }

    /// For those who only look: what is there is told at once, or the daemon is stopped or hangs.
    fn looking(&self) -> bursar_wire::Client {
        self.client().patience(LOOK_PATIENCE)
    }
}

/// Carries a command out; the exit code is that of the contract.
pub fn carry_out(cli: Cli) -> ExitCode {
    let wide = cli.output == Output::Wide;
    let output = if wide { Output::Table } else { cli.output };
    let runs = matches!(cli.verb, Verb::Run(_));
    let elsewhere = match remote::elsewhere(&cli) {
        Ok(elsewhere) => elsewhere,
        Err(failed) => return outcome::tell(&of_run(failed, runs), output),
    };
    let context = Context { socket: bursar_wire::socket(cli.socket.as_deref()), output, wide, elsewhere };
    let done: Outcome = match cli.verb {
        verb if output == Output::Name && !names::has(&verb) => {
            Err(Failed::usage("this command's answer has no names").hint("say -o json or -o yaml"))
        }
        Verb::Serve(serve) => daemon::serve(&context, &serve),
        Verb::Run(run) => {
            let reach = || autostart::reach(&context, run.ask.no_autostart).map(drop);
            return ExitCode::from(bursar_tenant::run(&context.socket.path, &run, &reach));
        }
        Verb::Claim(claim) => claim::claim(&context, &claim),
        Verb::Renew(renew) => lease::renew(&context, &renew),
        Verb::Settle(settle) => lease::settle(&context, &settle),
        Verb::Extend(resize) => lease::extend(&context, &resize),
        Verb::Shrink(resize) => lease::shrink(&context, &resize),
        Verb::Release(release) => lease::release(&context, &release),
        Verb::Cancel(cancel) => lease::cancel(&context, &cancel),
        Verb::Attach(attach) => lease::attach(&context, &attach),
        Verb::Get(get) => get::get(&context, &get),
        Verb::Explain(explain) => get::explain(&context, &explain),
        Verb::Top(top) => top::top(&context, &top),
        Verb::Apply(apply) => operate::apply(&context, &apply),
        Verb::Set(set) => operate::set(&context, &set),
        Verb::Cordon(node) => operate::turn(&context, &node, NodeState::Cordoned),
        Verb::Uncordon(node) => operate::turn(&context, &node, NodeState::Open),
        Verb::Drain(drain) => operate::drain(&context, &drain),
        Verb::Plugin(plugin) => match plugin.verb {
            PluginVerb::New { role, name, path, sdk } => {
                scaffold::scaffold(&context, &role, &name, path.as_deref(), sdk.as_deref())
            }
            PluginVerb::List { watch } => get::list(&context, What::Plugins, None, watch),
            PluginVerb::Verify { library, only, calls, deadline } => {
                verify::verify(&context, &library, &only, calls, &deadline)
            }
            verb => plugin::plugin(&context, verb),
        },
        Verb::Strategy(strategy) => strategy::strategy(&context, &strategy.verb),
        Verb::Hook(hook) => return hook::hook(&context, &hook),
        Verb::Mcp(mcp) => mcp::mcp(&context, &mcp),
        Verb::Gate(gate) => gate::gate(&context, &gate),
        Verb::Simulate(simulate) => simulate::simulate(&context, &simulate),
        Verb::Doctor(doctor) => doctor::doctor(&context, &doctor),
        Verb::Token(token) => token::token(&context, &token),
        Verb::Config(config) => config::config(&context, &config),
        Verb::Api => {
            show::document(
                &crate::serve::contract(),
                if output == Output::Table { Output::Json } else { output },
            );
            Ok(())
        }
        Verb::Man(man) => manual::man(&man),
        Verb::Backup(backup) => backup::backup(&context, &backup),
        Verb::Restore(restore) => backup::restore(&context, &restore),
        Verb::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut for_people(&Cli::command()), "bursar", &mut script);
            // A reader that has gone away is no failure.
            let _ = std::io::Write::write_all(&mut std::io::stdout(), &script);
            Ok(())
        }
        Verb::PluginHost { args } => return bursar_loader::child_main(&args),
    };
    match done {
        Ok(()) => match show::unwritten() {
            // A reader that has gone away has read what it wanted.
            Some(error) if error.kind() != std::io::ErrorKind::BrokenPipe => outcome::tell(
                &Failed::from(anyhow::anyhow!("the answer could not be written: {error}"))
                    .hint("what was asked was carried out")
                    .shown(),
                context.output,
            ),
            _ => ExitCode::SUCCESS,
        },
        Err(failed) => outcome::tell(&of_run(failed, runs), context.output),
    }
}

/// What stops `run` before it is one has the code of all that stops it.
fn of_run(failed: Failed, runs: bool) -> Failed {
    Failed { code: if runs { bursar_tenant::REFUSED } else { failed.code }, ..failed }
}

/// The folder for state when nobody names one.
fn state_dir() -> Result<std::path::PathBuf, Failed> {
    use etcetera::BaseStrategy;
    let home = etcetera::choose_base_strategy()
        .map_err(|error| Failed::usage(format!("{error}; name one with --state")))?;
    let state = home.state_dir().unwrap_or_else(|| home.data_dir());
    Ok(state.join("bursar"))
}

/// The folder that a socket lies in, made for this user alone.
fn make_private(folder: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// The command line without what is hidden, which completions offer all the same.
fn for_people(whole: &clap::Command) -> clap::Command {
    let seen = whole.get_subcommands().filter(|verb| !verb.is_hide_set()).cloned();
    let version = whole.get_version().map(str::to_owned).unwrap_or_default();
    clap::Command::new("bursar").version(version).args(whole.get_arguments().cloned()).subcommands(seen)
}
