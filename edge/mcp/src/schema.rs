//! The tools as agents see them: names, what they are for, and the schemas of what goes in and comes out. All
//! of them together cost a model less than 3,000 tokens, so each word has to earn its place.
//!
//! The schemas use what every provider reads: objects, texts, whole numbers, lists, `enum`; no references, no
//! alternatives, nothing that may be null, and no keyword that drafts disagree on.
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};
use std::sync::{Arc, LazyLock};

/// The tools, in the order in which they are listed. They are made when somebody asks.
pub(crate) static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
    let looks = ToolAnnotations::new().read_only(true).open_world(false);
    let acts = ToolAnnotations::new().read_only(false).destructive(false).open_world(false);
    vec![
        tool(
            "resource_allocate",
            "Ask for resources before using them: all of it or nothing. Answers GRANTED or GRANTED_WITH_CAPS \
             (less, or one of or) with claim and fence, the handle for all later calls; QUEUED while it waits; \
             COUNTER_OFFER; or DENIED with reason and fix. Release when done.",
            allocate(),
            answer(&["GRANTED", "GRANTED_WITH_CAPS", "QUEUED", "COUNTER_OFFER", "DENIED"], allocated()),
            acts.clone(),
        ),
        tool(
            "resource_monitor",
            "How a claim stands, or without one what is free of each kind.",
            object(
                json!({
                    "claim": text("Claim to look at"),
                    "resource": text("Only pools of this kind"),
                    "wait": text("Wait up to 20s until the claim is decided"),
                }),
                &[],
            ),
            answer(&["QUEUED", "GRANTED", "ENDED", "OK", "DENIED"], monitored()),
            looks.clone(),
        ),
        tool(
            "resource_optimize",
            "Measured use beside what was asked for, and advice where there is any.",
            object(json!({ "scope": text("Only this scope and those below") }), &[]),
            answer(&["OK", "DENIED"], optimized()),
            looks.clone(),
        ),
        tool(
            "resource_analytics",
            "How claims fared: counts, waits, reasons.",
            object(json!({ "scope": text("Only this scope and those below") }), &[]),
            answer(&["OK", "DENIED"], analyzed()),
            looks.clone(),
        ),
        tool(
            "resource_release",
            "Give a lease back; without fence, leave the line.",
            object(json!({ "claim": text("Claim"), "fence": text("Fence of its grant") }), &["claim"]),
            answer(&["RELEASED", "DENIED"], given_back()),
            acts.clone(),
        ),
        tool(
            "resource_settle",
            "Say what was really used, as tokens or usd: the rest returns to the budget. With ttl, keep the lease.",
            object(
                json!({
                    "claim": text("Claim"),
                    "fence": text("Fence of its grant"),
                    "used": list(object(need(), &["resource", "amount"]), "What was used, by kind"),
                    "ttl": text("How long from now, as 30m"),
                }),
                &["claim", "fence"],
            ),
            answer(&["SETTLED", "DENIED"], given_back()),
            acts,
        ),
        tool(
            "resource_explain",
            "Why a claim waits: what is short, who holds it, what would be granted now.",
            object(json!({ "claim": text("Claim") }), &["claim"]),
            answer(&["WAITING", "NOT_WAITING", "DENIED"], explained()),
            looks,
        ),
    ]
});

fn tool(name: &'static str, what: &'static str, input: Value, output: Value, hints: ToolAnnotations) -> Tool {
    Tool::new(name, what, members(input)).with_raw_output_schema(members(output)).with_annotations(hints)
}

fn members(schema: Value) -> Arc<JsonObject> {
    match schema {
        Value::Object(members) => Arc::new(members),
        _ => Arc::default(),
    }
}

fn text(what: &str) -> Value {
    json!({ "type": "string", "description": what })
}

fn plain() -> Value {
    json!({ "type": "string" })
}

fn count() -> Value {
    json!({ "type": "integer" })
}

fn list(of: Value, what: &str) -> Value {
    json!({ "type": "array", "description": what, "items": of })
}

fn object(properties: Value, required: &[&str]) -> Value {
    let mut object = json!({ "type": "object", "properties": properties, "additionalProperties": false });
    if !required.is_empty() {
        object["required"] = required.into();
    }
    object
}

fn need() -> Value {
    json!({
        "resource": text("Kind: tokens, requests, usd, slots, disk, port, …"),
        "amount": text("As 20k, 0.25 or 5G"),
        "pool": text("Only from this pool"),
    })
}

fn allocate() -> Value {
    object(
        json!({
            "cpu": text("Cores: 1.5 or 250m"),
            "memory": text("Bytes: 512M or 2G"),
            "gpu": text("Devices: 1 or 0.5"),
            "needs": list(object(need(), &["resource"]), "Anything else"),
            "locks": list(plain(), "Names to hold alone, or NAME:shared"),
            "or": list(plain(), "What would do as well, best first, as cpu=1,memory=512M"),
            "scope": text("Path below your own, as team/task"),
            "class": {
                "type": "string",
                "enum": ["guaranteed", "burstable", "best-effort"],
                "description": "Default burstable",
            },
            "priority": { "type": "integer", "description": "Larger is first in class; default 0" },
            "wait": text("How long it may queue: 30s, 10m; default not at all. After 20s you get QUEUED"),
            "ttl": text("Lease ends after this; default 10m"),
            "expect": text("Your estimate of how long you need it"),
            "key": text("Same key, same claim: safe to repeat"),
            "holding": list(plain(), "Claims you hold and keep while this one waits: no deadlocks"),
        }),
        &[],
    )
}

/// What all answers have in common, and what each has of its own.
fn answer(statuses: &[&str], own: Value) -> Value {
    let mut properties = json!({
        "status": { "type": "string", "enum": statuses },
        "reason": plain(),
        "fix": plain(),
        "retry_after_ms": count(),
    });
    if let (Some(all), Value::Object(own)) = (properties.as_object_mut(), own) {
        all.extend(own);
    }
    json!({ "type": "object", "properties": properties, "required": ["status"] })
}

fn amounts() -> Value {
    json!({
        "type": "array",
        "items": {
            "type": "object",
            "properties": { "resource": plain(), "amount": plain(), "used": plain(), "pool": plain() },
        },
    })
}

fn offers() -> Value {
    json!({
        "type": "array",
        "description": "Each is granted now if you ask for its lines",
        "items": {
            "type": "object",
            "properties": { "change": plain(), "lines": amounts(), "expect": plain() },
        },
    })
}

fn allocated() -> Value {
    json!({
        "claim": plain(),
        "fence": plain(),
        "lines": amounts(),
        "lease_until": plain(),
        "position": text("Place in line, or unknown"),
        "eta": text("As 12s, or unknown"),
        "offers": offers(),
        "next": plain(),
        "more": count(),
    })
}

fn monitored() -> Value {
    json!({
        "claim": plain(),
        "fence": plain(),
        "lines": amounts(),
        "lease_until": plain(),
        "position": plain(),
        "eta": plain(),
        "ending": plain(),
        "pools": rows(&["resource", "free", "of", "pool"]),
        "more": count(),
    })
}

fn rows(members: &[&str]) -> Value {
    let properties: JsonObject = members.iter().map(|&member| (member.to_owned(), plain())).collect();
    json!({ "type": "array", "items": { "type": "object", "properties": properties } })
}

fn optimized() -> Value {
    let mut measured = rows(&["resource", "asked_max", "used_max"]);
    measured["items"]["properties"]["claims"] = count();
    json!({ "advice": plain(), "why": plain(), "measured": measured, "bottlenecks": bottlenecks(), "more": count() })
}

fn bottlenecks() -> Value {
    let mut found = rows(&["finding", "severity", "of"]);
    found["items"]["properties"]["evidence"] =
        json!({ "type": "object", "description": "Numbers by name, unit last" });
    found
}

fn analyzed() -> Value {
    json!({
        "waiting": count(),
        "held": count(),
        "ended": count(),
        "refused": count(),
        "wait_ms_p50": text("Or unknown"),
        "wait_ms_p90": plain(),
        "forecast": plain(),
        "findings": count(),
        "bottlenecks": bottlenecks(),
        "reasons": { "type": "object", "description": "Counts by reason" },
    })
}

fn given_back() -> Value {
    json!({
        "claim": plain(),
        "phase": plain(),
        "lease_until": plain(),
        "lines": amounts(),
        "more": count(),
    })
}

fn explained() -> Value {
    let mut short = rows(&["resource", "by", "limit"]);
    short["items"]["properties"]["holders"] = json!({ "type": "array", "items": plain() });
    json!({
        "claim": plain(),
        "phase": plain(),
        "position": plain(),
        "eta": plain(),
        "short": short,
        "offers": offers(),
        "more": count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bytes of JSON schema that one token stands for at least, in the tokenizers of today.
    const BYTES_PER_TOKEN: f64 = 3.5;

    #[test]
    fn all_of_it_costs_less_than_three_thousand_tokens() {
        let bytes = serde_json::to_string(&*TOOLS).expect("plain data").len();
        let tokens = bytes as f64 / BYTES_PER_TOKEN;
        assert!(tokens < 3000.0, "{bytes} bytes are {tokens:.0} tokens");
        println!("{} tools, {bytes} bytes, {tokens:.0} tokens", TOOLS.len());
    }

    #[test]
    fn what_is_taken_is_what_is_told() {
        let takes: [(&str, &[&str]); 7] = [
            ("resource_allocate", &crate::allocate::KNOWN),
            ("resource_monitor", &crate::monitor::KNOWN),
            ("resource_optimize", &crate::advise::KNOWN),
            ("resource_analytics", &crate::analyze::KNOWN),
            ("resource_release", &crate::give_back::RELEASE),
            ("resource_settle", &crate::give_back::SETTLE),
            ("resource_explain", &crate::explain::KNOWN),
        ];
        for (tool, (name, known)) in TOOLS.iter().zip(takes) {
            assert_eq!(tool.name, name);
            let mut told: Vec<&str> = tool.input_schema["properties"]
                .as_object()
                .expect("an object")
                .keys()
                .map(String::as_str)
                .collect();
            let mut known = known.to_vec();
            told.sort_unstable();
            known.sort_unstable();
            assert_eq!(told, known, "{name}");
        }
    }

    #[test]
    fn every_provider_can_read_the_schemas() {
        fn look(schema: &Value, at: &str) {
            if let Some(members) = schema.as_object() {
                for odd in [
                    "$ref",
                    "oneOf",
                    "anyOf",
                    "allOf",
                    "not",
                    "$defs",
                    "definitions",
                    "$schema",
                    "const",
                    "format",
                    "default",
                ] {
                    assert!(!members.contains_key(odd), "{odd} at {at}");
                }
                assert!(members.get("type").is_none_or(Value::is_string), "one type at {at}");
                if members.get("type").is_some_and(|kind| kind == "array") {
                    assert!(members.contains_key("items"), "no items at {at}");
                }
                for (key, value) in members {
                    look(value, &format!("{at}/{key}"));
                }
            }
        }
        for tool in TOOLS.iter() {
            for schema in [Some(&tool.input_schema), tool.output_schema.as_ref()].into_iter().flatten() {
                assert_eq!(schema["type"], "object");
                look(&Value::Object(schema.as_ref().clone()), &tool.name);
            }
        }
    }
}
