//! `resource_optimize`: what was asked for beside what was really used. What would be better is for a
//! rehearsal to find out, in which past claims are put through the same engine with other amounts; until the
//! daemon can do that, the advice is `unknown`, and no rule of thumb stands in for it. What holds work up is told
//! beside it, with the numbers that it rests on.
use crate::{
    Daemon, analyze::of_scope, answer::Answer, arguments::Arguments, bottlenecks, call::Call, denial::Denial,
    terms,
};
use bursar_wire::{self as wire, Claims};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Arguments of the tool.
pub(crate) const KNOWN: [&str; 1] = ["scope"];

/// The most that was asked for and used of one kind, and in how many claims that was measured.
#[derive(Default)]
struct Measured {
    asked: u64,
    used: u64,
    claims: u64,
}

/// Advises, as far as there is something to go by.
pub(crate) async fn optimize<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let scope = arguments.scope()?;
    let claims = of_scope(call.get::<Claims>("/v1/claims").await?.claims, scope);
    let mut kinds: BTreeMap<&str, Measured> = BTreeMap::new();
    for line in claims.iter().flat_map(|claim| &claim.lines) {
        let Some(used) = line.used else { continue };
        let kind = kinds.entry(&line.resource).or_default();
        kind.asked = kind.asked.max(line.amount);
        kind.used = kind.used.max(used);
        kind.claims += 1;
    }
    let row = |(resource, measured): (&&str, &Measured)| {
        json!({
            "resource": terms::name(resource),
            "asked_max": wire::show(resource, measured.asked),
            "used_max": wire::show(resource, measured.used),
            "claims": measured.claims,
        })
    };
    let rows: Vec<Value> = kinds.iter().map(row).collect();
    let found = bottlenecks::standing(call).await?;
    Ok(Answer::of("OK")
        .with("advice", terms::UNKNOWN)
        .with("why", "advice needs a rehearsal, which this daemon does not do yet; measured is what was used")
        .with_list("measured", rows)
        .with_list("bottlenecks", found))
}
