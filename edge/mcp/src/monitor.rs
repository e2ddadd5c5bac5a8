//! `resource_monitor`: how a claim stands, or what there is.
use crate::{
    Daemon,
    allocate::{ended, held, patience, waiting},
    answer::Answer,
    arguments::Arguments,
    call::{Call, Waited},
    denial::Denial,
    terms,
};
use bursar_interface::Reason;
use bursar_wire::{self as wire, Claim, ClaimAnswer};
use serde_json::{Value, json};
use std::{collections::BTreeMap, pin::pin, time::Duration};

/// Arguments of the tool.
pub(crate) const KNOWN: [&str; 3] = ["claim", "resource", "wait"];

/// Looks.
pub(crate) async fn monitor<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    match arguments.claim()? {
        Some(claim) => of_claim(call, claim, patience(arguments)?).await,
        None => of_pools(call, arguments.text("resource")?).await,
    }
}

async fn of_claim<D: Daemon>(call: &Call<'_, D>, id: u64, wait: Option<Duration>) -> Result<Answer, Denial> {
    let path = format!("/v1/claims/{id}");
    let claim = match wait {
        None => call.get::<ClaimAnswer>(&path).await?.claim,
        Some(wait) => {
            let path = format!("{path}?wait={}ms", wait.as_millis());
            let look = pin!(call.get::<ClaimAnswer>(&path));
            match call.wait(id, look, wait.saturating_add(Duration::from_secs(1))).await {
                Waited::Done(answer) => answer?.claim,
                Waited::TimeOver => call.get::<ClaimAnswer>(&format!("/v1/claims/{id}")).await?.claim,
                Waited::CalledOff => return Err(Denial::called_off()),
            }
        }
    };
    match claim.phase.as_str() {
        wire::PENDING => {
            let explained: Value = call.get(&format!("/v1/claims/{id}/explain")).await?;
            Ok(waiting("QUEUED", &claim, &explained))
        }
        "closed" => Ok(over(&claim)),
        _ => Ok(held("GRANTED", &claim)),
    }
}

fn over(claim: &Claim) -> Answer {
    let why = claim.fence.is_none().then(|| ended(claim));
    Answer::of("ENDED")
        .with("claim", claim.id.to_string())
        .with_some("ending", claim.ending.as_deref().map(terms::name))
        .with_some("reason", why.as_ref().map(|why| why.reason))
        .with_list("lines", terms::lines(&claim.lines))
}

/// What is free of everything, or of one kind: of a rate or a budget, what is not spent.
async fn of_pools<D: Daemon>(call: &Call<'_, D>, resource: Option<&str>) -> Result<Answer, Denial> {
    let pools = call.get::<wire::Pools>("/v1/pools").await?.pools;
    let rows = match resource {
        Some(resource) => {
            let wanted = pools.iter().filter(|pool| pool.resource == resource);
            wanted.map(|pool| row(pool, pool.free, pool.capacity, true)).collect()
        }
        None => by_kind(&pools),
    };
    match rows.is_empty() {
        true => Err(Denial::of(Reason::UnknownResource, None)),
        false => Ok(Answer::of("OK").with_list("pools", rows)),
    }
}

fn row(pool: &wire::Pool, free: u64, of: u64, named: bool) -> Value {
    let mut row = json!({
        "resource": terms::name(&pool.resource),
        "free": wire::show(&pool.resource, free),
        "of": wire::show(&pool.resource, of),
    });
    // Whose name says more than its kind's.
    if named && pool.id != pool.resource {
        row["pool"] = terms::pool(&pool.resource, &pool.id).into();
    }
    row
}

/// Everything at a glance: machines' capacities first, then rates and budgets by name, then single pieces, as
/// ports. What is spread over several pools of a kind is added up.
fn by_kind(pools: &[wire::Pool]) -> Vec<Value> {
    let own = |pool: &wire::Pool| matches!(pool.shape.as_str(), "rate" | "budget");
    let place = |pool: &wire::Pool| match pool.shape.as_str() {
        "capacity" => 0,
        "unit" => 2,
        _ => 1,
    };
    let mut kinds: BTreeMap<(u8, &str, &str), (&wire::Pool, u64, u64)> = BTreeMap::new();
    for pool in pools {
        let name = if own(pool) { pool.id.as_str() } else { "" };
        let kind = kinds.entry((place(pool), &pool.resource, name)).or_insert((pool, 0, 0));
        kind.1 = kind.1.saturating_add(pool.free);
        kind.2 = kind.2.saturating_add(pool.capacity);
    }
    kinds.into_values().map(|(pool, free, of)| row(pool, free, of, own(pool))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glance_adds_up_what_is_spread_and_names_what_is_not() {
        let pool = |resource: &str, id: &str, shape: &str, capacity, held| wire::Pool {
            id: id.into(),
            resource: resource.into(),
            shape: shape.into(),
            capacity,
            free: capacity - held,
            ..wire::Pool::default()
        };
        let rows = by_kind(&[
            pool("port", "20000", "unit", 1, 1),
            pool("port", "20001", "unit", 1, 0),
            pool("tokens", "a", "rate", 10, 0),
            pool("tokens", "b", "rate", 20, 5),
            pool("cpu", "cpu", "capacity", 2000, 500),
        ]);
        assert_eq!(
            rows,
            [
                json!({ "resource": "cpu", "free": "1.5", "of": "2" }),
                json!({ "resource": "tokens", "free": "10", "of": "10", "pool": "a" }),
                json!({ "resource": "tokens", "free": "15", "of": "20", "pool": "b" }),
                json!({ "resource": "port", "free": "1", "of": "2" }),
            ]
        );
    }
}
