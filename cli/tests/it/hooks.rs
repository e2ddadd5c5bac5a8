//! Hooks as agents call them: a process each, one JSON object in, one out.
mod replay;

use crate::daemon::{Daemon, program};
use serde_json::{Value, json};
use std::{
    io::Write,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const SMALL: &str = "[node.capacity]\ncpu = \"2\"\n[enforce]\ngrace-ms = 100\n";
const SESSION: &str = "0b9c5a52-5d5f-4b6e-9a39-7c3a0f6d2c11";

/// What a hook says to an object, and its exit code.
fn hook_at(socket: &Path, args: &[&str], input: &Value) -> (i32, Value) {
    told(socket, args, input.to_string().as_bytes())
}

/// What a hook says to whatever comes in, and its exit code.
fn told(socket: &Path, args: &[&str], input: &[u8]) -> (i32, Value) {
    let mut command = Command::new(program());
    command.arg("hook").args(args).env("BURSAR_SOCKET", socket).env_remove("CLAUDE_ENV_FILE");
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program");
    child.stdin.take().expect("a pipe").write_all(input).expect("sent");
    let output = child.wait_with_output().expect("an end");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    (output.status.code().unwrap_or(-1), said)
}

pub(crate) fn hook(daemon: &Daemon, args: &[&str], input: Value) -> (i32, Value) {
    hook_at(&daemon.socket(), args, &input)
}

#[test]
fn a_task_from_its_beginning_to_its_end() {
    let daemon = Daemon::configured(&format!(
        "{SMALL}[[pool]]\nresource = \"usd\"\nname = \"acct\"\ncapacity = \"5\"\n"
    ));
    let task = json!({ "task_id": "t/1", "scope": "team", "cpu": 1.5, "memory": "64M", "needs": { "usd:acct": 0.5 }, "ttl": "1m" });
    let (code, begun) = hook(&daemon, &["pre-task"], task.clone());
    assert_eq!((code, &begun["decision"], &begun["scope"]), (0, &json!("allow"), &json!("team")), "{begun}");
    assert_eq!(begun["env"]["BURSAR_CLAIM"], begun["claim"]);
    // The same task is the same claim, for whoever is not sure that it was heard.
    assert_eq!(hook(&daemon, &["pre-task"], task.clone()).1["claim"], begun["claim"]);
    let (code, denied) = hook(&daemon, &["pre-task"], json!({ "task_id": "t2", "cpu": 1 }));
    assert_eq!(
        (code, &denied["decision"], &denied["reason"]),
        (4, &json!("deny"), &json!("InsufficientCapacity"))
    );
    assert!(denied["hint"].as_str().is_some_and(|hint| !hint.is_empty()));
    for (task, place) in [(json!({ "needs": ["cpu"] }), "needs: "), (json!({ "pid": "me" }), "pid: ")] {
        let (code, denied) = hook(&daemon, &["pre-task"], task);
        let message = denied["message"].as_str().expect("text");
        assert!(code == 2 && message.starts_with(place), "{denied}");
    }
    let named = json!({ "task_id": "t/1", "scope": "team" });
    let renewed = hook(&daemon, &["progress"], named.clone()).1;
    // An agent that asks from time to time hears whether it is to use less.
    assert_eq!(
        (&renewed["taking"], &renewed["pressed"], &renewed["use_at_most_bytes"]),
        (&json!("none"), &json!("none"), &Value::Null)
    );
    let until = |said: &Value| {
        said["lease_until"].as_str().expect("a time").parse::<jiff::Timestamp>().expect("RFC 3339")
    };
    assert!(until(&renewed) >= until(&begun), "{renewed}");
    let mut over = named;
    over["used"] = json!({ "usd:acct": "0.2" });
    let (code, ended) = hook(&daemon, &["post-task"], over);
    assert_eq!(
        (code, &ended["decision"], &ended["phase"]),
        (0, &json!("allow"), &json!("closed")),
        "{ended}"
    );
    let claim = daemon.claim("1");
    assert_eq!(claim["ending"], "released");
    let usd = claim["lines"]
        .as_array()
        .and_then(|lines| lines.iter().find(|line| line["resource"] == "usd"))
        .cloned();
    assert_eq!(usd.expect("a line")["used"], "200000");
    // A task that was refused may try again, and so may one that has ended.
    let (code, again) = hook(&daemon, &["pre-task"], json!({ "task_id": "t2", "cpu": 1 }));
    assert_eq!((code, &again["decision"]), (0, &json!("allow")), "{again}");
    let handle = json!({ "claim": again["claim"], "fence": again["fence"] });
    assert_eq!(hook(&daemon, &["post-task"], handle.clone()).0, 0);
    assert_eq!(hook(&daemon, &["post-task"], handle).1["phase"], "closed");
    let (code, third) = hook(&daemon, &["pre-task"], task);
    assert!(code == 0 && third["claim"] != begun["claim"], "{third}");
    let (code, unnamed) = hook(&daemon, &["pre-task"], json!({}));
    assert_eq!((code, &unnamed["lines"][0]["resource"]), (0, &json!("pids")));
}

#[test]
fn what_is_wrong_is_told_by_name() {
    let daemon = Daemon::plain();
    for (args, input, told) in [
        (["pre-task"], json!({ "colour": "red" }), "colour"),
        (["pre-task"], json!({ "cpu": "lots" }), "lots"),
        (["pre-task"], json!({ "cpu": [1] }), "cpu"),
        (["progress"], json!({}), "task_id"),
        (["post-task"], json!({ "claim": "x", "fence": "1" }), "claim"),
        (["post-task"], json!([1]), "object"),
    ] {
        let (code, said) = hook(&daemon, &args, input);
        assert!(code == 2 && said["decision"] == "deny", "{said}");
        assert!(said["message"].as_str().is_some_and(|message| message.contains(told)), "{said}");
    }
    let (code, lost) = hook(&daemon, &["progress"], json!({ "claim": "99", "fence": "1" }));
    assert_eq!((code, &lost["reason"]), (3, &json!("UnknownClaim")));
    // A task that is not known has nothing to give back.
    assert_eq!(
        hook(&daemon, &["post-task"], json!({ "task_id": "never" })),
        (0, json!({ "decision": "allow", "managed": false }))
    );
}

#[test]
fn a_daemon_out_of_reach_fails_open_or_closed_at_once() {
    let nowhere = Path::new("/nonexistent/bursar.sock");
    let heavy = json!({ "hook_event_name": "PreToolUse", "session_id": SESSION, "tool_name": "Bash",
        "tool_input": { "command": "cargo test" } });
    let since = Instant::now();
    let (code, open) = hook_at(nowhere, &["pre-task"], &json!({ "cpu": 1 }));
    assert_eq!((code, &open["decision"], &open["managed"]), (0, &json!("allow"), &json!(false)));
    let (code, closed) = hook_at(nowhere, &["pre-task", "--fail", "closed"], &json!({ "cpu": 1 }));
    assert_eq!((code, &closed["decision"], &closed["reason"]), (5, &json!("deny"), &json!("Unreachable")));
    assert_eq!(hook_at(nowhere, &["claude-code"], &heavy), (0, json!({})));
    let denied = hook_at(nowhere, &["claude-code", "--fail", "closed"], &heavy).1;
    assert_eq!(denied["hookSpecificOutput"]["permissionDecision"], "deny");
    let start = json!({ "hook_event_name": "SessionStart", "session_id": SESSION, "source": "startup" });
    assert_eq!(hook_at(nowhere, &["claude-code"], &start), (0, json!({})));
    assert!(since.elapsed() < Duration::from_secs(5), "at once: {:?}", since.elapsed());
}

#[test]
fn an_agent_is_not_held_up_by_what_a_hook_cannot_read() {
    let nowhere = Path::new("/nonexistent/bursar.sock");
    let long = json!({ "hook_event_name": "PreToolUse", "tool_name": "Write",
        "tool_input": { "content": "x".repeat(5 << 20) } });
    for input in
        [b"{\"hook_event_name\": \"PreToo".as_slice(), b"[1]", b"\xff\xfe", long.to_string().as_bytes()]
    {
        assert_eq!(told(nowhere, &["claude-code"], input), (0, json!({})));
        // The exit code at which Claude Code does not do what it was about to do.
        assert_eq!(told(nowhere, &["claude-code", "--fail", "closed"], input), (2, json!({})));
    }
    let (code, said) = told(nowhere, &["pre-task"], long.to_string().as_bytes());
    assert!(code == 2 && said["message"].as_str().is_some_and(|told| told.contains("longer than")), "{said}");
    for odd in [
        json!({}),
        json!({ "hook_event_name": 7, "session_id": [] }),
        json!({ "hook_event_name": "Tomorrow" }),
    ] {
        assert_eq!(hook_at(nowhere, &["claude-code", "--fail", "closed"], &odd), (0, json!({})), "{odd}");
    }
}

/// A stand-in for an agent: a process that runs hooks and commands as its children, told to on its standard
/// input, and says what came of them.
struct Agent {
    child: Child,
    out: std::io::BufReader<std::process::ChildStdout>,
}

impl Agent {
    fn start(daemon: &Daemon) -> Agent {
        // Not named like a shell, so that it is taken for the agent that starts them.
        let name = daemon.scratch.path().join("agent");
        std::os::unix::fs::symlink("/bin/bash", &name).expect("a link");
        let script = "while IFS= read -r line; do sh -c \"$line; true\" 2>&1 | tr '\\n' ' '; echo; done";
        let mut command = Command::new(name);
        command.args(["-c", script]).env("BURSAR_SOCKET", daemon.socket()).env_remove("CLAUDE_ENV_FILE");
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("bash");
        let out = std::io::BufReader::new(child.stdout.take().expect("a pipe"));
        Agent { child, out }
    }

    /// Runs a line and returns what it wrote.
    fn run(&mut self, line: &str) -> String {
        let into = self.child.stdin.as_mut().expect("a pipe");
        writeln!(into, "{line}").expect("told");
        let mut said = String::new();
        std::io::BufRead::read_line(&mut self.out, &mut said).expect("a line");
        said
    }

    fn hook(&mut self, args: &str, input: &Value) -> Value {
        let quoted = input.to_string().replace('\'', r"'\''");
        let said =
            self.run(&format!("printf '%s' '{quoted}' | {} hook claude-code {args}", program().display()));
        serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{error}: {said}"))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn event(name: &str, more: Value) -> Value {
    let mut event = json!({ "session_id": SESSION, "transcript_path": "/t.jsonl", "cwd": "/", "permission_mode": "default",
        "hook_event_name": name });
    more.as_object().into_iter().flatten().for_each(|(key, value)| event[key] = value.clone());
    event
}

fn bash(command: &str) -> Value {
    json!({ "tool_name": "Bash", "tool_input": { "command": command, "description": "d", "timeout": 1000 }, "tool_use_id": "toolu_1" })
}

#[test]
fn a_session_of_claude_code_from_start_to_end() {
    let daemon = Daemon::configured(SMALL);
    let grouped = daemon.ask(&["doctor"])["findings"][0]["state"] == "ok";
    let scope = format!("session-{SESSION}");
    let mut agent = Agent::start(&daemon);
    let pid = agent.child.id();
    let welcome = agent.hook("", &event("SessionStart", json!({ "source": "startup", "model": "m" })));
    assert!(welcome["hookSpecificOutput"]["additionalContext"].is_string(), "{welcome}");
    let session = daemon.claim("1");
    assert_eq!(
        (&session["scope"], &session["phase"], &session["pids"]),
        (&json!(scope), &json!("held"), &json!([pid]))
    );
    // Resumed, the session is the same.
    agent.hook("", &event("SessionStart", json!({ "source": "resume" })));
    assert_eq!(daemon.ask(&["get", "claims"])["claims"].as_array().map(Vec::len), Some(1));
    assert_eq!(agent.hook("", &event("PreToolUse", bash("ls -l"))), json!({}));
    let heavy = event("PreToolUse", bash("echo \"it's\"; make --version >/dev/null; echo $BURSAR_CLAIM"));
    let told = agent.hook("--cpu 0.5 --wait 10s", &heavy);
    let output = &told["hookSpecificOutput"];
    assert_eq!(
        (&output["permissionDecision"], &output["updatedInput"]["timeout"]),
        (&json!("ask"), &json!(1000))
    );
    let line = output["updatedInput"]["command"].as_str().expect("a command").to_owned();
    assert!(line.contains(" run --cpu 0.5 --wait 10s"), "{line}");
    // It runs, as it is written, in the session's scope, inside a lease of its own, which is given back.
    let script = daemon.scratch.path().join("line");
    std::fs::write(&script, line).expect("written");
    let said = agent.run(&format!("sh {}", script.display()));
    assert!(said.contains("it's 2"), "{said}");
    let lease = daemon.await_phase("2", "closed");
    assert_eq!(lease["ending"], "released");
    if grouped {
        assert_eq!(lease["scope"], json!(scope));
    }
    let unasked = agent.hook("--decide allow", &event("PreToolUse", bash("cargo test")));
    assert_eq!(unasked["hookSpecificOutput"]["permissionDecision"], "allow");
    // A subagent is a scope below, and what it leaves is given back.
    let sub = json!({ "agent_id": "a1", "agent_type": "Explore" });
    agent.hook("--subagent pids=10", &event("SubagentStart", sub.clone()));
    let held = daemon.claim("3");
    assert!(
        held["scope"].as_str().is_some_and(|path| path.ends_with("/agent-a1")) && held["phase"] == "held",
        "{held}"
    );
    let mut within = bash("make all");
    within["agent_id"] = "a1".into();
    let told = agent.hook("", &event("PreToolUse", within));
    let line = told["hookSpecificOutput"]["updatedInput"]["command"].as_str().expect("a command");
    assert!(line.contains("agent-a1"), "{line}");
    agent.hook("", &event("SubagentStop", sub));
    assert_eq!(daemon.await_phase("3", "closed")["ending"], "cancelled");
    assert_eq!(agent.hook("", &event("PostToolUse", bash("make"))), json!({}));
    assert_eq!(agent.hook("", &event("Stop", json!({ "stop_hook_active": false }))), json!({}));
    assert_eq!(agent.hook("", &event("SessionEnd", json!({ "reason": "exit" }))), json!({}));
    assert_eq!(daemon.claim("1")["phase"], "held", "the agent still lives");
    // When the agent is gone, so is its lease, and nobody had to say so.
    drop(agent);
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "process_gone");
    assert_eq!(daemon.taken(), 0);
}

#[test]
fn the_settings_that_are_shown_work_as_they_stand() {
    let daemon = Daemon::configured(SMALL);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/claude-code/settings.json");
    let settings: Value = serde_json::from_slice(&std::fs::read(path).expect("a file")).expect("JSON");
    let mut agent = Agent::start(&daemon);
    let folder = program().parent().expect("a folder").display().to_string();
    for (name, hooks) in settings["hooks"].as_object().expect("hooks") {
        let line = hooks[0]["hooks"][0]["command"].as_str().expect("a command");
        let more = json!({ "agent_id": "a1", "tool_name": "Bash", "tool_input": { "command": "make" } });
        let quoted = event(name, more).to_string();
        let said = agent.run(&format!("printf '%s' '{quoted}' | PATH=\"{folder}:$PATH\" {line}"));
        let said: Value =
            serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{line}: {error}: {said}"));
        assert_eq!(
            said.get("hookSpecificOutput").is_some(),
            ["SessionStart", "PreToolUse"].contains(&name.as_str())
        );
    }
    let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
    assert_eq!(claims.len(), 2, "the session's and the subagent's: {claims:?}");
}
