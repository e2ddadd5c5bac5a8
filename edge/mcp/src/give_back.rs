//! `resource_release` and `resource_settle`: what a holder gives back, what it says that it used, and
//! how much longer it needs the rest.
use crate::{Act, Daemon, answer::Answer, arguments::Arguments, call::Call, denial::Denial, terms};
use bursar_wire::{self as wire, Claim, ClaimAnswer};
use serde_json::{Value, json};

/// Arguments of `resource_release`.
pub(crate) const RELEASE: [&str; 2] = ["claim", "fence"];
/// Arguments of `resource_settle`.
pub(crate) const SETTLE: [&str; 4] = ["claim", "fence", "used", "ttl"];
/// Members of an element of `used`.
const USED: [&str; 3] = ["resource", "amount", "pool"];

/// Gives a lease back, or leaves the line: a claim that waits has no fence yet.
pub(crate) async fn release<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let id = Arguments::needed("claim", arguments.claim()?)?;
    let claim = match arguments.fence()? {
        Some(fence) => call.act(Act::Release { claim: id, fence }).await?,
        None => {
            let claim = call.get::<ClaimAnswer>(&format!("/v1/claims/{id}")).await?.claim;
            if claim.phase != wire::PENDING {
                return Err(Denial::bad("fence is missing: only a claim that waits is given up without one"));
            }
            call.cancel(id).await?
        }
    };
    Ok(told("RELEASED", &claim))
}

/// Says what was used, and keeps the lease for as long as is said.
pub(crate) async fn settle<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let id = Arguments::needed("claim", arguments.claim()?)?;
    let fence = Arguments::needed("fence", arguments.fence()?)?.to_string();
    let used = arguments.objects("used", &USED)?;
    let used = used.iter().map(line).collect::<Result<Vec<Value>, Denial>>()?;
    let ttl = arguments.duration("ttl")?;
    let settle = (!used.is_empty()).then(|| ("settle", json!({ "fence": fence, "used": used })));
    let renew = ttl.map(|ttl| ("renew", json!({ "fence": fence, "ttl": ttl })));
    let mut claim = None;
    for (verb, body) in settle.into_iter().chain(renew) {
        let path = format!("/v1/claims/{id}/{verb}");
        claim = Some(call.request::<ClaimAnswer>("POST", &path, Some(&body)).await?.claim);
    }
    let claim = claim.ok_or_else(|| {
        Denial::bad("pass used, as [{\"resource\": \"tokens\", \"amount\": \"1200\"}], or ttl, or both")
    })?;
    Ok(told("SETTLED", &claim))
}

fn line(used: &Arguments) -> Result<Value, Denial> {
    let resource = Arguments::needed("used: resource", used.text("resource")?)?;
    let amount = Arguments::needed("used: amount", used.amount("amount", resource)?)?;
    let mut line = json!({ "resource": resource, "amount": amount.to_string() });
    if let Some(pool) = used.figure("pool")? {
        line["pool"] = pool.into();
    }
    Ok(line)
}

fn told(status: &str, claim: &Claim) -> Answer {
    Answer::of(status)
        .with("claim", claim.id.to_string())
        .with("phase", terms::name(&claim.phase))
        .with_some("lease_until", claim.lease_until.as_deref().map(terms::moment))
        .with_list("lines", terms::lines(&claim.lines))
}
