//! What the holder of a lease asks of its size: to hold more, or to give some of it back.
use crate::{
    House,
    denial::Denial,
    hall::{Caller, Hall},
    json, query,
    segment::Path,
    verbs::{answer, submit},
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use bursar_interface::{ClaimId, Command, Fence, Size};
use bursar_wire as wire;
use std::sync::Arc;
use tokio::time::timeout;

/// The holder wants to hold more: granted or refused at once, and true when it is answered.
pub(crate) async fn extend<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    resize(&hall, &caller, &id, request, |claim, fence, to| Command::Extend { claim, fence, to }).await
}

/// The holder gives some of it back: free when it is answered, or refused because it is in use.
pub(crate) async fn shrink<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    resize(&hall, &caller, &id, request, |claim, fence, to| Command::Shrink { claim, fence, to }).await
}

async fn resize<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    id: &str,
    request: Request,
    command: fn(ClaimId, Fence, Vec<Size>) -> Command,
) -> Result<Response, Denial> {
    let claim = query::claim(id)?;
    let body: wire::ResizeBody = json::body(request, hall.limits.body).await?;
    submit(hall, caller, command(claim, body.fence, wire::sizes(&body.lines)?)).await?;
    tokio::select! {
        biased;
        // An edge that takes too long goes on with it: the claim's lines tell.
        resized = timeout(hall.limits.enforce, hall.house.resized(claim)) => resized.unwrap_or(Ok(()))?,
        () = hall.closing() => return Err(Denial::closing_time()),
    }
    answer(hall, caller, claim)
}
