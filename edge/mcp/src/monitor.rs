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
use bursar_wire::{self as wire, Claim, ClaimAnswer};
use serde_json::{Value, json};
use std::{pin::pin, time::Duration};

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
            match call.wait(look, wait.saturating_add(Duration::from_secs(1))).await {
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
    let wanted = |pool: &&wire::Pool| resource.is_none_or(|resource| pool.resource == resource);
    let row = |pool: &wire::Pool| {
        let used = pool.reserved + pool.held + pool.quarantined + pool.spent;
        let mut row = json!({
            "resource": terms::name(&pool.resource),
            "free": wire::show(&pool.resource, pool.offered.saturating_sub(used)),
            "of": wire::show(&pool.resource, pool.capacity),
        });
        // Whose name says more than its kind's.
        if pool.id != pool.resource {
            row["pool"] = terms::pool(&pool.resource, &pool.id).into();
        }
        row
    };
    let rows: Vec<Value> = pools.iter().filter(wanted).map(row).collect();
    match rows.is_empty() {
        true => Err(Denial::of(bursar_interface::Reason::UnknownResource, None)),
        false => Ok(Answer::of("OK").with_list("pools", rows)),
    }
}
