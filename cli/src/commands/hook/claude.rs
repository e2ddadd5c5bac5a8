//! Claude Code's hooks: a session is a scope, a subagent a scope below it, and a heavy command gets a lease of
//! its own inside. The session's lease holds the agent's process: when that is gone, so is everything that it
//! started, and nothing has to be told.
//!
//! Nothing of what the agent passes is ever told back to it: what is said to the model is ours.
use super::{
    Said, Trouble, Turn,
    bond::{level, path, within},
    heavy,
};
use crate::args::{Ask, Decide, Fail};
use bursar_interface::Fence;
use bursar_tenant::{ask, say};
use bursar_wire::{Claim, ClaimAnswer, Claims};
use serde_json::{Value, json};
use std::io::Write;

/// How long the lease of a session lasts whose agent lives: as long as any may. Its end is the agent's end.
const SESSION_TTL: &str = "720h";
/// How long the lease of a subagent lasts whose end nobody tells.
const SUBAGENT_TTL: &str = "6h";
/// The exit code at which the agent does not do what it was about to do.
const BLOCKS: u8 = 2;
/// What the model is told at the start.
const WELCOME: &str = "This machine is shared. Heavy commands (builds, tests) run inside leases of Bursar and \
    may wait for their turn. If one is killed for passing its own limit, make it smaller or ask the user for a \
    larger lease.";
/// What the model is told when a command may not run.
const CLOSED: &str = "No resource daemon answers, and heavy commands do not run without one. Ask the user to \
    start `bursar serve`.";

/// Answers a hook. A hook that cannot do its part is not in the agent's way, unless it is to be.
pub fn answer(turn: &mut Turn<'_>, input: &Value) -> Said {
    let text = |key: &str| input[key].as_str().unwrap_or_default();
    let session = format!("session-{}", level(text("session_id")));
    let agent = text("agent_id");
    let subagent = if agent.is_empty() { String::new() } else { format!("agent-{}", level(agent)) };
    let done = match text("hook_event_name") {
        "SessionStart" => session_start(turn, &session),
        "SessionEnd" => give_back(turn, &session, ""),
        "SubagentStart" if !subagent.is_empty() => subagent_start(turn, &session, &subagent),
        "SubagentStop" if !subagent.is_empty() => give_back(turn, &session, &subagent),
        "PreToolUse" => return before_tool(turn, input, &session, &subagent),
        // What a command used is measured and given back by the `bursar run` that it became.
        _ => Ok(json!({})),
    };
    match done {
        Ok(document) => Said::fine(document),
        Err(trouble) => {
            say(trouble.error());
            Said::fine(json!({}))
        }
    }
}

/// What is said where it cannot be told what is happening: nothing, for the agent is not to be held up by what a
/// hook cannot read; where hooks fail closed, that it does not go on.
pub fn unread(turn: &Turn<'_>, trouble: &Trouble) -> Said {
    say(trouble.error());
    Said { document: json!({}), code: if turn.open() { 0 } else { BLOCKS } }
}

/// The session's lease, with the agent in it. Whoever lives in a lease already is accounted for there.
fn session_start(turn: &mut Turn<'_>, session: &str) -> Result<Value, Trouble> {
    let welcome = json!({
        "hookSpecificOutput": { "hookEventName": "SessionStart", "additionalContext": WELCOME },
    });
    if within().is_some() {
        return Ok(welcome);
    }
    let scope = path(&[&turn.hook.ask.scope, session]);
    let asked =
        Ask { need: turn.hook.session.clone(), ttl: Some(SESSION_TTL.into()), scope, ..Ask::default() };
    let claim = turn.ask(Some(session), &ask::body(&asked)?)?;
    let agent = turn
        .agent()
        .ok_or_else(|| Trouble::input("the agent's process is not known", "name it with --agent-pid"))?;
    if let Err(trouble) = turn.attach(&claim, agent) {
        let _ = turn.release(claim.id, Fence(claim.fence.unwrap_or(0)));
        return Err(trouble);
    }
    tell_commands(turn, &claim);
    Ok(welcome)
}

/// What the agent's commands find in their environment, where it has a file for that.
fn tell_commands(turn: &Turn<'_>, claim: &Claim) {
    let Some(file) = std::env::var_os("CLAUDE_ENV_FILE") else { return };
    let socket = heavy::quoted(&turn.context.socket.path.to_string_lossy());
    let told = std::fs::OpenOptions::new().append(true).create(true).open(file).and_then(|mut file| {
        writeln!(file, "export BURSAR_CLAIM={}\nexport BURSAR_SOCKET={socket}", claim.id)
    });
    if let Err(error) = told {
        say(format_args!("the session's environment cannot be written: {error}"));
    }
}

/// A subagent's lease, where it is to have one.
fn subagent_start(turn: &mut Turn<'_>, session: &str, subagent: &str) -> Result<Value, Trouble> {
    if !turn.hook.subagent.is_empty() {
        let scope = turn.scope(session, subagent);
        let need = turn.hook.subagent.clone();
        let asked = Ask { need, ttl: Some(SUBAGENT_TTL.into()), scope, ..Ask::default() };
        turn.ask(Some(&path(&[session, subagent])), &ask::body(&asked)?)?;
    }
    Ok(json!({}))
}

/// Cancels what a session or a subagent has left: all of its claims but those that hold its processes, which
/// end with them.
fn give_back(turn: &mut Turn<'_>, session: &str, subagent: &str) -> Result<Value, Trouble> {
    let levels = format!("/{}/", path(&[session, subagent]));
    let claims = turn.client.get::<Claims>("/v1/claims")?.claims;
    let left = |claim: &&Claim| {
        let lives = claim.phase != "closed" && claim.phase != "draining";
        lives && claim.pids.is_empty() && format!("/{}/", claim.scope).contains(&levels)
    };
    for claim in claims.iter().filter(left) {
        // It may have ended meanwhile; and one that is not ours to end is not ended.
        let _ = turn.client.send::<ClaimAnswer>(
            "POST",
            &format!("/v1/claims/{}/cancel", claim.id),
            &json!({}),
            None,
        );
    }
    Ok(json!({}))
}

/// A heavy command is written so that it runs inside a lease of its own.
fn before_tool(turn: &mut Turn<'_>, input: &Value, session: &str, subagent: &str) -> Said {
    let line = input["tool_input"]["command"].as_str().filter(|_| input["tool_name"] == "Bash");
    let heavy = |line: &&str| heavy::is_heavy(line, &turn.hook.heavy) && !heavy::is_leased(line);
    let Some(line) = line.filter(heavy) else { return Said::fine(json!({})) };
    if !turn.client.alive() {
        return match turn.hook.fail {
            Fail::Open => Said::fine(json!({})),
            Fail::Closed => Said::fine(decided("deny", CLOSED)),
        };
    }
    let scope = turn.scope(session, subagent);
    let program = std::env::current_exe().map_or_else(
        |_| "bursar".into(),
        |full| full.with_file_name("bursar").to_string_lossy().into_owned(),
    );
    let socket = turn.context.socket.named.then(|| turn.context.socket.path.to_string_lossy().into_owned());
    let leased = heavy::leased(line, &scope, &turn.hook.ask, &program, socket.as_deref());
    let mut tool_input = input["tool_input"].clone();
    tool_input["command"] = leased.into();
    // Where nobody is asked about anything, nobody is asked about this.
    let unasked = input["permission_mode"] == "bypassPermissions" || turn.hook.decide == Decide::Allow;
    let mut document = decided(if unasked { "allow" } else { "ask" }, "runs inside a lease of Bursar");
    document["hookSpecificOutput"]["updatedInput"] = tool_input;
    Said::fine(document)
}

fn decided(decision: &str, why: &str) -> Value {
    json!({
        "hookSpecificOutput": {
            "hookEventName": "PreToolUse",
            "permissionDecision": decision,
            "permissionDecisionReason": why,
        },
    })
}

impl Turn<'_> {
    /// The scope of a session or a subagent as it is said from here: below the lease that this process lives
    /// in, which may be the session's own.
    fn scope(&mut self, session: &str, subagent: &str) -> String {
        let lease = within().and_then(|id| self.client.get::<ClaimAnswer>(&format!("/v1/claims/{id}")).ok());
        let scope = lease.map(|lease| lease.claim.scope);
        match scope {
            Some(scope) if scope.rsplit('/').next() == Some(session) => subagent.to_owned(),
            Some(_) => path(&[session, subagent]),
            None => path(&[&self.hook.ask.scope, session, subagent]),
        }
    }
}
