//! Commands that talk to a daemon elsewhere, and those that cannot.
use super::outcome::Failed;
use crate::args::{self, Cli, Verb};
use bursar_wire::{Reach, Remote};
use std::sync::Arc;

/// The token for a daemon elsewhere, where it is not in a file. It is no option: whoever lists processes would see it.
const TOKEN: &str = "BURSAR_TOKEN";

/// The way to the daemon that the command line or the environment names, if that is not this machine's.
///
/// # Errors
/// What is wrong with the address, its certificates or the token; and for commands that need a daemon here.
pub fn elsewhere(cli: &Cli) -> Result<Option<Arc<dyn Reach>>, Failed> {
    let Some(url) = cli.url.as_deref().filter(|_| talks(&cli.verb)) else { return Ok(None) };
    if is_bound_here(&cli.verb) {
        let hint = match cli.verb {
            Verb::Backup(_) | Verb::Restore(_) => "say --state for a state directory of this machine, or ",
            _ => "",
        };
        return Err(Failed::usage("this command works with the daemon of this machine, and none elsewhere")
            .hint(format!("{hint}leave out --url, and BURSAR_URL in the environment")));
    }
    let token = match &cli.token_file {
        Some(file) => {
            let text = std::fs::read_to_string(file);
            Some(text.map_err(|error| Failed::usage(format!("--token-file {}: {error}", file.display())))?)
        }
        None => std::env::var(TOKEN).ok(),
    };
    let token = token.as_deref().map(str::trim).filter(|token| !token.is_empty());
    let remote = Remote::new(url, cli.ca_file.as_deref(), token).map_err(Failed::usage)?;
    Ok(Some(Arc::new(remote)))
}

/// Whether a command talks to a daemon at all.
fn talks(verb: &Verb) -> bool {
    use Verb::*;
    !matches!(
        verb,
        Serve(_)
            | Simulate(_)
            | Token(_)
            | Config(_)
            | Api
            | Man(_)
            | Backup(args::Backup { state: Some(_), .. })
            | Restore(args::Restore { state: Some(_), .. })
            | Completions { .. }
            | PluginHost { .. }
    )
}

/// Whether a command needs the daemon to see its own processes, or to have its state where this user has his.
fn is_bound_here(verb: &Verb) -> bool {
    use Verb::*;
    matches!(verb, Run(_) | Attach(_) | Hook(_) | Mcp(_) | Gate(_) | Backup(_) | Restore(_))
}
