//! The protocol as it goes over the wire: every revision, and who is let in.
use crate::daemon::{Daemon, Setup};
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
