//! `resource_allocate`: asks for a claim, waits a while where that is wanted, and says what came of it.
use crate::{
    Act, Daemon,
    answer::Answer,
    arguments::Arguments,
    call::{Call, Waited},
    denial::Denial,
    limits::{HOLD_MAX, TTL},
    terms,
};
use bursar_interface::{Class, Reason};
use bursar_wire::{self as wire, Alternative, AskBody, Claim, LineBody};
use serde_json::Value;
use std::{pin::pin, time::Duration};

/// Arguments of the tool.
pub(crate) const KNOWN: [&str; 14] = [
    "cpu", "memory", "gpu", "needs", "locks", "or", "scope", "class", "priority", "wait", "ttl", "expect",
    "key", "holding",
];
/// Members of an element of `needs`.
const NEED: [&str; 3] = ["resource", "amount", "pool"];

/// Asks. What was not granted counts towards what the caller may ask in a minute.
pub(crate) async fn allocate<D: Daemon>(call: &Call<'_, D>, arguments: &Arguments) -> Result<Answer, Denial> {
    let body = body(arguments)?;
    call.may_ask()?;
    let answered = ask(call, &body).await;
    if let Ok(Outcome::Granted(claim)) = &answered
        && call.called_off()
    {
        // Nobody will hear of the grant.
        let _ = call.cancel(claim.id).await;
        return Err(Denial::called_off());
    }
    match answered {
        Ok(Outcome::Granted(claim)) => Ok(granted(&body, &claim)),
        Ok(Outcome::Queued(claim, explained)) => {
            call.refused();
            Ok(queued(&Act::Ask(Box::new(body)).lines(), &claim, &explained))
        }
        Err(denial) => {
            call.refused();
            Err(denial)
        }
    }
}

/// What an ask came to.
enum Outcome {
    Granted(Claim),
    /// It waits on, with what the daemon can say about why.
    Queued(Claim, Value),
}

/// The ask that arguments stand for.
fn body(arguments: &Arguments) -> Result<AskBody, Denial> {
    let lines = lines(arguments)?;
    if lines.is_empty() {
        return Err(Denial::bad("nothing is asked for: pass cpu, memory, gpu, needs or locks"));
    }
    let class = match arguments.text("class")? {
        None | Some("burstable") => Class::Burstable,
        Some("guaranteed") => Class::Guaranteed,
        Some("best-effort") => Class::BestEffort,
        Some(_) => return Err(Denial::bad("class: one of guaranteed, burstable, best-effort")),
    };
    let own = |text: Option<&str>| text.map(str::to_owned);
    Ok(AskBody {
        scope: arguments.text("scope")?.unwrap_or_default().to_owned(),
        class,
        priority: arguments.number("priority")?.unwrap_or(0),
        wait: own(arguments.duration("wait")?),
        ttl: own(arguments.duration("ttl")?.or(Some(TTL))),
        expect: own(arguments.duration("expect")?),
        lines,
        alternatives: arguments.texts("or")?.into_iter().map(alternative).collect::<Result<_, _>>()?,
        key: own(arguments.text("key")?),
        holding: arguments.texts("holding")?.into_iter().map(str::to_owned).collect(),
        ..AskBody::default()
    })
}

fn lines(arguments: &Arguments) -> Result<Vec<LineBody>, Denial> {
    let mut lines = Vec::new();
    for resource in ["cpu", "memory", "gpu"] {
        if let Some(amount) = arguments.amount(resource, resource)? {
            lines.push(LineBody {
                resource: resource.into(),
                amount: amount.to_string(),
                ..LineBody::default()
            });
        }
    }
    for need in arguments.objects("needs", &NEED)? {
        lines.push(line(&need)?);
    }
    for lock in arguments.texts("locks")? {
        let wrong = |_| Denial::bad("locks: write each as NAME, NAME:shared or NAME:exclusive");
        lines.push(wire::lock(lock).map_err(wrong)?);
    }
    Ok(lines)
}

/// An element of `needs`. How much of a lock is said in words, as offers and grants tell it.
fn line(need: &Arguments) -> Result<LineBody, Denial> {
    let resource = Arguments::needed("needs: resource", need.text("resource")?)?;
    let (pool, how) = (need.figure("pool")?, need.figure("amount")?);
    if let ("lock", Some(how @ (terms::SHARED | terms::EXCLUSIVE))) = (resource, how.as_deref()) {
        let name = Arguments::needed("needs: pool of the lock, its name,", pool)?;
        return wire::lock(&format!("{name}:{how}")).map_err(|_| Denial::bad("needs: pool: name the lock"));
    }
    let amount = need.amount("amount", resource)?.unwrap_or(1).to_string();
    Ok(LineBody { resource: resource.to_owned(), amount, pool, ..LineBody::default() })
}

/// `cpu=2,memory=1G` as a set of lines.
fn alternative(set: &str) -> Result<Alternative, Denial> {
    let line = |text: &str| {
        let (kind, amount) = text.trim().split_once('=')?;
        let (resource, pool) = kind.split_once(':').map_or((kind, None), |(kind, pool)| (kind, Some(pool)));
        let amount = wire::quantity(resource, amount).ok()?.to_string();
        Some(LineBody {
            resource: resource.to_owned(),
            amount,
            pool: pool.map(str::to_owned),
            ..LineBody::default()
        })
    };
    let lines = set.split(',').map(line).collect::<Option<_>>();
    lines.map(|lines| Alternative { lines }).ok_or_else(|| Denial::bad("or: write each as cpu=1,memory=512M"))
}

async fn ask<D: Daemon>(call: &Call<'_, D>, body: &AskBody) -> Result<Outcome, Denial> {
    let Some(wait) = body.wait.as_deref().and_then(|wait| wire::duration(wait).ok()) else {
        return decided(send(call, body).await?);
    };
    // The key finds the claim again: who asks a second time with it stands in line with it.
    let key = body.key.clone().unwrap_or_else(|| uuid::Uuid::new_v4().to_string());
    let detached = AskBody { key: Some(key.clone()), detach: true, ..body.clone() };
    let claim = send(call, &detached).await?;
    if claim.phase != wire::PENDING {
        return decided(claim);
    }
    hold(call, &AskBody { key: Some(key), ..body.clone() }, claim, wait).await
}

/// Stands in line with a claim until it is decided, the call has lasted long enough or is called off. If this
/// process ends meanwhile, the daemon sees that its asker has left, and the claim goes too.
async fn hold<D: Daemon>(
    call: &Call<'_, D>,
    body: &AskBody,
    claim: Claim,
    wait: Duration,
) -> Result<Outcome, Denial> {
    let mut held = pin!(call.lengthy_act(Act::Ask(Box::new(body.clone()))));
    // Somewhat longer than the claim waits, so that its own end is what is heard.
    match call.wait(claim.id, held.as_mut(), wait.saturating_add(Duration::from_millis(500))).await {
        Waited::Done(claim) => decided(claim?),
        Waited::CalledOff => {
            // It may have been granted or have ended at this very moment: either way it is over.
            let _ = call.cancel(claim.id).await;
            Err(Denial::called_off())
        }
        Waited::TimeOver => {
            // So the claim stays in line when the asker leaves, though that may be heard of only after this.
            let claim = send(call, &AskBody { detach: true, stays: true, ..body.clone() }).await?;
            match claim.phase.as_str() {
                wire::PENDING => {
                    let explained = call.get(&format!("/v1/claims/{}/explain", claim.id)).await;
                    Ok(Outcome::Queued(claim, explained.unwrap_or_default()))
                }
                _ => decided(claim),
            }
        }
    }
}

async fn send<D: Daemon>(call: &Call<'_, D>, body: &AskBody) -> Result<Claim, Denial> {
    call.act(Act::Ask(Box::new(body.clone()))).await
}

/// What a claim that does not wait came to.
fn decided(claim: Claim) -> Result<Outcome, Denial> {
    match claim.phase.as_str() {
        "closed" | "draining" => Err(ended(&claim)),
        _ => Ok(Outcome::Granted(claim)),
    }
}

/// Why a claim that has ended did.
pub(crate) fn ended(claim: &Claim) -> Denial {
    let never = claim.fence.is_none();
    let reason = claim.reason.as_deref().filter(|_| never).and_then(wire::reason);
    Denial::of(reason.unwrap_or(Reason::LeaseExpired), None)
}

fn granted(asked: &AskBody, claim: &Claim) -> Answer {
    let less = |line: &wire::Line| {
        let most = asked.lines.iter().filter(|asked| asked.resource == line.resource);
        let most = most.filter_map(|asked| asked.amount.parse::<u64>().ok()).max();
        most.is_some_and(|most| line.amount < most)
    };
    let other = claim.alternative.is_some_and(|set| set > 0);
    let status = if other || claim.lines.iter().any(less) { "GRANTED_WITH_CAPS" } else { "GRANTED" };
    held(status, claim)
}

/// A lease, with the handle that all further calls take.
pub(crate) fn held(status: &str, claim: &Claim) -> Answer {
    Answer::of(status)
        .with("claim", claim.id.to_string())
        .with_some("fence", claim.fence.map(|fence| fence.to_string()))
        .with_some("lease_until", claim.lease_until.as_deref().map(terms::moment))
        .with_list("lines", terms::lines(&claim.lines))
}

fn queued(own: &[LineBody], claim: &Claim, explained: &Value) -> Answer {
    let offers = terms::offers(explained, own);
    let (status, next) = match offers.is_empty() {
        true => ("QUEUED", "resource_monitor with this claim and wait; resource_release leaves the line"),
        false => ("COUNTER_OFFER", "still in line; to take an offer, release this claim and ask for it"),
    };
    waiting(status, claim, explained).with_list("offers", offers).with("next", next)
}

/// A place in the line.
pub(crate) fn waiting(status: &str, claim: &Claim, explained: &Value) -> Answer {
    Answer::of(status)
        .with("claim", claim.id.to_string())
        .with("position", terms::position(explained))
        .with("eta", terms::eta(explained))
        .with_some("reason", claim.reason.as_deref().and_then(wire::reason).map(Reason::name))
}

/// How long the agent wants to wait; no call lasts longer than [`HOLD_MAX`].
pub(crate) fn patience(arguments: &Arguments) -> Result<Option<Duration>, Denial> {
    let wait = arguments.duration("wait")?.and_then(|wait| wire::duration(wait).ok());
    Ok(wait.map(|wait| wait.min(HOLD_MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claim(amount: u64) -> Claim {
        let line = wire::Line { resource: "cpu".into(), amount, ..wire::Line::default() };
        Claim { id: 7, fence: Some(9), phase: "held".into(), lines: vec![line], ..Claim::default() }
    }

    #[test]
    fn a_lock_is_named_as_on_the_command_line_and_what_is_wrong_with_it_is_not_told_back() {
        let asked = |lock: &str| {
            let arguments = json!({ "locks": [lock] });
            let arguments = Arguments::of(arguments.as_object().cloned(), &KNOWN).expect("known keys");
            lines(&arguments).map(|lines| (lines[0].pool.clone().unwrap_or_default(), lines[0].whole))
        };
        let held = |name: &str, alone| (name.to_owned(), alone);
        assert_eq!(asked("tree").expect("a lock"), held("tree", true));
        assert_eq!(asked("tree:shared").expect("a lock"), held("tree", false));
        let denial = format!("{:?}", asked("tree:exclusiv").expect_err("no lock"));
        assert!(denial.contains("NAME:exclusive") && !denial.contains("tree"), "{denial}");
    }

    fn said(answer: Answer) -> Value {
        answer.result().structured_content.expect("data")
    }

    #[test]
    fn less_than_was_asked_for_is_granted_with_caps() {
        let line = LineBody { resource: "cpu".into(), amount: "2000".into(), ..LineBody::default() };
        let asked = AskBody { lines: vec![line], ..AskBody::default() };
        assert_eq!(said(granted(&asked, &claim(2000)))["status"], "GRANTED");
        let capped = said(granted(&asked, &claim(1500)));
        assert_eq!(
            (&capped["status"], &capped["lines"][0]["amount"]),
            (&json!("GRANTED_WITH_CAPS"), &json!("1.5"))
        );
    }

    #[test]
    fn an_offer_is_told_where_there_is_one_and_nothing_is_made_up() {
        let pending = Claim { id: 7, reason: Some("InsufficientCapacity".into()), ..Claim::default() };
        let plain = said(queued(&[], &pending, &json!({ "eta_ms": null, "would_admit": [] })));
        assert_eq!(
            (&plain["status"], &plain["position"], &plain["eta"]),
            (&json!("QUEUED"), &json!("unknown"), &json!("unknown"))
        );
        assert!(plain.get("offers").is_none());
        let line = json!({ "resource": "cpu", "amount": "500", "pool": null });
        let change = json!({ "change": "less", "options": "", "lines": [line], "expect_ms": null });
        let offered = said(queued(&[], &pending, &json!({ "would_admit": [change] })));
        assert_eq!(
            (&offered["status"], &offered["offers"][0]["lines"][0]["amount"]),
            (&json!("COUNTER_OFFER"), &json!("0.5"))
        );
    }
}
