//! What operators do about plugins: orders, and who decides instead of whom.
use crate::{
    House,
    denial::Denial,
    hall::{Caller, Hall},
    json,
    reads::fresh,
    segment::Path,
};
use axum::{
    Extension,
    extract::{Request, State},
    response::Response,
};
use bursar_interface::Role;
use bursar_wire::{self as wire, List};
use hyper::StatusCode;
use std::sync::Arc;

type At<H> = State<Arc<Hall<H>>>;

/// A strategy by its word.
fn strategy(role: &str) -> Result<Role, Denial> {
    match role {
        "allocator" => Ok(Role::Allocator),
        "qos" => Ok(Role::Qos),
        other => Err(Denial::bad(format!("{other:?} is no strategy")).hint("strategies are: allocator, qos")),
    }
}

fn strategies<H: House>(hall: &Hall<H>, caller: &Caller) -> Response {
    fresh(StatusCode::OK, wire::Strategies::of(hall.house.strategies(&caller.principal), None))
}

/// Another plugin is to decide.
pub(crate) async fn choose<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(role): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let role = strategy(&role)?;
    let body: wire::StrategyBody = json::body(request, hall.limits.body).await?;
    hall.house.use_strategy(caller.principal.clone(), role, body.plugin).await?;
    Ok(strategies(&hall, &caller))
}

/// Whoever decided before is to decide again. There is nothing to say in the body.
pub(crate) async fn roll_back<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    Path(role): Path<String>,
    request: Request,
) -> Result<Response, Denial> {
    let role = strategy(&role)?;
    json::nothing(request, hall.limits.body).await?;
    hall.house.roll_back(caller.principal.clone(), role).await?;
    Ok(strategies(&hall, &caller))
}

/// An order about plugins or about whom to trust; the answer has all plugins as they are then.
pub(crate) async fn order<H: House>(
    State(hall): At<H>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Denial> {
    let order: wire::PluginOrder = json::body(request, hall.limits.body).await?;
    hall.house.order(caller.principal.clone(), order).await?;
    Ok(fresh(StatusCode::OK, wire::Plugins::of(hall.house.plugins(&caller.principal), None)))
}
