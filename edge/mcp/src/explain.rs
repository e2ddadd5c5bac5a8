//! `resource_explain`: why a claim waits, what it is short of, and who holds that.
use crate::{Daemon, answer::Answer, arguments::Arguments, call::Call, denial::Denial, terms};
use bursar_wire as wire;
use serde_json::{Value, json};

/// Arguments of the tool.
pub(crate) const KNOWN: [&str; 1] = ["claim"];
/// Holders that are told of one thing that is short.
const HOLDERS_MAX: usize = 2;

/// Explains.
pub(crate) async fn explain<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let claim = Arguments::needed("claim", arguments.claim()?)?;
    let explained: Value = call.get(&format!("/v1/claims/{claim}/explain")).await?;
    let Some(reason) = explained["reason"].as_str().and_then(wire::reason) else {
        let phase = explained["phase"].as_str().map_or(terms::UNKNOWN, terms::name);
        return Ok(Answer::of("NOT_WAITING").with("claim", claim.to_string()).with("phase", phase));
    };
    let short = explained["waiting_on"].as_array().map(Vec::as_slice).unwrap_or_default();
    Ok(Answer::of("WAITING")
        .with("claim", claim.to_string())
        .with("reason", reason.name())
        .with("position", terms::position(&explained))
        .with("eta", terms::eta(&explained))
        .with("fix", Denial::of(reason, None).fix)
        .with_list("offers", terms::offers(&explained, &[]))
        .with_list("short", short.iter().filter_map(row).collect()))
}

/// One thing that is short. Scopes of holders are not told: their names are the holders' own.
fn row(short: &Value) -> Option<Value> {
    let resource = short["resource"].as_str()?;
    let by = short["short_by"].as_str()?.parse().ok()?;
    let holders = short["holders"].as_array().map(Vec::as_slice).unwrap_or_default();
    let holders: Vec<&str> = holders.iter().filter_map(|holder| holder["claim"].as_str()).collect();
    Some(json!({
        "resource": terms::name(resource),
        "by": wire::show(resource, by),
        "limit": if short["quota"].is_null() { "capacity" } else { "quota" },
        "holders": holders.iter().take(HOLDERS_MAX).collect::<Vec<_>>(),
    }))
}
