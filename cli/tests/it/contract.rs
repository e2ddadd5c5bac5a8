//! The contract as a document: complete, sound in itself, and true of what is answered.
use crate::{
    access::House,
    daemon::{Daemon, program, told},
};
use serde_json::{Value, json};
use std::{collections::BTreeSet, process::Command};

/// Numbers that name something, and are counted in nothing.
const NAMES: [&str; 8] = ["id", "fence", "claim", "lease", "seq", "within", "within_fence", "uid"];

fn document() -> Value {
    let mut command = Command::new(program());
    command.arg("api");
    told(command).json()
}

/// Every object in a document, with where it stands.
fn walk(at: &str, value: &Value, each: &mut impl FnMut(&str, &serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            each(at, members);
            members.iter().for_each(|(name, member)| walk(&format!("{at}/{name}"), member, each));
        }
        Value::Array(items) => {
            (0..)
                .zip(items)
                .for_each(|(place, item): (usize, &Value)| walk(&format!("{at}/{place}"), item, each));
        }
        _ => {}
    }
}

#[test]
fn every_route_is_described_and_every_amount_has_its_unit() {
    let document = document();
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = BTreeSet::new();
    for (path, methods) in document["paths"].as_object().expect("paths") {
        for (method, operation) in methods.as_object().expect("methods") {
            let id = operation["operationId"].as_str().expect("a name");
            assert!(ids.insert(id.to_owned()), "{id} stands twice");
            assert!(operation["summary"].as_str().is_some_and(|text| text.len() > 5), "{method} {path}");
            let answers = operation["responses"].as_object().expect("answers");
            assert!(answers.keys().any(|status| status.starts_with('2')), "{method} {path}");
            assert!(answers.contains_key("default"), "{method} {path} is never refused?");
            let places = path.matches('{').count();
            let params = operation["parameters"].as_array().expect("a list").iter();
            assert_eq!(params.filter(|param| param["in"] == "path").count(), places, "{method} {path}");
        }
    }
    walk("#", &document, &mut |at, members| {
        if let Some(to) = members.get("$ref").and_then(Value::as_str) {
            assert!(document.pointer(to.trim_start_matches('#')).is_some(), "{at}: {to} is nowhere");
        }
    });
    walk("#", &document["components"]["schemas"], &mut |at, members| {
        let Some(Value::Object(properties)) = members.get("properties") else { return };
        for (name, property) in properties {
            let choices = property["anyOf"].as_array().into_iter().flatten().chain([property]);
            let digits = choices.into_iter().any(|choice| choice["pattern"] == "^[0-9]{1,20}$");
            let counted = name.ends_with("_ms") || name.ends_with("_ns") || name.contains("bytes");
            let unit = property["x-unit"].is_string();
            let known = NAMES.contains(&name.as_str()) || name == "leases";
            assert!(unit || known || !(digits || counted), "{at}/{name} is counted in nothing");
        }
    });
}

/// What of a value is not as a schema says. Enough of JSON Schema for what the types here come to.
fn wrong(document: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(to) = schema["$ref"].as_str() {
        let schema = document.pointer(to.trim_start_matches('#')).expect("a schema");
        return wrong(document, schema, value, at);
    }
    for choice in ["anyOf", "oneOf"] {
        if let Some(choices) = schema[choice].as_array() {
            let fits = choices.iter().any(|schema| wrong(document, schema, value, at).is_empty());
            return if fits { Vec::new() } else { vec![format!("{at}: {value} fits none of {choices:?}")] };
        }
    }
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = match &schema["type"] {
        Value::Null => true,
        Value::Array(kinds) => kinds.iter().any(|one| one == kind),
        one => one == kind,
    };
    let mut found = if fits { Vec::new() } else { vec![format!("{at}: {value} is no {}", schema["type"])] };
    if schema["enum"].as_array().is_some_and(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is none of {}", schema["enum"]));
    }
    match value {
        Value::Object(members) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.filter(|name| !members.contains_key(*name));
            found.extend(missing.map(|name| format!("{at}: {name} is missing")));
            for (name, member) in members {
                match schema["properties"].get(name) {
                    Some(schema) => found.extend(wrong(document, schema, member, &format!("{at}/{name}"))),
                    None if schema["properties"].is_object() => {
                        found.push(format!("{at}: {name} is not described"))
                    }
                    None => {}
                }
            }
        }
        Value::Array(items) => {
            found.extend(
                items.iter().flat_map(|item| wrong(document, &schema["items"], item, &format!("{at}/-"))),
            );
        }
        _ => {}
    }
    found
}

#[test]
fn what_is_answered_is_what_is_described() {
    let daemon = Daemon::configured(
        "[node.capacity]\ncpu = \"1\"\n[[pool]]\nresource = \"usd\"\nname = \"acct\"\ncapacity = \"5usd/d\"\n\
         [[quota]]\nscope = \"team\"\nresource = \"cpu\"\nlimit = \"1\"\n",
    );
    let document = daemon.http("GET", "/v1/openapi.json", "").1;
    assert_eq!(document, self::document(), "the daemon and the command tell the same");
    let ask = |milli: &str, more: Value| {
        let mut body = json!({ "scope": "team", "lines": [{ "resource": "cpu", "amount": milli }] });
        body.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        daemon.http("POST", "/v1/claims", &body.to_string()).1["claim"]["id"]
            .as_str()
            .expect("an id")
            .to_owned()
    };
    let (held, waiting) = (ask("1000", json!({})), ask("500", json!({ "wait": "1h", "detach": true })));
    let (told, refused) =
        ("/responses/200/content/application~1json/schema", "/components/responses/Problem");
    for (path, real) in [
        ("/v1/claims", "/v1/claims?limit=1".to_owned()),
        ("/v1/claims/{id}", format!("/v1/claims/{held}")),
        ("/v1/claims/{id}/explain", format!("/v1/claims/{waiting}/explain")),
        ("/v1/pools", "/v1/pools".into()),
        ("/v1/nodes", "/v1/nodes".into()),
        ("/v1/scopes", "/v1/scopes".into()),
        ("/v1/quotas", "/v1/quotas".into()),
        ("/v1/plugins", "/v1/plugins".into()),
        ("/v1/findings", "/v1/findings".into()),
        ("/v1/keys", "/v1/keys".into()),
        ("/v1/strategies", "/v1/strategies".into()),
        ("/v1/events", "/v1/events?limit=3".into()),
        ("/v1/audit", "/v1/audit".into()),
        ("/v1/doctor", "/v1/doctor".into()),
        ("/healthz", "/healthz".into()),
    ] {
        let (status, answer) = daemon.http("GET", &real, "");
        let schema = document["paths"][path]["get"].pointer(told).expect("described");
        assert_eq!((status, wrong(&document, schema, &answer, path)), (200, Vec::new()), "{answer}");
    }
    let (status, answer) =
        daemon.http("POST", "/v1/claims", r#"{"lines":[{"resource":"cpu","amount":"99000"}]}"#);
    let schema =
        document.pointer(&format!("{refused}/content/application~1problem+json/schema")).expect("described");
    assert_eq!((status, wrong(&document, schema, &answer, "")), (422, Vec::new()), "{answer}");
}

/// The status of what is wrong with a request: method, path, body and headers.
type Odd<'a> = (u16, &'a str, &'a str, &'a str, &'a [(&'a str, &'a str)]);

#[test]
fn every_status_of_a_refusal_stands_in_the_document_with_its_reason() {
    let house = House::with("");
    let document = document();
    let told = document["components"]["responses"]["Problem"]["description"].as_str().expect("text");
    let line = |status: u16| told.lines().find_map(|line| line.strip_prefix(&format!("- {status}: ")));
    let long = "x".repeat(2 << 20);
    let (get, post) = ("GET", "POST");
    let json = [("Content-Type", "application/json")];
    let odd: [Odd<'_>; 6] = [
        (404, get, "/v2/claims", "", &[]),
        (405, "DELETE", "/v1/claims", "", &[]),
        (413, post, "/v1/claims", &long, &json),
        (415, post, "/v1/claims", "{}", &[("Content-Type", "text/plain")]),
        (417, post, "/v1/claims", "{}", &[("Content-Type", "application/json"), ("Expect", "the-best")]),
        (431, get, "/v1/claims", "", &[("X-Long", &long[..100_000])]),
    ];
    for (status, method, path, body, headers) in odd {
        let mut client = house.daemon.client();
        let body = (!body.is_empty()).then_some(body.as_bytes());
        let answer = client.request(method, path, body, headers).expect("an answer");
        let problem: Value = serde_json::from_slice(&answer.body).expect("a problem");
        assert_eq!(answer.status, status, "{method} {path}: {problem}");
        let reason = problem["error"]["reason"].as_str().expect("a reason");
        assert!(line(status).is_some_and(|line| line.contains(reason)), "{status} {reason}: {told}");
    }
    assert_eq!(house.ask(get, "/v1/claims", Some("wrong"), "").0, 401);
    assert!(line(401).is_some_and(|line| line.contains("Forbidden")), "{told}");
}

#[test]
fn what_the_tools_path_refuses_is_a_problem_like_any_other() {
    let daemon = Daemon::plain();
    let accept = ("Accept", "application/json, text/event-stream");
    for (status, method, body, kind) in [
        (415, "POST", Some("no json"), "application/json"),
        (415, "POST", Some("{}"), "text/plain"),
        (405, "GET", None, "application/json"),
        (405, "DELETE", None, "application/json"),
    ] {
        let headers = [accept, ("Content-Type", kind), ("MCP-Protocol-Version", "2025-11-25")];
        let answer = daemon.client().request(method, "/mcp", body.map(str::as_bytes), &headers).expect("one");
        assert_eq!(answer.status, status, "{method} {body:?}");
        let problem: Value = serde_json::from_slice(&answer.body).expect("a problem");
        assert_eq!((&problem["status"], &problem["error"]["reason"]), (&status.into(), &"BadRequest".into()));
        assert!(problem["error"]["message"].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
}

#[test]
fn a_node_is_told_only_what_it_can_be_set_to() {
    let daemon = Daemon::plain();
    for state in ["x", "lost"] {
        let (status, answer) = daemon.http("PUT", "/v1/nodes/any", &json!({ "state": state }).to_string());
        let message = answer["error"]["message"].as_str().expect("text");
        assert_eq!(status, 400, "{answer}");
        let (wrong, place) = message.split_once(" at line").expect("a place");
        let right = "expected one of `open`, `cordoned`, `draining`";
        assert!(wrong.starts_with("state: ") && wrong.ends_with(right), "{wrong} {place}");
    }
}

#[test]
fn a_list_can_be_had_page_by_page() {
    let daemon = Daemon::plain();
    for _ in 0..5 {
        daemon.http("POST", "/v1/claims", r#"{"lines":[{"resource":"cpu","amount":"1"}]}"#);
    }
    for (list, least) in [("claims", 5), ("pools", 3), ("plugins", 5)] {
        let all = daemon.http("GET", &format!("/v1/{list}"), "").1;
        assert!(all.get("next").is_none(), "the document of the contract stays as it is: {all}");
        let all = all[list].as_array().expect("rows").clone();
        assert!(all.len() >= least, "{all:?}");
        let (mut seen, mut after) = (Vec::new(), String::new());
        loop {
            let (status, page) = daemon.http("GET", &format!("/v1/{list}?limit=2{after}"), "");
            assert_eq!(status, 200, "{page}");
            let rows = page[list].as_array().expect("rows");
            assert!(rows.len() <= 2 && !rows.is_empty(), "{page}");
            seen.extend(rows.clone());
            let Some(next) = page["next"].as_str() else { break };
            after = format!("&after={}", bursar_wire::plain(next));
        }
        // A figure may have moved meanwhile; which rows there are has not.
        let names = |rows: &[Value]| {
            let name =
                |row: &Value| format!("{}{}{}{}", row["id"], row["resource"], row["role"], row["version"]);
            rows.iter().map(name).collect::<BTreeSet<_>>()
        };
        assert_eq!((seen.len(), names(&seen)), (all.len(), names(&all)), "{list}");
    }
    for (query, told) in
        [("limit=0", "limit"), ("limit=x", "limit"), ("after=x", "after"), ("colour=1", "colour")]
    {
        let (status, answer) = daemon.http("GET", &format!("/v1/claims?{query}"), "");
        assert_eq!(status, 400, "{query}: {answer}");
        assert!(answer["error"]["message"].as_str().is_some_and(|why| why.contains(told)), "{answer}");
    }
}

#[test]
fn the_last_sequence_that_a_number_holds_has_nothing_behind_it() {
    let daemon = Daemon::plain();
    for list in ["events", "audit"] {
        let (status, answer) = daemon.http("GET", &format!("/v1/{list}?since={}", u64::MAX), "");
        assert_eq!((status, answer[list].as_array().map(Vec::len)), (200, Some(0)), "{answer}");
    }
    drop(daemon.client().events(u64::MAX).expect("a stream"));
    assert!(daemon.client().alive() && !daemon.log().contains("panicked"), "{}", daemon.log());
}
