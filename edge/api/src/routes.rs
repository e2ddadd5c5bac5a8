//! Which path leads where.
use crate::{
    House, batch, claims, denial::Denial, events, hall::Hall, plugins, reads, resize, settings, verbs,
};
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{get, post, put},
};
use hyper::StatusCode;
use std::sync::Arc;

/// Every path of the contract, and a clear answer for the rest.
pub(crate) fn router<H: House>(hall: Arc<Hall<H>>) -> Router {
    Router::new()
        .route("/v1/claims", get(reads::claims::<H>).post(claims::ask::<H>))
        .route("/v1/claims/{id}", get(claims::look::<H>))
        .route("/v1/claims/{id}/explain", get(reads::explain::<H>))
        .route("/v1/claims/{id}/renew", post(verbs::renew::<H>))
        .route("/v1/claims/{id}/settle", post(verbs::settle::<H>))
        .route("/v1/claims/{id}/release", post(verbs::release::<H>))
        .route("/v1/claims/{id}/cancel", post(verbs::cancel::<H>))
        .route("/v1/claims/{id}/attach", post(verbs::attach::<H>))
        .route("/v1/claims/{id}/extend", post(resize::extend::<H>))
        .route("/v1/claims/{id}/shrink", post(resize::shrink::<H>))
        .route("/v1/batch", post(batch::batch::<H>))
        .route("/v1/pools", get(reads::pools::<H>))
        .route("/v1/nodes", get(reads::nodes::<H>))
        .route("/v1/scopes", get(reads::scopes::<H>))
        .route("/v1/quotas", get(reads::quotas::<H>))
        .route("/v1/apply", post(settings::apply::<H>))
        .route("/v1/pools/{resource}/{*name}", put(settings::pool::<H>).delete(settings::no_pool::<H>))
        .route("/v1/nodes/{name}", put(settings::node::<H>))
        .route("/v1/scopes/{*path}", put(settings::scope::<H>))
        .route("/v1/quotas/{resource}", put(settings::root_quota::<H>).delete(settings::no_root_quota::<H>))
        .route("/v1/quotas/{resource}/{*scope}", put(settings::quota::<H>).delete(settings::no_quota::<H>))
        .route("/v1/plugins", get(reads::plugins::<H>).post(plugins::order::<H>))
        .route("/v1/findings", get(reads::findings::<H>))
        .route("/v1/metrics", get(reads::metrics::<H>))
        .route("/v1/keys", get(reads::keys::<H>))
        .route("/v1/strategies", get(reads::strategies::<H>))
        .route("/v1/strategies/{role}", put(plugins::choose::<H>))
        .route("/v1/strategies/{role}/rollback", post(plugins::roll_back::<H>))
        .route("/v1/doctor", get(reads::doctor::<H>))
        .route("/v1/events", get(events::events::<H>))
        .route("/healthz", get(reads::alive))
        .route("/readyz", get(reads::ready::<H>))
        .fallback(nowhere)
        .method_not_allowed_fallback(not_so)
        .with_state(hall)
}

async fn nowhere(request: Request) -> Response {
    let message = format!("there is nothing at {}", request.uri().path());
    Denial::of(StatusCode::NOT_FOUND, message).hint("paths begin with /v1/").into_response()
}

async fn not_so(request: Request) -> Response {
    let message = format!("{} is not done to {}", request.method(), request.uri().path());
    Denial::of(StatusCode::METHOD_NOT_ALLOWED, message).hint("see the Allow header").into_response()
}
