//! What operators set: pools, scopes, bounds and nodes, one by one or many at one moment.
use crate::{
    House,
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
use bursar_interface::Setting;
use bursar_wire as wire;
use hyper::StatusCode;
use std::sync::Arc;
use tokio::time::timeout;

type At<H> = State<Arc<Hall<H>>>;

/// All of it, or none of it.
pub(crate) async fn apply<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Denial> {
    let body: wire::ApplyBody = json::body_of(request, hall.limits.body, wire::APPLIED_MAX).await?;
    set(&hall, &caller, body.settings()?, body.dry_run).await
}

/// A supply.
pub(crate) async fn pool<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path((resource, name)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Denial> {
    let body: wire::PoolBody = json::body(request, hall.limits.body).await?;
    let named = [("resource", &body.resource, &resource), ("name", &body.name, &name)];
    same(&named)?;
    let body = wire::PoolBody { resource, name, ..body };
    set(&hall, &caller, vec![body.setting()?], false).await
}

/// A floating supply goes.
pub(crate) async fn no_pool<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path((resource, name)): Path<(String, String)>,
) -> Result<Response, Denial> {
    set(&hall, &caller, vec![Setting::RemovePool { resource, node: None, name }], false).await
}

/// A bound of the root goes.
pub(crate) async fn no_root_quota<H: House>(
    hall: At<H>,
    caller: Extension<Caller>,
    Path(resource): Path<String>,
) -> Result<Response, Denial> {
    no_quota(hall, caller, Path((resource, String::new()))).await
}

/// A bound of a scope goes.
pub(crate) async fn no_quota<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path((resource, scope)): Path<(String, String)>,
) -> Result<Response, Denial> {
    set(&hall, &caller, vec![Setting::RemoveQuota { scope, resource }], false).await
}

/// A scope's weight.
pub(crate) async fn scope<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(path): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let body: wire::ScopeBody = json::body(request, hall.limits.body).await?;
    same(&[("path", &body.path, &path)])?;
    let body = wire::ScopeBody { path, ..body };
    set(&hall, &caller, vec![Setting::Scope((&body).into())], false).await
}

/// A bound of the root.
pub(crate) async fn root_quota<H: House>(
    hall: At<H>,
    caller: Extension<Caller>,
    Path(resource): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    quota(hall, caller, Path((resource, String::new())), request).await
}

/// A bound of a scope.
pub(crate) async fn quota<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path((resource, scope)): Path<(String, String)>,
    request: Request,
) -> Result<Response, Denial> {
    let body: wire::QuotaBody = json::body(request, hall.limits.body).await?;
    same(&[("resource", &body.resource, &resource), ("scope", &body.scope, &scope)])?;
    let body = wire::QuotaBody { resource, scope, ..body };
    set(&hall, &caller, vec![body.setting()?], false).await
}

/// Opens a node or closes it; with `?wait=30s` the answer comes when nobody is on it any more.
pub(crate) async fn node<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(name): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let wait = query::wait(request.uri())?;
    let body: wire::NodeBody = json::body(request, hall.limits.body).await?;
    let setting = body.setting(name.clone())?;
    hall.house.apply(caller.principal.clone(), vec![setting], false).await?;
    if let Some(wait) = wait {
        tokio::select! {
            biased;
            _ = timeout(wait, hall.house.emptied(&name)) => {}
            // What was said is durable: the answer is as true as without waiting.
            () = hall.closing() => {}
        }
    }
    let node = hall.house.nodes(&caller.principal).into_iter().find(|node| node.id == name);
    node.map(|node| fresh(StatusCode::OK, wire::NodeAnswer { node })).ok_or_else(Denial::bug)
}

async fn set<H: House>(
    hall: &Hall<H>,
    caller: &Caller,
    settings: Vec<Setting>,
    dry_run: bool,
) -> Result<Response, Denial> {
    if settings.is_empty() {
        return Err(Denial::bad("there is nothing to set".into()).hint("name pools, scopes or quotas"));
    }
    let outcomes = hall.house.apply(caller.principal.clone(), settings.clone(), dry_run).await?;
    let changes =
        settings.iter().zip(outcomes).map(|(setting, outcome)| wire::ChangeRow::of(setting, outcome));
    Ok(fresh(StatusCode::OK, wire::ChangesAnswer { changes: changes.collect(), dry_run }))
}

/// What the body names, if it does, is what the path names.
fn same(named: &[(&str, &String, &String)]) -> Result<(), Denial> {
    match named.iter().find(|(_, body, path)| !body.is_empty() && body != path) {
        Some((key, body, path)) => {
            Err(Denial::bad(format!("{key}: the body says {body:?}, and the path {path:?}"))
                .hint("leave it out of the body"))
        }
        None => Ok(()),
    }
}
