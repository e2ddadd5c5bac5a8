//! The typed client is all of the contract: whatever the document lists can be asked for by a method.
use crate::daemon::{program, told};
use bursar_interface::Fence;
use bursar_wire::{self as wire, Client};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

type Heard = Arc<Mutex<Vec<(String, String)>>>;

/// Answers whatever comes with an empty object, and keeps what was asked for: method and path.
fn listen(listener: UnixListener, heard: Heard) {
    for stream in listener.incoming().map_while(Result::ok) {
        let heard = heard.clone();
        thread::spawn(move || while hear(&stream, &heard).is_some() {});
    }
}

fn hear(stream: &UnixStream, heard: &Heard) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let (mut first, mut length) = (String::new(), 0);
    reader.read_line(&mut first).ok().filter(|read| *read > 0)?;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        match line.to_ascii_lowercase().strip_prefix("content-length:") {
            Some(told) => length = told.trim().parse().ok()?,
            None if line == "\r\n" => break,
            None => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).ok()?;
    let (method, rest) = first.split_once(' ')?;
    let path = rest.split([' ', '?']).next()?;
    heard.lock().expect("unpoisoned").push((method.to_owned(), path.to_owned()));
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}").ok()
}

/// Each thing once. What comes of it does not matter: an empty object is no answer to most.
fn everything(client: &mut Client) {
    let fence = Fence(1);
    let lines = || vec![wire::LineBody { resource: "cpu".into(), amount: "1".into(), ..Default::default() }];
    let held = || wire::FenceBody { fence };
    let _ = client.ask(&wire::AskBody { lines: lines(), ..Default::default() }, Some("k"));
    let _ = client.claim(1, None);
    let _ = client.explain(1);
    let _ = client.renew(1, &wire::RenewBody { fence, ttl: None });
    let _ = client.settle(1, &wire::SettleBody { fence, used: Vec::new() });
    let _ = client.extend(1, &wire::ResizeBody { fence, lines: Vec::new() });
    let _ = client.shrink(1, &wire::ResizeBody { fence, lines: Vec::new() });
    let _ = client.release(1, &held(), None);
    let _ = client.cancel(1, None);
    let _ = client.attach(1, &wire::AttachBody { fence, pid: 1 });
    let _ = client.batch(&[]);
    let _ = client.list::<wire::Claims>();
    let _ = client.list::<wire::Pools>();
    let _ = client.list::<wire::Nodes>();
    let _ = client.list::<wire::Scopes>();
    let _ = client.page::<wire::Quotas>(None, 1);
    let _ = client.list::<wire::Plugins>();
    let _ = client.list::<wire::Findings>();
    let _ = client.list::<wire::Metrics>();
    let _ = client.list::<wire::Keys>();
    let _ = client.list::<wire::Strategies>();
    let _ = client.events_page(0, 1);
    let _ = client.audit_page(0, 1);
    let _ = client.apply(&wire::ApplyBody::default());
    let _ = client.set_pool("usd", "acct", &wire::PoolBody::default());
    let _ = client.remove_pool("usd", "acct");
    let _ = client.set_scope("team", &wire::ScopeBody { weight: 2, ..Default::default() });
    for scope in ["", "team"] {
        let _ = client.set_quota("cpu", scope, &wire::QuotaBody::default());
        let _ = client.remove_quota("cpu", scope);
    }
    let _ = client.set_node("n", &wire::NodeBody { state: Default::default(), grace: None }, None);
    let _ = client.order(&wire::PluginOrder::Reload {});
    let _ = client.use_strategy("qos", "class");
    let _ = client.roll_back("qos");
    let _ = client.doctor();
    let _ = client.openapi();
    let _ = client.ready();
    let _ = client.alive();
}

/// The operation that a request is for.
fn operation(document: &Value, method: &str, path: &str) -> Option<String> {
    let fits = |template: &str| {
        let (template, path) = (template.split('/'), path.split('/'));
        template.clone().count() == path.clone().count()
            && template.zip(path).all(|(place, word)| place == word || place.starts_with('{'))
    };
    let all = document["paths"].as_object()?.iter();
    // Who is named outright comes before who has a place for anything.
    let mut found: Vec<_> = all.filter(|(template, _)| fits(template)).collect();
    found.sort_by_key(|(template, _)| template.matches('{').count());
    let id = &found.first()?.1[method.to_ascii_lowercase()]["operationId"];
    id.as_str().map(str::to_owned)
}

#[test]
fn each_operation_of_the_contract_has_its_method() {
    let scratch = tempfile::TempDir::new().expect("a folder");
    let socket = scratch.path().join("sock");
    let (listener, heard) = (UnixListener::bind(&socket).expect("a socket"), Heard::default());
    thread::spawn({
        let heard = heard.clone();
        move || listen(listener, heard)
    });
    everything(&mut Client::new(&socket));
    let mut command = Command::new(program());
    command.arg("api");
    let document = told(command).json();
    let heard = heard.lock().expect("unpoisoned").clone();
    let asked: BTreeSet<String> = heard
        .iter()
        .map(|(method, path)| operation(&document, method, path).unwrap_or_else(|| panic!("{method} {path}")))
        .collect();
    let operations = document["paths"].as_object().expect("paths").values().flat_map(|methods| {
        methods.as_object().expect("methods").values().filter_map(|told| told["operationId"].as_str())
    });
    let operations: BTreeSet<String> = operations.map(str::to_owned).collect();
    assert_eq!(asked, operations, "a method for each, and nothing else");
}
