//! Events as they are told: one row each, with ids and fences as strings.
use super::{
    follower::claim_of,
    present::{ending_name, rfc3339},
};
use bursar_api::Place;
use bursar_interface::{
    Batch, Command, Decider, Event, Home, Input, Left, LineSize, Noted, Offer, Role, Severity, Squeeze, What,
};
use bursar_wire::{ChangeRow, EventRow};
use serde_json::{Value, json};

/// The word for the end of a claim.
pub const CLOSED: &str = "closed";

/// The events of a batch after a place, in the order of their sequences.
pub fn rows(batch: &Batch, wall_ms: i64, after: Place) -> impl Iterator<Item = EventRow> {
    let last = batch.next_seq().saturating_sub(1);
    // What time caused belongs to the end of the batch, where its events stand.
    let seq = move |event: &Event| event.cause.map_or(last, |cause| batch.first_seq + u64::from(cause));
    let row = move |event: &Event| {
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        let (kind, detail) = match (&event.what, input.map(|Input { body, .. }| body)) {
            (What::Swapped, Some(Command::Swap { role, to })) => ("swapped", swapped(*role, to)),
            (What::Draining { ending, .. }, Some(Command::EnforceFailed { message, .. })) => {
                ("draining", json!({ "ending": ending_name(*ending), "message": message }))
            }
            (What::Applied(changes), Some(Command::Apply(settings))) => {
                let rows =
                    settings.iter().zip(changes).map(|(setting, &change)| ChangeRow::of(setting, change));
                ("applied", json!({ "changes": rows.collect::<Vec<_>>() }))
            }
            (What::Leaving { until, .. }, _) => {
                let left_ms = until.0.saturating_sub(batch.at.0) / 1_000_000;
                ("leaving", json!({ "until": rfc3339(wall_ms.saturating_add_unsigned(left_ms)) }))
            }
            (What::Shared, Some(Command::Share { resource, pool, offer, by, .. })) => {
                ("shared", shared(resource, pool, offer.as_ref(), by))
            }
            (What::Found, Some(Command::Find(noted))) => ("found", found(noted)),
            (What::Suspected, Some(Command::Suspect { role, left, passed })) => {
                ("suspected", suspected(*role, left, *passed))
            }
            (What::Squeezed(_), Some(Command::Squeezed(squeeze))) => ("squeezed", squeezed(squeeze)),
            (
                What::Preempting { until, .. } | What::Rung { until, .. } | What::Suspended { until, .. },
                _,
            ) => {
                let (kind, mut detail) = told(&event.what);
                let left_ms = until.0.saturating_sub(batch.at.0) / 1_000_000;
                detail["until"] = rfc3339(wall_ms.saturating_add_unsigned(left_ms)).into();
                (kind, detail)
            }
            (what, _) => told(what),
        };
        EventRow {
            seq: seq(event),
            at: rfc3339(wall_ms),
            kind: kind.into(),
            claim: claim_of(&event.what).map(|claim| claim.0),
            detail,
        }
    };
    let mut events: Vec<&Event> = batch.events.iter().filter(|event| seq(event) > after.since).collect();
    events.sort_by_key(|event| seq(event));
    events.into_iter().skip(after.events).map(row)
}

/// The rules under which a pool is shared from then on; none where it is shared as it comes.
fn shared(resource: &str, pool: &str, offer: Option<&Offer>, by: &Decider) -> Value {
    let rules = offer.map(|offer| {
        json!({
            "offered": offer.offered.to_string(),
            "firm": offer.firm.to_string(),
            "holders": offer.holders,
            "quantum_ms": offer.quantum_ns / 1_000_000,
        })
    });
    let by = json!({ "plugin": by.plugin, "home": home(by.home) });
    json!({ "resource": resource, "pool": pool, "rules": rules, "by": by })
}

/// Who waits though there seems to be room, and why each does.
fn suspected(role: Role, left: &[Left], passed: bool) -> Value {
    let row = |left: &Left| {
        json!({
            "claim": left.claim.0.to_string(),
            "reason": left.reason.map(bursar_interface::Reason::name),
            "waited_ms": left.waited_ns / 1_000_000,
        })
    };
    json!({ "role": role.name(), "passed": passed, "waiting": left.iter().map(row).collect::<Vec<_>>() })
}

/// What appeared, changed, or is over; that has no severity.
fn found(noted: &[Noted]) -> Value {
    let row = |noted: &Noted| {
        let evidence = noted.evidence.iter().map(|measure| (measure.name.clone(), measure.value.into()));
        json!({
            "finding": noted.kind,
            "subject": noted.subject,
            "severity": noted.severity.map(Severity::name),
            "analyzer": noted.analyzer,
            "evidence": evidence.collect::<serde_json::Map<_, _>>(),
            "advice": noted.advice,
        })
    };
    json!({ "findings": noted.iter().map(row).collect::<Vec<_>>() })
}

/// What was done because memory runs short, how short, and what it came to.
fn squeezed(squeeze: &Squeeze) -> Value {
    let row = super::strained::row(String::new(), squeeze);
    json!({
        "step": row.step,
        "came": row.came,
        "freed_bytes": row.freed_bytes.map(|bytes| bytes.to_string()),
        "to_bytes": row.to_bytes.map(|bytes| bytes.to_string()),
        "message": row.message,
        "used_bytes": squeeze.used.to_string(),
        "there_bytes": squeeze.there.to_string(),
    })
}

fn swapped(role: Role, to: &Decider) -> Value {
    json!({ "role": role.name(), "plugin": to.plugin, "home": home(to.home) })
}

/// The word of a home.
pub fn home(home: Home) -> &'static str {
    match home {
        Home::Linked => "linked",
        Home::Inline => "inline",
        Home::Child => "child",
    }
}

/// Lines by their number in the claim, with what they hold then.
fn sizes(lines: &[LineSize]) -> Value {
    let size = |size: &LineSize| json!({ "line": size.line, "amount": size.amount.to_string() });
    json!({ "lines": lines.iter().map(size).collect::<Vec<_>>() })
}

fn told(what: &What) -> (&'static str, Value) {
    let nothing = Value::Null;
    match what {
        What::Started => ("started", nothing),
        What::Woken => ("woken", nothing),
        What::ResourceSet => ("resource_set", nothing),
        What::NodeSet => ("node_set", nothing),
        What::PoolSet => ("pool_set", nothing),
        What::PoolSprang { resource, name, .. } => {
            ("pool_sprang", json!({ "resource": resource, "pool": name }))
        }
        What::ScopeSet => ("scope_set", nothing),
        What::QuotaSet => ("quota_set", nothing),
        What::Refused(refusal) => {
            ("refused", json!({ "reason": refusal.reason.name(), "message": refusal.message }))
        }
        What::Repeated(_) => ("repeated", nothing),
        What::Queued { .. } => ("queued", nothing),
        What::Waiting { reason, .. } => ("waiting", json!({ "reason": reason.name() })),
        What::Granted { fence, by, .. } => {
            let by = json!({ "plugin": by.plugin, "home": home(by.home) });
            ("granted", json!({ "fence": fence.to_string(), "by": by }))
        }
        What::Attached(_) => ("attached", nothing),
        What::Enforced(_) => ("enforced", nothing),
        What::Settled(_) => ("settled", nothing),
        What::Renewed { .. } => ("renewed", nothing),
        What::Draining { ending, .. } => ("draining", json!({ "ending": ending_name(*ending) })),
        What::Quarantined { message, .. } => ("quarantined", json!({ "message": message })),
        What::Closed { ending, .. } => (CLOSED, json!({ "ending": ending_name(*ending) })),
        What::PluginFault { role, fault } => {
            let kind = serde_json::to_value(fault.kind).unwrap_or_default();
            let fault = json!({ "role": role.name(), "plugin": fault.plugin, "fault": kind, "message": fault.message });
            ("plugin_fault", fault)
        }
        What::Swapped => ("swapped", nothing),
        What::Applied(_) => ("applied", nothing),
        What::Found => ("found", nothing),
        What::Suspected => ("suspected", nothing),
        What::Squeezed(_) => ("squeezed", nothing),
        What::Shared => ("shared", nothing),
        What::Leaving { .. } => ("leaving", nothing),
        What::Chosen { alternative, .. } => ("chosen", json!({ "alternative": alternative })),
        What::Resizing { lines, .. } => ("resizing", sizes(lines)),
        What::Resized { lines, .. } => ("resized", sizes(lines)),
        What::ResizeFailed { message, .. } => ("resize_failed", json!({ "message": message })),
        What::FanOutSet => ("fan_out_set", nothing),
        What::Returned { ending, .. } => ("returned", json!({ "ending": ending_name(*ending) })),
        What::PreemptionSet => ("preemption_set", nothing),
        What::Promised(_) => ("promised", nothing),
        What::Preempting { why, .. } => ("preempting", json!({ "why": why })),
        What::Spared(_) => ("spared", nothing),
        What::Unpromised(_) => ("unpromised", nothing),
        // Who is in the circle is not everybody's to know: `explain` tells it to whom it concerns.
        What::Deadlocked { .. } => ("deadlocked", nothing),
        What::Measured(_) => ("measured", nothing),
        What::LoopBroken { .. } => ("loop_broken", nothing),
        What::Rung { rung, lines, .. } => ("rung", json!({ "rung": rung, "lines": sizes(lines)["lines"] })),
        What::RungFailed { rung, message, .. } => {
            ("rung_unavailable", json!({ "rung": rung, "message": message }))
        }
        What::Suspended { lines, .. } => ("suspended", sizes(lines)),
        What::Resumed { lines, .. } => ("resumed", sizes(lines)),
    }
}
