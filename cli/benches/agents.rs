//! Goal 16: a lease asked for and given back through the tools that agents see, beside two calls of a bare tool
//! on the same SDK; and a hook's whole process beside an empty one. Interleaved rounds in one run; ratios of
//! medians. Each is shown with a journal on the disk, which is synced twice for a lease, and with one in memory.
#[path = "daemon/figure.rs"]
mod figure;
#[path = "daemon/own.rs"]
mod own;

use bursar_wire::Client;
use figure::{Figure, goal};
use own::{Daemon, program};
use rmcp::{
    ErrorData, RoleClient, RoleServer, ServerHandler, ServiceExt,
    model::{
        CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ServerCapabilities,
        ServerConfig,
    },
    service::{RequestContext, RunningService},
    transport::{
        StreamableHttpServerConfig, StreamableHttpService, TokioChildProcess,
        streamable_http_server::session::never::NeverSessionManager,
    },
};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};
use tempfile::TempDir;

const ROUNDS: usize = 7;
/// Leases, or pairs of bare calls, in one round.
const PAIRS: usize = 200;
/// Processes in one round.
const PROCESSES: usize = 40;
/// A folder that is never written to a disk.
const MEMORY: &str = "/dev/shm";

/// A tool that does nothing.
struct Bare;

impl ServerHandler for Bare {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
    }

    async fn call_tool(
        &self,
        _: CallToolRequestParams,
        _: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        Ok(CallToolResult::success(vec![ContentBlock::text("done")]).into())
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    if let Some(socket) = std::env::args().skip_while(|arg| arg != "--bare-http").nth(1) {
        runtime.block_on(bare_http(Path::new(&socket)));
        return;
    }
    if std::env::args().any(|arg| arg == "--bare") {
        runtime.block_on(async {
            let serving = Bare.serve(rmcp::transport::stdio()).await.expect("both agree");
            let _ = serving.waiting().await;
        });
        return;
    }
    let disk = TempDir::new().expect("a folder");
    places(disk.path()).into_iter().for_each(|(name, folder)| {
        let daemon = Daemon::start(&folder, "");
        runtime.block_on(tools(name, &daemon));
        tools_by_http(name, &daemon, disk.path());
        hooks(name, &daemon);
        drop(daemon);
        let _ = std::fs::remove_dir_all(&folder);
    });
}

fn places(disk: &Path) -> Vec<(&'static str, PathBuf)> {
    let mut places = vec![("on the disk", disk.join("daemon"))];
    match Path::new(MEMORY).is_dir() {
        true => {
            places.push(("in memory", Path::new(MEMORY).join(format!("bursar-bench-{}", std::process::id()))))
        }
        false => println!("there is no {MEMORY}: nothing is measured in memory"),
    }
    places
}

type Agent = RunningService<RoleClient, ()>;

async fn agent(command: tokio::process::Command) -> Agent {
    ().serve(TokioChildProcess::new(command).expect("started")).await.expect("both agree")
}

async fn call(agent: &Agent, tool: &'static str, arguments: Value) -> CallToolResult {
    let arguments = arguments.as_object().cloned().unwrap_or_default();
    agent.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.expect("an answer")
}

async fn tools(place: &str, daemon: &Daemon) {
    let mut bare = tokio::process::Command::new(std::env::current_exe().expect("a path"));
    bare.arg("--bare");
    let mut ours = tokio::process::Command::new(program());
    ours.arg("mcp").env("BURSAR_SOCKET", &daemon.socket);
    let (bare, ours) = (agent(bare).await, agent(ours).await);
    let [mut bares, mut leases] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..2 * PAIRS {
            call(&bare, "nothing", json!({ "cpu": "0.1" })).await;
        }
        bares.push(start.elapsed().as_secs_f64() * 1e6 / PAIRS as f64);
        let start = Instant::now();
        for _ in 0..PAIRS {
            let granted = call(&ours, "resource_allocate", json!({ "cpu": "0.1" })).await;
            let granted = granted.structured_content.expect("data");
            let handle = json!({ "claim": granted["claim"], "fence": granted["fence"] });
            let released = call(&ours, "resource_release", handle).await.structured_content.expect("data");
            assert_eq!(released["status"], "RELEASED", "{granted}");
        }
        leases.push(start.elapsed().as_secs_f64() * 1e6 / PAIRS as f64);
    }
    let (bare, lease) = (Figure::of(bares), Figure::of(leases));
    println!("{place}: two calls of a bare tool   {bare} µs");
    println!("{place}: a lease by the tools       {lease} µs");
    goal(16, &format!("{place}, of a bare tool"), lease.median / bare.median, "×", false, 1.5);
}

/// The tool that does nothing, by HTTP over a unix socket, as the daemon serves its own.
async fn bare_http(socket: &Path) {
    let config =
        StreamableHttpServerConfig::default().with_legacy_session_mode(false).with_json_response(true);
    let service = StreamableHttpService::new(
        || Ok(Bare),
        Arc::new(NeverSessionManager::default()),
        config.disable_allowed_hosts(),
    );
    let listener = tokio::net::UnixListener::bind(socket).expect("a socket");
    axum::serve(listener, axum::Router::new().route_service("/mcp", service)).await.expect("served");
}

/// A call by HTTP; what the tool says.
fn post(client: &mut Client, tool: &str, arguments: Value) -> Value {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": tool, "arguments": arguments } });
    let headers = [("Accept", "application/json, text/event-stream"), ("MCP-Protocol-Version", "2025-11-25")];
    let answer =
        client.request("POST", "/mcp", Some(message.to_string().as_bytes()), &headers).expect("an answer");
    let mut answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    answer["result"]["structuredContent"].take()
}

fn tools_by_http(place: &str, daemon: &Daemon, scratch: &Path) {
    let socket = scratch.join(format!("bare-{}", place.len()));
    let this = std::env::current_exe().expect("a path");
    let mut child = Command::new(this).arg("--bare-http").arg(&socket).spawn().expect("started");
    while std::os::unix::net::UnixStream::connect(&socket).is_err() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (mut bare, mut ours) = (Client::new(&socket), Client::new(&daemon.socket));
    let [mut bares, mut leases] = [const { Vec::new() }; 2];
    for _ in 0..ROUNDS {
        let start = Instant::now();
        for _ in 0..2 * PAIRS {
            post(&mut bare, "nothing", json!({ "cpu": "0.1" }));
        }
        bares.push(start.elapsed().as_secs_f64() * 1e6 / PAIRS as f64);
        let start = Instant::now();
        for _ in 0..PAIRS {
            let granted = post(&mut ours, "resource_allocate", json!({ "cpu": "0.1" }));
            let handle = json!({ "claim": granted["claim"], "fence": granted["fence"] });
            assert_eq!(post(&mut ours, "resource_release", handle)["status"], "RELEASED", "{granted}");
        }
        leases.push(start.elapsed().as_secs_f64() * 1e6 / PAIRS as f64);
    }
    // It is only a bench's.
    let _ = child.kill();
    let _ = child.wait();
    let (bare, lease) = (Figure::of(bares), Figure::of(leases));
    println!("{place}, by HTTP: two calls of a bare tool   {bare} µs");
    println!("{place}, by HTTP: a lease by the tools       {lease} µs");
    goal(16, &format!("{place}, by HTTP, of a bare tool"), lease.median / bare.median, "×", false, 1.5);
}

fn hooks(place: &str, daemon: &Daemon) {
    let heavy = json!({ "hook_event_name": "PreToolUse", "session_id": "s", "tool_name": "Bash",
        "tool_input": { "command": "cargo test" } });
    let [mut empty, mut own, mut before, mut rewritten] = [const { Vec::new() }; 4];
    for round in 0..ROUNDS {
        empty.push(median((0..PROCESSES).map(|_| once(Command::new("/bin/true"), ""))));
        own.push(median((0..PROCESSES).map(|_| {
            let mut command = Command::new(program());
            command.arg("--version");
            once(command, "")
        })));
        before.push(median((0..PROCESSES).map(|n| {
            let task = json!({ "task_id": format!("{round}-{n}"), "cpu": "0.01" }).to_string();
            let took = once(daemon.command(&["hook", "pre-task"]), &task);
            once(daemon.command(&["hook", "post-task"]), &task);
            took
        })));
        rewritten.push(median(
            (0..PROCESSES).map(|_| once(daemon.command(&["hook", "claude-code"]), &heavy.to_string())),
        ));
    }
    let [empty, own, before, rewritten] = [empty, own, before, rewritten].map(Figure::of);
    println!("{place}: /bin/true                  {empty} µs");
    println!("{place}: bursar --version           {own} µs");
    println!("{place}: bursar hook pre-task       {before} µs (goal ≤ 5000)");
    println!("{place}: bursar hook claude-code    {rewritten} µs (goal ≤ 5000)");
}

/// How long a process takes from its start to its end, in microseconds.
fn once(mut command: Command, input: &str) -> f64 {
    let start = Instant::now();
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("started");
    // One that reads nothing may be gone already.
    let _ = child.stdin.take().expect("a pipe").write_all(input.as_bytes());
    assert!(child.wait().expect("an end").success());
    start.elapsed().as_secs_f64() * 1e6
}

fn median(figures: impl Iterator<Item = f64>) -> f64 {
    Figure::of(figures).median
}
