//! `bursar gate`: the proxy between agents and model providers.
use super::{
    Context, autostart, daemon, make_private,
    outcome::{Failed, Outcome},
    state_dir,
};
use crate::{
    args::{self, Gate},
    serve::Layers,
};
use bursar_tenant::say;
use std::path::PathBuf;
use tokio::signal::unix::{SignalKind, signal};

/// `bursar gate`: serves until it is told to end.
pub fn gate(context: &Context, gate: &Gate) -> Outcome {
    daemon::log();
    let layers = Layers::read(Some(&gate.config)).map_err(|error| Failed::usage(format!("{error:#}")))?;
    let settings = layers.settings;
    let mut config = settings.gate.ok_or_else(|| {
        Failed::usage("there is no table [gate] in the config")
            .hint("name a provider as [[gate.provider]] and what its models cost as [[gate.model]]")
            .of_file(&gate.config)
    })?;
    if let Some(listen) = &gate.listen {
        config.listen.clone_from(listen);
    }
    match gate.fail {
        Some(args::Fail::Open) => config.fail = bursar_gate::Fail::Open,
        Some(args::Fail::Closed) => config.fail = bursar_gate::Fail::Closed,
        None => {}
    }
    // Without a daemon calls pass or do not, as the config says.
    if let Err(failed) = autostart::reach(context, gate.no_autostart) {
        say(&failed.error);
    }
    let record = record(context, &config.listen)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        let opened = bursar_gate::open(&config, &context.socket.path, gate.far, Some(&record)).await;
        let door = opened.map_err(|error| match error {
            bursar_gate::Error::Config(_) => Failed::usage(error.to_string()).of_file(&gate.config),
            error => anyhow::Error::from(error).into(),
        })?;
        let mut term = signal(SignalKind::terminate())?;
        // For whoever let the system choose the port.
        println!("{}", door.address);
        tracing::info!(address = %door.address, "the gate is open");
        door.serve(async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        })
        .await;
        Ok(())
    })
}

/// Where a gate writes down what it has cut: beside a socket of one's own, else among the user's state.
fn record(context: &Context, listen: &str) -> Result<PathBuf, Failed> {
    // One for each gate: the address is what tells them apart.
    let name: String = listen.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if context.socket.named {
        return Ok(context.socket.path.with_extension(format!("gate-{name}.json")));
    }
    let folder = state_dir()?;
    make_private(&folder).map_err(|error| anyhow::anyhow!("{}: {error}", folder.display()))?;
    Ok(folder.join(format!("gate-{name}.json")))
}
