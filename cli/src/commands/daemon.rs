//! `bursar serve`: the options of the daemon, and where it logs.
use super::{
    Context, autostart,
    outcome::{Failed, Outcome},
    state_dir,
};
use crate::{
    args::Serve,
    serve::{self, Layers, Options},
    spoken::Spoken,
};
use std::{io::IsTerminal, path::Path};
use tracing_subscriber::EnvFilter;

/// How it begins what the daemon says of a key that is wrong.
const OF_CONFIG: &str = "config: ";

/// `bursar serve`.
pub fn serve(context: &Context, serve: &Serve) -> Outcome {
    log();
    let idle = serve.idle_exit.as_deref().map(bursar_wire::duration).transpose().map_err(Failed::usage)?;
    let layers = Layers::of_daemon(serve).map_err(|error| Failed::usage(format!("{error:#}")))?;
    if let Some(file) = layers.file() {
        tracing::info!(file = %file.display(), "config");
    }
    let settings = layers.settings;
    let state = match &serve.state {
        // What is told of it to those who live in leases holds wherever they go.
        Some(state) => {
            std::path::absolute(state).map_err(|error| Failed::usage(format!("--state: {error}")))?
        }
        None => state_dir()?,
    };
    named_in_text(&state)?;
    let socket = context.socket.path.clone();
    let usual = autostart::usual_state(&socket).ok();
    let accept_loss = serve.accept_loss;
    let done = serve::run(Options { settings, state: state.clone(), usual, socket, accept_loss, idle });
    done.map_err(|error| {
        let journal = error.is::<bursar_journal::Error>();
        let told = format!("{error:#}");
        // What is wrong in the config is wrong in what was said, as it is for `bursar config show` and `bursar gate`.
        let failed = if told.starts_with(OF_CONFIG) { Failed::usage(told) } else { Failed::from(error) };
        match journal {
            true => failed.hint(format!(
                "`bursar doctor --journal {}` looks at the whole of it and changes nothing",
                state.display()
            )),
            false => failed,
        }
    })
}

/// Refuses a state whose scratch folders would be made elsewhere: where they lie is told to leases, as text.
fn named_in_text(state: &Path) -> Outcome {
    let lies = state.ancestors().find_map(|there| there.canonicalize().ok());
    if state.to_str().is_some() && lies.is_none_or(|there| there.to_str().is_some()) {
        return Ok(());
    }
    let message = format!("{}: the path of a state directory has to be UTF-8", state.display());
    Err(Failed::usage(message).hint("name another; it may be moved as long as its daemon is away"))
}

/// Logs to standard error, as much as `BURSAR_LOG` says.
pub fn log() {
    // What rmcp calls an error is an agent that left in the middle of its call, and that is seen to elsewhere.
    let filter = EnvFilter::try_from_env("BURSAR_LOG").unwrap_or_else(|_| EnvFilter::new("info,rmcp=off"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(
            std::io::stderr().is_terminal()
                && std::env::var_os("NO_COLOR").is_none_or(|word| word.is_empty()),
        )
        .with_writer(std::io::stderr)
        // What cannot be logged would be said on standard error, and a full disk there would end the thread.
        .log_internal_errors(false)
        .event_format(Spoken(tracing_subscriber::fmt::format()))
        .init();
}
