//! What holders and operators do to a claim that is there, and to the installation.
use crate::{
    House, Peer,
    claims::seen,
    denial::Denial,
    hall::{Caller, Hall},
    json, query,
    reads::fresh,
    segment::Path,
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use bursar_interface::{ClaimId, Command, Fence, Process, Reason, Refusal};
use bursar_wire as wire;
use hyper::StatusCode;
use std::{fs::read_to_string, sync::Arc};
use tokio::time::timeout;

type At<H> = State<Arc<Hall<H>>>;

/// The holder wants more time.
pub(crate) async fn renew<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let claim = query::claim(&id)?;
    let body: wire::RenewBody = json::body(request, hall.limits.body).await?;
    let ttl_ns = body.ttl_ns()?;
    carry_out(&hall, &caller, claim, Command::Renew { claim, fence: body.fence, ttl_ns }).await
}

/// What was used, as measured.
pub(crate) async fn settle<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let claim = query::claim(&id)?;
    let body: wire::SettleBody = json::body(request, hall.limits.body).await?;
    let used = body.used()?;
    carry_out(&hall, &caller, claim, Command::Settle { claim, fence: body.fence, used }).await
}

/// The holder gives it back; with `?wait=10s` the answer comes when all of it is free.
pub(crate) async fn release<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let claim = query::claim(&id)?;
    let wait = query::wait(request.uri())?;
    let body: wire::FenceBody = json::body(request, hall.limits.body).await?;
    submit(&hall, &caller, Command::Release { claim, fence: body.fence }).await?;
    gone(&hall, &caller, claim, wait).await
}

/// The claim of a lease that its holder gave back.
pub(crate) async fn released<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    claim: ClaimId,
    fence: Fence,
) -> Result<wire::Claim, Denial> {
    submit(hall, caller, Command::Release { claim, fence }).await?;
    seen(hall, &caller.principal, claim)
}

/// Ends a claim, whoever holds it; `?wait` as for a release. There is nothing to say in the body.
pub(crate) async fn cancel<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let claim = query::claim(&id)?;
    let wait = query::wait(request.uri())?;
    json::nothing(request, hall.limits.body).await?;
    submit(&hall, &caller, Command::Cancel { claim }).await?;
    gone(&hall, &caller, claim, wait).await
}

/// A process of the caller's is to live inside the lease; the answer comes when it does.
pub(crate) async fn attach<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let claim = query::claim(&id)?;
    let body: wire::AttachBody = json::body(request, hall.limits.body).await?;
    // Of a claim that is not there nothing else is told.
    seen(&hall, &caller.principal, claim)?;
    let process = own_process(&*hall.house, &caller.peer, body.pid)?;
    submit(&hall, &caller, Command::Attach { claim, fence: body.fence, process }).await?;
    enforced(&hall, claim).await?;
    answer(&hall, &caller, claim)
}

/// Waits until all that was attached lives inside; whether it does is told by the claim.
pub(crate) async fn enforced<H: House>(hall: &Hall<H>, claim: ClaimId) -> Result<(), Denial> {
    tokio::select! {
        biased;
        _ = timeout(hall.limits.enforce, hall.house.enforced(claim)) => Ok(()),
        () = hall.closing() => Err(Denial::closing_time()),
    }
}

pub(crate) async fn submit<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    command: Command,
) -> Result<(), Denial> {
    hall.house.submit(caller.principal.clone(), command).await.map(drop).map_err(Denial::from)
}

async fn carry_out<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    claim: ClaimId,
    command: Command,
) -> Result<Response, Denial> {
    submit(hall, caller, command).await?;
    answer(hall, caller, claim)
}

/// Answers when a claim is gone or the time is over, whichever is first.
async fn gone<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    claim: ClaimId,
    wait: Option<std::time::Duration>,
) -> Result<Response, Denial> {
    if let Some(wait) = wait {
        tokio::select! {
            biased;
            _ = timeout(wait, hall.house.closed(claim)) => {}
            // The command is durable: the answer is as true as without waiting.
            () = hall.closing() => {}
        }
    }
    answer(hall, caller, claim)
}

pub(crate) fn answer<H: House>(hall: &Hall<H>, caller: &Caller, claim: ClaimId) -> Result<Response, Denial> {
    Ok(fresh(StatusCode::OK, wire::ClaimAnswer { claim: seen(hall, &caller.principal, claim)? }))
}

/// A process by identity, if the caller may dispose of it: its own user's, or any for root. Some can live in no lease.
pub(crate) fn own_process<H: House>(house: &H, peer: &Peer, pid: u32) -> Result<Process, Refusal> {
    let process = house.identify(peer, pid)?;
    if peer.uid != 0 {
        let allowed = owner(process.pid) == Some(peer.uid);
        // The pid may have passed to another process between the two looks.
        if !allowed || house.identify(peer, pid)? != process {
            return Err(Refusal::new(Reason::Forbidden, format!("process {pid} is not yours"))
                .hint("attach processes of your own user"));
        }
    }
    Ok(process)
}

/// The real user of a process; `None` if it is gone.
fn owner(pid: u32) -> Option<u32> {
    let status = read_to_string(format!("/proc/{pid}/status")).ok()?;
    let uids = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    uids.split_whitespace().next()?.parse().ok()
}
