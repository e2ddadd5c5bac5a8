//! `bursar mcp`: the tools that agents see, over standard input and output.
use super::{
    Context, autostart,
    outcome::{Failed, Outcome},
};
use crate::args::Mcp;
use bursar_mcp::{Remote, Server, limits::HOLD_MAX};
use bursar_tenant::say;

/// `bursar mcp`: serves until the agent closes its end.
pub fn mcp(context: &Context, mcp: &Mcp) -> Outcome {
    let hold = mcp.hold.as_deref().map_or(Ok(HOLD_MAX), bursar_wire::duration).map_err(Failed::usage)?;
    // An agent that starts before its daemon is told so by each call until there is one.
    if let Err(failed) = autostart::reach(context, mcp.no_autostart) {
        say(&failed.error);
    }
    let server = Server::new(Remote::new(&context.socket.path)).holding(hold).pacing(mcp.refusals);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let served = runtime.block_on(bursar_mcp::stdio(server));
    // Standard input is read by a thread that may be waiting for more: it is not waited for.
    runtime.shutdown_background();
    Ok(served?)
}
