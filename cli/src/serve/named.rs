//! The process that somebody names by its pid, and whether it may live in a lease.
use bursar_api::Peer;
use bursar_enforce::{exempt, see, told_by};
use bursar_interface::{Process, Reason, Refusal};

/// The process that a peer calls `pid`; refuses what no lease can own. Without a pid of its own the peer came over TCP,
/// and means what the daemon sees. Whoever needed a daemon and so started it may live in a lease of its own.
pub fn process(peer: &Peer, pid: u32, autostarted: bool) -> Result<Process, Refusal> {
    let here = match peer.pid {
        Some(teller) => told_by(teller, pid),
        None => (!peer.unseen).then_some(pid),
    };
    let here = here.ok_or_else(|| {
        let message =
            format!("pid: which process {pid} is cannot be told from outside of your pid namespace");
        Refusal::new(Reason::BadRequest, message)
            .hint("name a process of your own namespace that runs, or run where the daemon does")
    })?;
    let seen = see(here).ok().flatten().ok_or_else(|| {
        Refusal::new(Reason::BadRequest, format!("there is no process {pid}"))
            .hint("attach a process that runs")
    })?;
    match exempt(&seen, autostarted) {
        None => Ok(seen.process),
        Some(why) => {
            let message = format!("pid: process {here} can live in no lease: {why}");
            Err(Refusal::new(Reason::BadRequest, message).hint("attach a process that you started"))
        }
    }
}
