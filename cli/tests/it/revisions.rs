//! The protocol as it goes over the wire: every revision, and who is let in.
use crate::{
    agents::ByHand,
    daemon::{Daemon, Setup},
};
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
};

/// A request under `/mcp` with these headers; the head and the document of the answer.
fn post(stream: &mut (impl Read + Write), headers: &str, body: &Value) -> (String, Value) {
    let body = body.to_string();
    // Who says too much is answered before all of it is said.
    let _ = write!(
        stream,
        "POST /mcp HTTP/1.1\r\nConnection: close\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    let document =
        body.find('{').and_then(|start| serde_json::from_str(body[start..body.rfind('}')? + 1].trim()).ok());
    (head.to_owned(), document.unwrap_or_default())
}

#[test]
fn every_revision_is_spoken_by_one_handler_and_none_needs_a_session() {
    let daemon = Daemon::plain();
    let ask = |headers: &str, body: &Value| {
        post(
            &mut UnixStream::connect(daemon.socket()).expect("connected"),
            &format!("Host: bursar\r\n{headers}"),
            body,
        )
    };
    let calling = json!({ "name": "resource_monitor", "arguments": { "resource": "cpu" } });
    for revision in ["2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"] {
        let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "protocolVersion": revision,
            "capabilities": {}, "clientInfo": { "name": "x", "version": "1" } } });
        let (head, hello) = ask("", &hello);
        assert_eq!(hello["result"]["protocolVersion"], revision, "{head} {hello}");
        assert!(!head.to_lowercase().contains("mcp-session-id"), "{head}");
        let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": calling });
        let (_, answer) = ask(&format!("MCP-Protocol-Version: {revision}\r\n"), &call);
        assert_eq!(answer["result"]["structuredContent"]["status"], "OK", "{revision}: {answer}");
        assert!(answer["result"].get("resultType").is_none(), "{answer}");
    }
    let mut modern = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": calling });
    modern["params"]["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "x", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let headers =
        "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: resource_monitor\r\n";
    let (head, answer) = ask(headers, &modern);
    assert_eq!(answer["result"]["resultType"], "complete", "{head} {answer}");
    let (head, _) = ask(&headers.replace("resource_monitor", "resource_release"), &modern);
    assert!(head.starts_with("HTTP/1.1 400"), "header and body must agree: {head}");
    let (head, _) = ask("Origin: http://evil.example\r\n", &modern);
    assert!(head.starts_with("HTTP/1.1 403"), "{head}");
    let oversize = json!({ "x": "y".repeat(400_000) });
    assert!(ask("", &oversize).0.starts_with("HTTP/1.1 413"));
}

/// What no client of the protocol sends, with the status and the code that each is answered with.
fn rogue() -> Vec<(&'static str, &'static str, Vec<u16>)> {
    const CALL: &str =
        r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"resource_monitor"}}"#;
    vec![
        ("no JSON", "{\"jsonrpc\":", vec![400, 415]),
        ("no object", "7", vec![400, 415, 422]),
        ("a batch", "[{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}]", vec![400, 415, 422]),
        ("no version", r#"{"id":1,"method":"ping"}"#, vec![400, 415, 422]),
        ("an answer that nobody waits for", r#"{"jsonrpc":"2.0","id":9,"result":{}}"#, vec![202, 400]),
        ("an unknown notification", r#"{"jsonrpc":"2.0","method":"notifications/surprise"}"#, vec![202]),
        ("an unknown revision", CALL, vec![400]),
    ]
}

#[test]
fn s_37_to_s_41_what_is_no_call_is_refused_and_ends_nothing() {
    let daemon = Daemon::plain();
    let ask = |headers: &str, body: &str| {
        let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
        write!(
            stream,
            "POST /mcp HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
        .expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("an answer");
        let status = answer.split(' ').nth(1).and_then(|status| status.parse::<u16>().ok());
        (status.expect("a status"), answer)
    };
    for (what, body, statuses) in rogue() {
        let headers = if what == "an unknown revision" { "MCP-Protocol-Version: 1999-01-01\r\n" } else { "" };
        let (status, answer) = ask(headers, body);
        assert!(statuses.contains(&status), "{what}: {answer}");
    }
    let unknown = r#"{"jsonrpc":"2.0","id":1,"method":"tools/surprise"}"#;
    assert!(ask("", unknown).1.contains("-32601"), "{}", ask("", unknown).1);
    // Over standard input and output: none of it ends the server or is in the way of the next call.
    let mut hand = ByHand::start(&daemon, &[]);
    for (_, body, _) in rogue().iter().filter(|(what, ..)| *what != "an unknown revision") {
        hand.say(body.as_bytes());
    }
    hand.say(b"\xff\xfe\x00");
    for n in 0..10_000 {
        hand.notify("notifications/progress", json!({ "progressToken": n, "progress": 1 }));
    }
    hand.send("tools/call", json!({ "name": "resource_monitor", "arguments": { "resource": "cpu" } }));
    let number = hand.last();
    let answered = (0..20).map(|_| hand.read()).find(|answer| answer["id"] == number);
    assert_eq!(answered.expect("an answer")["result"]["structuredContent"]["status"], "OK");
}

#[test]
fn many_who_listen_for_what_never_comes_hold_up_nobody() {
    let daemon = Daemon::plain();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "subscriptions/listen", "params": {
        "notifications": { "toolsListChanged": true },
        "_meta": { "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "x", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {} } } })
    .to_string();
    let listening: Vec<UnixStream> = (0..200)
        .map(|_| {
            let mut stream = UnixStream::connect(daemon.socket()).expect("connected");
            write!(
                stream,
                "POST /mcp HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                 Accept: application/json, text/event-stream\r\nMCP-Protocol-Version: 2026-07-28\r\n\
                 Mcp-Method: subscriptions/listen\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .expect("sent");
            stream
        })
        .collect();
    assert_eq!(daemon.http("GET", "/healthz", "").0, 200);
    let mut hand = ByHand::start(&daemon, &[]);
    assert_eq!(hand.call("resource_monitor", json!({ "resource": "cpu" }))["status"], "OK");
    drop(listening);
}

#[test]
fn over_tcp_agents_need_the_token_and_web_pages_get_nothing() {
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .expect("a port")
        .local_addr()
        .expect("its number")
        .to_string();
    let daemon = Daemon::with(Setup { args: vec!["--http".into(), free.clone()], ..Setup::default() });
    let token = std::fs::read_to_string(daemon.state().join("http-token")).expect("a token");
    let bearer = format!("Authorization: Bearer {}\r\n", token.trim());
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "resource_monitor" } });
    let ask = |headers: &str| post(&mut TcpStream::connect(&free).expect("connected"), headers, &call);
    let host = format!("Host: {free}\r\n");
    assert!(ask(&host).0.starts_with("HTTP/1.1 401"));
    assert!(ask(&format!("{host}{bearer}Origin: http://evil.example\r\n")).0.starts_with("HTTP/1.1 403"));
    assert!(ask(&format!("Host: evil.example\r\n{bearer}")).0.starts_with("HTTP/1.1 403"));
    let (head, answer) = ask(&format!("{host}{bearer}"));
    assert_eq!(answer["result"]["structuredContent"]["status"], "OK", "{head} {answer}");
}
