//! Which path leads where, and what is said of it: the one table of the contract.
use crate::{
    House, audit, batch, claims,
    contract::{Route, Says, at, says},
    denial::Denial,
    events,
    hall::Hall,
    openapi, plugins, reads, resize, settings, verbs,
};
use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
};
use bursar_wire as wire;
use hyper::{Method, StatusCode};
use std::sync::Arc;

/// Every path of the contract, and a clear answer for the rest.
pub(crate) fn router<H: House>(hall: Arc<Hall<H>>) -> Router {
    let router = table().into_iter().fold(Router::new(), |router, route| route.onto(router, &hall));
    router.fallback(nowhere).method_not_allowed_fallback(not_so).with_state(hall)
}

/// Every operation of the contract.
pub(crate) fn table<H: House>() -> Vec<Route<H>> {
    [asks(), leases(), lists(), pools_and_scopes(), quotas_and_nodes(), strategies(), house()]
        .into_iter()
        .flatten()
        .collect()
}

const GET: Method = Method::GET;
const POST: Method = Method::POST;
const PUT: Method = Method::PUT;
const DELETE: Method = Method::DELETE;

fn asks<H: House>() -> Vec<Route<H>> {
    let all = says("listClaims", "Every claim, alive or remembered.").lists::<wire::Claims>();
    let ask =
        says("ask", "Asks for a lease, and answers when it is decided: granted, or refused with a reason.");
    let ask = ask.keyed().takes::<wire::AskBody>().answers_with::<wire::ClaimAnswer>(&[201, 202]);
    let look =
        about("getClaim", "One claim; with `wait` not before it is decided or the time is over.").waits();
    let taking = "With `wait`: not before something else than this is being taken back of the lease.";
    let look = look.query("taking", taking, serde_json::json!({ "type": "string", "enum": wire::TAKING }));
    let pressed =
        "With `wait`: not before the lease feels something else of memory that runs short than this.";
    let look = look.query("pressed", pressed, serde_json::json!({ "type": "string", "enum": wire::PRESSED }));
    let explain =
        says("explain", "Why a claim waits, who holds what it waits for, and what would be granted now.");
    let batch = says(
        "batch",
        "Carries operations out at one moment; one that is refused holds up none of the others.",
    );
    let batch = batch.takes::<wire::BatchBody>().answers::<wire::BatchAnswer>();
    vec![
        at(GET, "/v1/claims", reads::claims::<H>, all),
        at(POST, "/v1/claims", claims::ask::<H>, ask),
        at(GET, "/v1/claims/{id}", claims::look::<H>, look),
        at(GET, "/v1/claims/{id}/explain", reads::explain::<H>, explain.answers::<wire::Explain>()),
        at(POST, "/v1/batch", batch::batch::<H>, batch),
    ]
}

/// What is done to a claim answers with it.
fn about(id: &'static str, summary: &'static str) -> Says {
    says(id, summary).answers::<wire::ClaimAnswer>()
}

fn leases<H: House>() -> Vec<Route<H>> {
    let renew = about("renew", "The holder wants more time.").takes::<wire::RenewBody>();
    let settle = about("settle", "What was used, as measured.").takes::<wire::SettleBody>();
    let release = about(
        "release",
        "The holder gives a lease back; with `wait` the answer comes when all of it is free.",
    );
    let cancel = about(
        "cancel",
        "Ends a claim, whoever holds it; with `wait` the answer comes when all of it is free.",
    );
    let attach = about(
        "attach",
        "A process of the caller's is to live inside the lease; the answer comes when it does.",
    );
    let extend = about("extend", "Holds more in the same lease: granted or refused at once.");
    let shrink = about("shrink", "Gives some of a lease back.");
    vec![
        at(POST, "/v1/claims/{id}/renew", verbs::renew::<H>, renew),
        at(POST, "/v1/claims/{id}/settle", verbs::settle::<H>, settle),
        at(POST, "/v1/claims/{id}/release", verbs::release::<H>, release.waits().takes::<wire::FenceBody>()),
        at(POST, "/v1/claims/{id}/cancel", verbs::cancel::<H>, cancel.waits()),
        at(POST, "/v1/claims/{id}/attach", verbs::attach::<H>, attach.takes::<wire::AttachBody>()),
        at(POST, "/v1/claims/{id}/extend", resize::extend::<H>, extend.takes::<wire::ResizeBody>()),
        at(POST, "/v1/claims/{id}/shrink", resize::shrink::<H>, shrink.takes::<wire::ResizeBody>()),
    ]
}

fn lists<H: House>() -> Vec<Route<H>> {
    let events =
        says("listEvents", "What happened, page by page; as a stream for who accepts `text/event-stream`.");
    let log = says(
        "listAudit",
        "What those who administer did or tried; others see what was tried in their own scope.",
    );
    vec![
        at(GET, "/v1/pools", reads::pools::<H>, says("listPools", "Supplies.").lists::<wire::Pools>()),
        at(GET, "/v1/nodes", reads::nodes::<H>, says("listNodes", "Machines.").lists::<wire::Nodes>()),
        at(
            GET,
            "/v1/scopes",
            reads::scopes::<H>,
            says("listScopes", "The demand tree.").lists::<wire::Scopes>(),
        ),
        at(GET, "/v1/quotas", reads::quotas::<H>, says("listQuotas", "Bounds.").lists::<wire::Quotas>()),
        at(
            GET,
            "/v1/plugins",
            reads::plugins::<H>,
            says("listPlugins", "Plugins, in use or not.").lists::<wire::Plugins>(),
        ),
        at(
            GET,
            "/v1/findings",
            reads::findings::<H>,
            says("listFindings", "What holds work up.").lists::<wire::Findings>(),
        ),
        at(
            GET,
            "/v1/metrics",
            reads::metrics::<H>,
            says("listMetrics", "What metrics measured last, and what plugins count of themselves.")
                .lists::<wire::Metrics>(),
        ),
        at(
            GET,
            "/v1/keys",
            reads::keys::<H>,
            says("listKeys", "Keys whose signature makes a library trusted.").lists::<wire::Keys>(),
        ),
        at(
            GET,
            "/v1/strategies",
            reads::strategies::<H>,
            says("listStrategies", "Who decides.").lists::<wire::Strategies>(),
        ),
        at(GET, "/v1/events", events::events::<H>, events.since().streams().answers::<wire::Events>()),
        at(GET, "/v1/audit", audit::audit::<H>, log.since().answers::<wire::AuditLog>()),
    ]
}

/// What operators set answers with what came of it.
fn sets(id: &'static str, summary: &'static str) -> Says {
    says(id, summary).answers::<wire::ChangesAnswer>()
}

fn pools_and_scopes<H: House>() -> Vec<Route<H>> {
    let all = sets("apply", "Sets all of it at one moment, or none of it.").takes::<wire::ApplyBody>();
    let pool = sets("setPool", "Sets a supply. What is not said stays as it is.").takes::<wire::PoolBody>();
    let scope = sets("setScope", "Sets a scope's weight.").takes::<wire::ScopeBody>();
    let path = "/v1/pools/{resource}/{*name}";
    vec![
        at(POST, "/v1/apply", settings::apply::<H>, all),
        at(PUT, path, settings::pool::<H>, pool),
        at(
            DELETE,
            path,
            settings::no_pool::<H>,
            sets("removePool", "A floating supply goes, once nobody has any of it."),
        ),
        at(PUT, "/v1/scopes/{*path}", settings::scope::<H>, scope),
    ]
}

fn quotas_and_nodes<H: House>() -> Vec<Route<H>> {
    let quota = |id, summary| sets(id, summary).takes::<wire::QuotaBody>();
    let node = says(
        "setNode",
        "Opens a node or closes it; with `wait` the answer comes when nobody is on it any more.",
    );
    let (root, scope) = ("/v1/quotas/{resource}", "/v1/quotas/{resource}/{*scope}");
    vec![
        at(
            PUT,
            root,
            settings::root_quota::<H>,
            quota("setRootQuota", "Sets a bound of the root. What is not said stays as it is."),
        ),
        at(DELETE, root, settings::no_root_quota::<H>, sets("removeRootQuota", "A bound of the root goes.")),
        at(
            PUT,
            scope,
            settings::quota::<H>,
            quota("setQuota", "Sets a bound of a scope. What is not said stays as it is."),
        ),
        at(DELETE, scope, settings::no_quota::<H>, sets("removeQuota", "A bound of a scope goes.")),
        at(
            PUT,
            "/v1/nodes/{name}",
            settings::node::<H>,
            node.waits().takes::<wire::NodeBody>().answers::<wire::NodeAnswer>(),
        ),
    ]
}

fn strategies<H: House>() -> Vec<Route<H>> {
    let order = says("orderPlugins", "An operator's order about plugins or about whom to trust.");
    let choose = says("useStrategy", "Another plugin decides from here on.").takes::<wire::StrategyBody>();
    let back = says("rollBackStrategy", "Whoever decided before decides again, that very version.");
    vec![
        at(
            POST,
            "/v1/plugins",
            plugins::order::<H>,
            order.takes::<wire::PluginOrder>().answers::<wire::Plugins>(),
        ),
        at(PUT, "/v1/strategies/{role}", plugins::choose::<H>, choose.answers::<wire::Strategies>()),
        at(
            POST,
            "/v1/strategies/{role}/rollback",
            plugins::roll_back::<H>,
            back.answers::<wire::Strategies>(),
        ),
    ]
}

fn house<H: House>() -> Vec<Route<H>> {
    let doctor = says("doctor", "What works on this host and what does not.").answers::<wire::Doctor>();
    let ready = says("readyz", "Claims are taken: the daemon is not ending and its disk is not full.");
    let document = says("openapi", "This document.").answers::<serde_json::Value>();
    vec![
        at(GET, "/v1/doctor", reads::doctor::<H>, doctor),
        at(GET, "/v1/openapi.json", openapi::document::<H>, document),
        at(GET, "/healthz", reads::alive, says("healthz", "The process lives.").answers::<reads::Alive>()),
        at(GET, "/readyz", reads::ready::<H>, ready.answers::<reads::Ready>()),
    ]
}

async fn nowhere(request: Request) -> Response {
    let message = format!("there is nothing at {}", request.uri().path());
    Denial::of(StatusCode::NOT_FOUND, message).hint("paths begin with /v1/").into_response()
}

async fn not_so(request: Request) -> Response {
    let message = format!("{} is not done to {}", request.method(), request.uri().path());
    Denial::of(StatusCode::METHOD_NOT_ALLOWED, message).hint("see the Allow header").into_response()
}
