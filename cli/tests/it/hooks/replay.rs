//! A whole session of an agent's command line, event by event in its documented format, through the hooks that the
//! settings in `examples/` register, as that command line calls them; heavy commands run as they were rewritten.
use super::{Agent, SMALL};
use crate::daemon::{Daemon, program};
use serde_json::Value;
use std::{fs, path::Path};

/// Written by hand from the documented format of Claude Code's hooks, one event a line.
const SESSION: &str = include_str!("session.jsonl");
/// Of its commands, those that are heavy.
const HEAVY: usize = 3;

fn settings() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples/claude-code/settings.json");
    serde_json::from_slice(&fs::read(path).expect("a file")).expect("JSON")
}

/// The command lines that are registered for an event.
fn registered(settings: &Value, event: &Value) -> Vec<String> {
    let name = event["hook_event_name"].as_str().expect("a name");
    let groups = settings["hooks"][name].as_array().map(Vec::as_slice).unwrap_or_default();
    let tool = event["tool_name"].as_str().unwrap_or_default();
    let fits = |group: &&Value| group["matcher"].as_str().is_none_or(|matcher| matcher == tool);
    let hooks = groups.iter().filter(fits).flat_map(|group| group["hooks"].as_array().expect("hooks"));
    hooks.map(|hook| hook["command"].as_str().expect("a command").to_owned()).collect()
}

/// What a command line of the settings says to an event.
fn hear(agent: &mut Agent, line: &str, event: &Value) -> Value {
    let folder = program().parent().expect("a folder").display().to_string();
    let quoted = event.to_string().replace('\'', r"'\''");
    let said = agent.run(&format!("printf '%s' '{quoted}' | PATH=\"{folder}:$PATH\" {line}"));
    serde_json::from_str(said.trim()).unwrap_or_else(|error| panic!("{line}: {error}: {said}"))
}

/// Runs a command as its tool would; what it wrote, in one line, with how it ended.
fn run(daemon: &Daemon, agent: &mut Agent, command: &str) -> String {
    let script = daemon.scratch.path().join("tool");
    fs::write(&script, command).expect("written");
    agent.run(&format!("sh {} 2>/dev/null; echo code $?", script.display()))
}

#[test]
fn a_session_of_an_agent_is_replayed_from_start_to_end() {
    let daemon = Daemon::configured(SMALL);
    let (settings, mut agent) = (settings(), Agent::start(&daemon));
    let (mut rewritten, mut calls) = (Vec::new(), 0);
    for line in SESSION.lines() {
        let event: Value = serde_json::from_str(line).expect("JSON");
        for hook in registered(&settings, &event) {
            calls += 1;
            let said = hear(&mut agent, &hook, &event);
            let output = &said["hookSpecificOutput"];
            match event["hook_event_name"].as_str() {
                Some("SessionStart") => assert!(output["additionalContext"].is_string(), "{said}"),
                Some("PreToolUse") if output.is_object() => {
                    let command = output["updatedInput"]["command"].as_str().expect("a command").to_owned();
                    assert_eq!(output["updatedInput"]["timeout"], event["tool_input"]["timeout"]);
                    rewritten.push((event["agent_id"].clone(), run(&daemon, &mut agent, &command)));
                }
                _ => assert_eq!(said, serde_json::json!({}), "{line}"),
            }
        }
    }
    assert_eq!((calls, rewritten.len()), (10, HEAVY));
    let said: Vec<&str> = rewritten.iter().map(|(_, said)| said.trim()).collect();
    let built = "GNU Makeit's  built as \"it\" stands — 42% code 0";
    assert_eq!(said, ["explored code 0", built, "code 2"], "as it would have been without a lease");
    let claims = daemon.ask(&["get", "claims"])["claims"].as_array().expect("claims").clone();
    let session = format!(
        "session-{}",
        serde_json::from_str::<Value>(SESSION.lines().next().expect("one")).expect("JSON")["session_id"]
            .as_str()
            .expect("text")
    );
    assert!(
        claims.iter().all(|claim| claim["scope"].as_str().is_some_and(|scope| scope.starts_with(&session)))
    );
    let ended = |ending: &str| claims.iter().filter(|claim| claim["ending"] == ending).count();
    // The session's own, those of its heavy commands, and those of both subagents: of one nobody told the end.
    assert_eq!(
        (claims.len(), ended("released"), ended("cancelled")),
        (1 + HEAVY + 2, HEAVY, 2),
        "{claims:?}"
    );
    let below = claims
        .iter()
        .filter(|claim| claim["scope"].as_str().is_some_and(|scope| scope.contains("agent-a4f1c09")));
    assert_eq!(below.count(), 2, "the subagent's own, and its heavy command's");
    assert_eq!(daemon.claim("1")["phase"], "held", "the agent still lives");
    drop(agent);
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "process_gone");
    assert_eq!(daemon.taken(), 0);
}
