//! The form that any agent's hooks can speak: `{task_id, scope, cpu, memory, needs, ttl}`, all of it optional,
//! and an answer that says `allow` with the handle, or `deny` with the reason.
use super::{Said, Trouble, Turn, bond};
use crate::args::{Ask, HookEvent};
use bursar_interface::Fence;
use bursar_tenant::ask;
use bursar_wire::{Claim, ClaimAnswer, Failure, RenewBody, SettleBody, UsedBody, duration, quantity};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// Processes of a task that asks for nothing else: it is seen and taken back like any other.
const PIDS: &str = "256";
/// How long the lease of a session lasts that nobody renews.
const SESSION_TTL: &str = "24h";

/// What comes in.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Task {
    /// The agent's own name for it: the same name is the same claim.
    task_id: Option<String>,
    /// Path below one's own root.
    scope: Option<String>,
    /// Cores, as 1.5.
    cpu: Option<Value>,
    /// Bytes, as 512M.
    memory: Option<Value>,
    /// Anything else: amounts by KIND or KIND:POOL.
    needs: Map<String, Value>,
    /// How long the lease lasts without renewal.
    ttl: Option<String>,
    /// How long to wait for it.
    wait: Option<String>,
    /// The process that the lease lives and ends with.
    pid: Option<u32>,
    /// The claim that an earlier hook answered with.
    claim: Option<Value>,
    /// Its token.
    fence: Option<Value>,
    /// What was used, by KIND or KIND:POOL.
    used: Map<String, Value>,
}

/// Answers a hook of the generic form.
pub fn answer(turn: &mut Turn<'_>, input: &Value) -> Result<Said, Trouble> {
    let task: Task = serde_path_to_error::deserialize(input).map_err(|error| {
        let place = Some(error.path().to_string()).filter(|place| place != ".");
        let place = place.map_or_else(String::new, |place| format!("{place}: "));
        Trouble::input(
            format!("{place}{}", error.into_inner()),
            "known are: task_id, scope, cpu, memory, needs, ttl, wait, pid, claim, fence, used",
        )
    })?;
    match turn.hook.event {
        HookEvent::PreTask => begin(turn, &task, None),
        HookEvent::SessionStart => {
            let agent = task.pid.or_else(|| turn.agent());
            begin(turn, &task, agent)
        }
        HookEvent::Progress => progress(turn, &task),
        _ => end(turn, &task),
    }
}

/// A claim for the task; bound to its process where it says which.
fn begin(turn: &mut Turn<'_>, task: &Task, agent: Option<u32>) -> Result<Said, Trouble> {
    let mut asked = asked(&turn.hook.ask, task)?;
    if agent.is_some() {
        asked.ttl.get_or_insert_with(|| SESSION_TTL.into());
    }
    let body = ask::body(&asked)?;
    let wait = body.wait.as_deref().and_then(|wait| duration(wait).ok()).unwrap_or_default();
    turn.client = turn.context.client().patience(super::PATIENCE.saturating_add(wait));
    let mut claim = turn.ask(name(turn, task).as_deref(), &body)?;
    if let Some(pid) = task.pid.or(agent) {
        claim = match turn.attach(&claim, pid) {
            Ok(claim) => claim,
            Err(trouble) => {
                // Without its process the lease would be nobody's.
                let _ = turn.release(claim.id, Fence(claim.fence.unwrap_or(0)));
                return Err(trouble);
            }
        };
    }
    let environment = json!({
        "BURSAR_CLAIM": claim.id.to_string(),
        "BURSAR_FENCE": claim.fence.unwrap_or(0).to_string(),
        "BURSAR_SOCKET": turn.context.socket.path,
    });
    let mut said = told(&claim);
    said["env"] = environment;
    Ok(Said::fine(said))
}

/// The options of the command line, with what the task says in their place.
fn asked(options: &Ask, task: &Task) -> Result<Ask, Trouble> {
    let mut asked = options.clone();
    let own = |mine: &Option<Value>, key: &str| mine.as_ref().map(|value| figure(key, value)).transpose();
    asked.cpu = own(&task.cpu, "cpu")?.or(asked.cpu);
    asked.memory = own(&task.memory, "memory")?.or(asked.memory);
    for (kind, amount) in &task.needs {
        asked.need.push(format!("{kind}={}", figure(kind, amount)?));
    }
    asked.scope = task.scope.clone().unwrap_or(asked.scope);
    asked.ttl = task.ttl.clone().or(asked.ttl);
    asked.wait = task.wait.clone().or(asked.wait);
    if asked.is_bare() {
        asked.pids = Some(PIDS.into());
    }
    Ok(asked)
}

/// An amount as text, which may stand there as a number.
fn figure(key: &str, value: &Value) -> Result<String, Trouble> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(Trouble::input(format!("{key} is {other}"), "write an amount, as \"1.5\" or \"512M\"")),
    }
}

/// What the task's claim is found by.
fn name(turn: &Turn<'_>, task: &Task) -> Option<String> {
    let scope = task.scope.as_deref().unwrap_or(&turn.hook.ask.scope);
    let kind = match turn.hook.event {
        HookEvent::SessionStart | HookEvent::SessionEnd => "session",
        _ => "task",
    };
    match (&task.task_id, kind) {
        (Some(id), _) => Some(bond::path(&[kind, &bond::level(scope), &bond::level(id)])),
        // A session may be named by its scope alone.
        (None, "session") => Some(bond::path(&[kind, &bond::level(scope)])),
        (None, _) => None,
    }
}

/// Claim and fence: passed, or found by the task's name.
fn handle(turn: &mut Turn<'_>, task: &Task) -> Result<Option<(u64, Fence)>, Trouble> {
    if let (Some(claim), Some(fence)) = (&task.claim, &task.fence) {
        let number = |key: &str, value: &Value| {
            let text = figure(key, value)?;
            text.parse::<u64>()
                .map_err(|_| Trouble::input(format!("{key} is {text:?}"), "pass what pre-task answered"))
        };
        return Ok(Some((number("claim", claim)?, Fence(number("fence", fence)?))));
    }
    let name = name(turn, task).ok_or_else(|| {
        Trouble::input("there is no task_id, nor claim and fence", "pass what pre-task was given or answered")
    })?;
    let found = turn.find(&name)?;
    Ok(found.map(|claim| (claim.id, Fence(claim.fence.unwrap_or(0)))))
}

/// Renews: a task that goes on keeps its lease.
fn progress(turn: &mut Turn<'_>, task: &Task) -> Result<Said, Trouble> {
    let Some((id, fence)) = handle(turn, task)? else {
        return Ok(Said::fine(json!({ "decision": "allow", "managed": false })));
    };
    let body = RenewBody { fence, ttl: task.ttl.clone() };
    let answer: ClaimAnswer = turn.client.send("POST", &format!("/v1/claims/{id}/renew"), &body, None)?;
    Ok(Said::fine(told(&answer.claim)))
}

/// Says what was used and gives everything back. What has ended by itself is no failure.
fn end(turn: &mut Turn<'_>, task: &Task) -> Result<Said, Trouble> {
    let Some((id, fence)) = handle(turn, task)? else {
        return Ok(Said::fine(json!({ "decision": "allow", "managed": false })));
    };
    let used = task.used.iter().map(|(kind, amount)| {
        let (resource, pool) =
            kind.split_once(':').map_or((kind.as_str(), None), |(kind, pool)| (kind, Some(pool)));
        let amount = quantity(resource, &figure(kind, amount)?)
            .map_err(|why| Trouble::input(why, "write what was used as an amount"))?;
        Ok(UsedBody { resource: resource.into(), pool: pool.map(str::to_owned), amount: amount.to_string() })
    });
    let used = used.collect::<Result<Vec<_>, Trouble>>()?;
    let settled = match used.is_empty() {
        true => Ok(()),
        false => {
            let path = format!("/v1/claims/{id}/settle");
            turn.client.send::<ClaimAnswer>("POST", &path, &SettleBody { fence, used }, None).map(drop)
        }
    };
    // What is told wrongly keeps nothing from being given back.
    let released = turn.release(id, fence);
    match settled.map_err(Trouble::from).and(released) {
        Ok(claim) => Ok(Said::fine(told(&claim))),
        Err(Trouble::Daemon(Failure::Refused(error))) if error.reason == "LeaseExpired" => {
            Ok(Said::fine(json!({ "decision": "allow", "claim": id.to_string(), "phase": "closed" })))
        }
        Err(trouble) => Err(trouble),
    }
}

fn told(claim: &Claim) -> Value {
    let (pressed, use_at_most) = claim.pressed();
    json!({
        "decision": "allow",
        "managed": true,
        "claim": claim.id.to_string(),
        "fence": claim.fence.map(|fence| fence.to_string()),
        "scope": claim.scope,
        "phase": claim.phase,
        "node": claim.node,
        "lease_until": claim.lease_until,
        "lines": claim.lines,
        // What its holder is to know: whether something is taken back, and whether it is to use less memory.
        "taking": claim.taking(),
        "pressed": pressed,
        "use_at_most_bytes": use_at_most.map(|bytes| bytes.to_string()),
    })
}
