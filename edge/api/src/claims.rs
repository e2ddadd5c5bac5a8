//! Asking for a claim, and looking at one: both may wait.
use crate::{
    House,
    denial::Denial,
    hall::{Caller, Hall},
    json, query,
    reads::fresh,
    segment::Path,
    verbs::{enforced, own_process},
    waiters::Waiter,
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use bursar_interface::{Ask, ClaimId, Command, Fence, Principal, Process, Reason, Refusal};
use bursar_wire as wire;
use hyper::{StatusCode, Uri};
use std::sync::Arc;
use tokio::time::timeout;

/// Asks, and answers when the claim is decided; at once where the asker detaches. An asker who leaves
/// while waiting takes the claim along.
pub(crate) async fn ask<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Denial> {
    let key = query::key(request.headers())?;
    let mut body: wire::AskBody = json::body(request, hall.limits.body).await?;
    body.key = key.or(body.key);
    let detach = body.detach;
    let claim = asked(&hall, &caller, body).await?;
    let waits = detach && claim.phase == wire::PENDING;
    let status = if waits { StatusCode::ACCEPTED } else { StatusCode::CREATED };
    Ok(fresh(status, wire::ClaimAnswer { claim }))
}

/// The claim that somebody asked for, once it is decided, or as it is where the asker detaches.
pub(crate) async fn asked<H: House>(
    hall: &Arc<Hall<H>>,
    caller: &Caller,
    body: wire::AskBody,
) -> Result<wire::Claim, Denial> {
    let (detach, stays, pid) = (body.detach, body.stays, body.pid);
    if stays && !detach {
        return Err(Denial::bad("stays: only the claim of one who detaches does".into())
            .hint("set detach as well, or leave stays out"));
    }
    if detach && pid.is_some() {
        return Err(Denial::bad("pid: whoever detaches attaches a process when the claim is granted".into()));
    }
    let process = pid.map(|pid| own_process(&*hall.house, &caller.peer, pid)).transpose()?;
    let ask: Ask = body.try_into()?;
    if detach {
        let waiter = hall.waiters.ask(caller.principal.clone(), ask, None).await?;
        if stays {
            waiter.stays();
        }
        return detached(hall, &caller.principal, waiter).await;
    }
    let waiter = hall.waiters.ask(caller.principal.clone(), ask.clone(), process.clone()).await?;
    let decided = decided(hall, caller, waiter, process).await;
    decided.map_err(|denial| match denial.wants() {
        true => denial.offering(hall.house.counter_offer(&caller.principal, &ask)),
        false => denial,
    })
}

async fn detached<H: House>(
    hall: &Hall<H>,
    by: &Principal,
    waiter: Waiter<H>,
) -> Result<wire::Claim, Denial> {
    let claim = seen(hall, by, waiter.claim)?;
    if claim.ending.as_deref() == Some(wire::DEADLOCK) {
        hall.house.decided(by, waiter.claim).await?;
    }
    if claim.phase == wire::PENDING {
        hall.house.stay(&[waiter.claim]);
    }
    waiter.answered();
    Ok(claim)
}

async fn decided<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    waiter: Waiter<H>,
    process: Option<Process>,
) -> Result<wire::Claim, Denial> {
    tokio::select! {
        // What is decided already is told even at closing time.
        biased;
        decided = hall.house.decided(&caller.principal, waiter.claim) => {
            let (claim, mut told) = (waiter.claim, decided.map_err(Denial::from));
            if let (Ok(()), Some(process)) = (&told, process) {
                told = joined(hall, caller, &waiter, process).await;
            }
            let claim = told.and_then(|()| seen(hall, &caller.principal, claim));
            waiter.answered();
            claim
        }
        () = hall.closing() => {
            waiter.sent_away().await;
            Err(Denial::closing_time())
        }
    }
}

/// Has the process of a claim that was granted live inside the lease, and waits until it does. Where it cannot,
/// the claim tells: it was granted all the same, and its holder is to know its fence.
async fn joined<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    waiter: &Waiter<H>,
    process: Process,
) -> Result<(), Denial> {
    let (claim, bodies) = (waiter.claim, hall.house.bodies(waiter.claim));
    if !bodies.contains(&process) {
        if !bodies.is_empty() || !waiter.is_to_join(&process) {
            return Err(carried_out_already(claim));
        }
        let fence = seen(hall, &caller.principal, claim)?.fence.unwrap_or_default();
        let attach = Command::Attach { claim, fence: Fence(fence), process };
        // Refused only if the lease has ended meanwhile.
        if hall.house.submit(caller.principal.clone(), attach).await.is_err() {
            return Ok(());
        }
    }
    enforced(hall, claim).await
}

/// The same key was used twice at once, each time for another process.
fn carried_out_already(claim: ClaimId) -> Denial {
    Denial::from(
        Refusal::new(Reason::InUse, format!("what this key asked for runs already (claim {claim})"))
            .hint("use another key for another command; `bursar get claims` tells when this one has ended"),
    )
}

/// One claim; with `?wait=30s` not before it is decided or the time is over; with `&taking=none` not before
/// something else is being taken back of its lease than nothing, with `&pressed=none` not before it feels something of
/// memory that runs short, or the lease has ended.
pub(crate) async fn look<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    uri: Uri,
) -> Result<Response, Denial> {
    let id = query::claim(&id)?;
    // Whoever may not see the claim is not to learn of it by waiting.
    seen(&hall, &caller.principal, id)?;
    let (wait, known) = query::watch(&uri)?;
    match (wait, known) {
        (None, _) => {}
        (Some(wait), None) => tokio::select! {
            biased;
            // Decided or not: the claim tells.
            _ = timeout(wait, hall.house.decided(&caller.principal, id)) => {}
            () = hall.closing() => return Err(Denial::closing_time()),
        },
        (Some(wait), Some(known)) => {
            // Those who watch hold their connections for long: there is to be room for all others.
            let Ok(_seat) = hall.watching.try_acquire() else {
                return Err(Denial::busy("too many watch what is taken from them".into())
                    .hint("look again from time to time, or renew: the answer tells as well"));
            };
            tokio::select! {
                biased;
                _ = timeout(wait, hall.house.taken_otherwise(id, &known)) => {}
                () = hall.closing() => return Err(Denial::closing_time()),
            }
        }
    }
    let claim = hall.house.placed(&caller.principal, id).ok_or_else(|| Denial::no_claim(id))?;
    Ok(fresh(StatusCode::OK, wire::ClaimAnswer { claim }))
}

/// A claim as the caller may see it.
pub(crate) fn seen<H: House>(hall: &Hall<H>, by: &Principal, id: ClaimId) -> Result<wire::Claim, Denial> {
    hall.house.claim(by, id).ok_or_else(|| Denial::no_claim(id))
}
