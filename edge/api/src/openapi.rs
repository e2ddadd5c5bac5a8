//! The contract as a document: OpenAPI 3.1, made from the table of routes and from the types that are sent.
use crate::{
    House,
    contract::{Param, Route, Says},
    denial,
    reads::fresh,
    routes::table,
};
use axum::response::Response;
use bursar_interface::Reason;
use bursar_wire as wire;
use hyper::StatusCode;
use schemars::{SchemaGenerator, generate::SchemaSettings};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::OnceLock};

/// What stands in paths, by its name there.
const PLACES: [(&str, &str, &str); 6] = [
    ("id", "A claim, by its number.", "^[0-9]{1,19}$"),
    ("resource", "Name of a kind, as cpu.", ""),
    ("name", "Name of a pool or of a node.", ""),
    ("path", "Path of a scope, as team/session.", ""),
    ("scope", "Path of a scope, as team/session.", ""),
    ("role", "Which decision.", "^(allocator|qos)$"),
];

/// Units by how a name ends.
const UNITS: [(&str, &str); 7] = [
    ("_ms", "milliseconds"),
    ("_ns", "nanoseconds"),
    ("_bytes", "bytes"),
    ("_bytes_per_second", "bytes per second"),
    ("_byte_seconds", "bytes times seconds"),
    ("pressure_milli", "thousandths of the time"),
    ("cpu_milli", "thousandths of a core"),
];
/// Names of amounts: what they are counted in is their kind's.
const AMOUNTS: [&str; 17] = [
    "amount",
    "capacity",
    "offered",
    "free",
    "reserved",
    "soft",
    "held",
    "quarantined",
    "spent",
    "guaranteed",
    "limit",
    "charged",
    "borrow_limit",
    "lend_limit",
    "burst",
    "short_by",
    "used",
];
/// What amounts are counted in.
const BASE: &str = "base units of the resource";

const ABOUT: &str = "One gate through which a fleet of agents gets everything it spends.\n\n\
Amounts are whole numbers of base units, written as strings: thousandths of `cpu` and `gpu`, bytes of `memory` and \
`disk`, millionths of a dollar of `usd`, and pieces of all else. Where a number is a time or a size, its name ends \
with the unit; `x-unit` says it as well. Numbers that may pass 2^53, as ids and fences, are strings; read back, \
numbers are taken as well.\n\n\
Over the unix socket nobody shows a token: who speaks is what the kernel says. `x-verb` is what a token has to be \
good for over TCP. What one may not see is answered as what is not there. Unknown keys are refused.\n\n\
A caller that has sent whole requests may shut down its writing side and read on; over the unix socket a claim waits for \
as long as its caller listens. Over TCP, where that cannot be told, it is the caller's end for a stream, for what has \
`wait` in its query, and for a POST other than `release`, `cancel`, `renew` and `settle`.";

/// The document.
pub fn openapi<H: House>() -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<String, Map<String, Value>> = BTreeMap::new();
    for route in table::<H>() {
        let method = route.method.as_str().to_lowercase();
        let operation = operation(&route, &mut schemas);
        paths.entry(path(route.path)).or_default().insert(method, operation);
    }
    let problem = schemas.told.subschema_for::<denial::Told<'_>>();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Bursar",
            "version": env!("CARGO_PKG_VERSION"),
            "description": ABOUT,
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "bearer": [] }],
        "paths": paths,
        "components": {
            "securitySchemes": { "bearer": { "type": "http", "scheme": "bearer" } },
            "responses": { "Problem": {
                "description": refusals(),
                "content": { "application/problem+json": { "schema": problem } },
            } },
            "schemas": schemas.all(),
        },
    })
}

/// The document, made once.
pub(crate) async fn document<H: House>() -> Response {
    static MADE: OnceLock<Value> = OnceLock::new();
    fresh(StatusCode::OK, MADE.get_or_init(openapi::<H>))
}

/// Which status stands for which reasons.
fn refusals() -> String {
    let mut by_status: BTreeMap<u16, Vec<String>> = BTreeMap::new();
    for &reason in Reason::ALL {
        by_status.entry(wire::status(reason)).or_default().push(reason.name().into());
    }
    for (status, what) in denial::BEFORE {
        let told = format!("{} ({what})", denial::reason(status).name());
        by_status.entry(status.as_u16()).or_default().push(told);
    }
    let lines = by_status.iter().map(|(status, reasons)| format!("- {status}: {}", reasons.join(", ")));
    let lines: Vec<String> = lines.collect();
    format!("What was refused, why, what would be right, and when to come back.\n\n{}", lines.join("\n"))
}

/// Described types: what is sent and what is told differ in what may be left out.
struct Schemas {
    told: SchemaGenerator,
    taken: SchemaGenerator,
}

impl Schemas {
    fn new() -> Schemas {
        let settings =
            || SchemaSettings::draft2020_12().with(|it| it.definitions_path = "/components/schemas".into());
        Schemas {
            told: settings().for_serialize().into_generator(),
            taken: settings().for_deserialize().into_generator(),
        }
    }

    /// All of them, with their units. One name has one meaning: a type is told or taken.
    fn all(mut self) -> Map<String, Value> {
        let mut all = self.told.take_definitions(true);
        for (name, schema) in self.taken.take_definitions(true) {
            let told = all.insert(name.clone(), schema.clone());
            assert!(told.is_none_or(|told| told == schema), "{name} is told otherwise than it is taken");
        }
        all.values_mut().for_each(name_units);
        all
    }
}

/// Adds the unit to every member that has one.
fn name_units(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::Object(properties)) = members.get_mut("properties") {
                for (name, property) in properties {
                    let list = property.get("type").is_some_and(|kind| kind == "array");
                    if let (Some(unit), Value::Object(property), false) = (unit(name), property, list) {
                        property.insert("x-unit".into(), unit.into());
                    }
                }
            }
            members.values_mut().for_each(name_units);
        }
        Value::Array(items) => items.iter_mut().for_each(name_units),
        _ => {}
    }
}

fn unit(name: &str) -> Option<&'static str> {
    let ends = UNITS.iter().filter(|(end, _)| name.ends_with(end)).max_by_key(|(end, _)| end.len());
    ends.map(|(_, unit)| *unit).or_else(|| AMOUNTS.contains(&name).then_some(BASE))
}

/// A path as the document writes it.
fn path(path: &str) -> String {
    path.replace("{*", "{")
}

fn operation<H: House>(route: &Route<H>, schemas: &mut Schemas) -> Value {
    let Says { id, summary, params, body, answers, streams } = &route.says;
    let places = route.path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let params: Vec<Value> = places.map(place).chain(params.iter().map(param)).collect();
    let mut responses = Map::new();
    for (status, answer) in answers {
        let mut content = json!({ "application/json": { "schema": answer(&mut schemas.told) } });
        if *streams {
            content["text/event-stream"] = json!({ "schema": { "type": "string" } });
        }
        let what = StatusCode::from_u16(*status).ok().and_then(|status| status.canonical_reason());
        responses
            .insert(status.to_string(), json!({ "description": what.unwrap_or("Done"), "content": content }));
    }
    responses.insert("default".into(), json!({ "$ref": "#/components/responses/Problem" }));
    let mut operation = json!({
        "operationId": id,
        "summary": summary,
        "parameters": params,
        "responses": responses,
        "x-verb": route.verb().name(),
    });
    if let Some(body) = body {
        let schema = body(&mut schemas.taken);
        operation["requestBody"] =
            json!({ "required": true, "content": { "application/json": { "schema": schema } } });
    }
    operation
}

fn param(Param { place, name, what, schema }: &Param) -> Value {
    json!({ "in": place, "name": name, "description": what, "required": false, "schema": schema })
}

/// What stands in a path.
fn place(name: &str) -> Value {
    let name = name.trim_start_matches('*');
    let known = PLACES.iter().find(|(known, ..)| *known == name);
    let (_, what, pattern) = known.unwrap_or_else(|| panic!("{{{name}}} is new: it belongs into PLACES"));
    let mut schema = json!({ "type": "string", "minLength": 1 });
    if !pattern.is_empty() {
        schema["pattern"] = (*pattern).into();
    }
    json!({ "in": "path", "name": name, "description": what, "required": true, "schema": schema })
}
