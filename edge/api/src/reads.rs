//! What can be looked at without changing anything.
use crate::{
    House,
    denial::Denial,
    hall::{Caller, Hall},
    query,
    segment::Path,
};
use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use bursar_wire as wire;
use hyper::{
    StatusCode, Uri,
    header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue},
};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// A look at the house, never to be kept: it is older with every moment.
pub(crate) fn fresh(status: StatusCode, body: impl Serialize) -> Response {
    let mut response = (status, Json(body)).into_response();
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The same of what is written down as JSON already.
pub(crate) fn fresh_text(json: Vec<u8>) -> Response {
    let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
    (headers, json).into_response()
}

macro_rules! lists {
    ($($(#[$doc:meta])* $name:ident: $list:ident;)*) => {$(
        $(#[$doc])*
        pub(crate) async fn $name<H: House>(
            State(hall): State<Arc<Hall<H>>>,
            Extension(caller): Extension<Caller>,
            uri: Uri,
        ) -> Result<Response, Denial> {
            let page: wire::$list = query::page(&uri, || hall.house.$name(&caller.principal))?;
            Ok(fresh(StatusCode::OK, page))
        }
    )*};
}

/// Looks at what may be long where that keeps nobody else waiting: the front door's own thread goes on.
pub(crate) async fn at_length<T: Send + 'static>(
    look: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Denial> {
    tokio::task::spawn_blocking(look).await.map_err(|_| Denial::bug())
}

/// Every claim, alive or remembered.
pub(crate) async fn claims<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Response, Denial> {
    at_length(move || {
        let page: wire::Claims = query::page(&uri, || hall.house.claims(&caller.principal))?;
        Ok(fresh(StatusCode::OK, page))
    })
    .await?
}

lists! {
    /// Supplies.
    pools: Pools;
    /// Machines.
    nodes: Nodes;
    /// The demand tree.
    scopes: Scopes;
    /// Bounds.
    quotas: Quotas;
    /// Plugins, in use or not.
    plugins: Plugins;
    /// What holds work up.
    findings: Findings;
    /// Figures.
    metrics: Metrics;
    /// Who is trusted.
    keys: Keys;
    /// Who decides.
    strategies: Strategies;
}

/// Why a claim waits.
pub(crate) async fn explain<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
    Path(id): Path<String>,
) -> Result<Response, Denial> {
    let id = query::claim(&id)?;
    let explain = hall.house.explain(&caller.principal, id).ok_or_else(|| Denial::no_claim(id))?;
    Ok(fresh(StatusCode::OK, explain))
}

/// What works on this host and what does not.
pub(crate) async fn doctor<H: House>(
    State(hall): State<Arc<Hall<H>>>,
    Extension(caller): Extension<Caller>,
) -> Result<Response, Denial> {
    at_length(move || fresh(StatusCode::OK, hall.house.doctor(&caller.principal))).await
}

/// The process lives.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Alive {
    /// Always.
    alive: bool,
}

/// Claims are taken.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Ready {
    /// Always; who is not ready says so by its status.
    ready: bool,
}

/// The process lives.
pub(crate) async fn alive() -> Response {
    fresh(StatusCode::OK, Alive { alive: true })
}

/// Claims are taken.
pub(crate) async fn ready<H: House>(State(hall): State<Arc<Hall<H>>>) -> Response {
    // What came in before the door closed is still answered.
    if hall.is_closing() {
        return Denial::closing_time().into_response();
    }
    match hall.house.ready() {
        Ok(()) => fresh(StatusCode::OK, Ready { ready: true }),
        Err(refusal) => Denial::unready(refusal).into_response(),
    }
}
