//! `bursar hook`: what an agent's own hooks call before, while and after it does something. One JSON object
//! comes in, one goes out, and a daemon that is out of reach is told at once: open or closed, as configured.
mod bond;
mod claude;
mod generic;
mod heavy;

use super::{Context, show};
use crate::args::{Fail, Hook, HookEvent, Output};
use bursar_interface::Reason;
use bursar_wire::{Client, ErrorBody, Failure, exit_code};
use serde_json::{Value, json};
use std::{io::Read, process::ExitCode, time::Duration};

/// Bytes that may come in.
const INPUT_BYTES_MAX: u64 = 4 << 20;
/// How long the daemon may take for an answer that waits for nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// What goes out, and the exit code.
struct Said {
    document: Value,
    code: u8,
}

impl Said {
    /// All is well.
    fn fine(document: Value) -> Said {
        Said { document, code: 0 }
    }
}

/// Why there is nothing to say.
#[derive(Debug)]
enum Trouble {
    /// What came in cannot be read.
    Input(ErrorBody),
    /// The daemon said no, or nothing.
    Daemon(Failure),
}

impl Trouble {
    fn input(message: impl Into<String>, hint: &str) -> Trouble {
        Trouble::Input(ErrorBody {
            reason: Reason::BadRequest.name().into(),
            message: message.into(),
            hint: hint.into(),
            retry_after_ms: None,
        })
    }

    /// No daemon answers.
    fn away(&self) -> bool {
        matches!(self, Trouble::Daemon(Failure::Unreachable { .. } | Failure::Broken { .. }))
    }

    fn error(&self) -> ErrorBody {
        match self {
            Trouble::Input(error) => error.clone(),
            Trouble::Daemon(failure) => failure.problem().error,
        }
    }

    fn code(&self) -> u8 {
        match self {
            Trouble::Input(_) => exit_code(Reason::BadRequest),
            Trouble::Daemon(failure) => failure.exit_code(),
        }
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        Trouble::Daemon(failure)
    }
}

impl From<super::Failed> for Trouble {
    fn from(failed: super::Failed) -> Trouble {
        Trouble::Input(failed.error)
    }
}

/// One hook, from what came in to what goes out.
struct Turn<'a> {
    context: &'a Context,
    hook: &'a Hook,
    client: Client,
}

/// `bursar hook`.
pub fn hook(context: &Context, hook: &Hook) -> ExitCode {
    let mut turn = Turn { context, hook, client: context.client().patience(PATIENCE) };
    let said = match read() {
        Ok(input) if hook.event == HookEvent::ClaudeCode => claude::answer(&mut turn, &input),
        Ok(input) => generic::answer(&mut turn, &input).unwrap_or_else(|trouble| turn.troubled(&trouble)),
        Err(trouble) if hook.event == HookEvent::ClaudeCode => claude::unread(&turn, &trouble),
        Err(trouble) => turn.troubled(&trouble),
    };
    show::document(&said.document, Output::Jsonl);
    ExitCode::from(said.code)
}

/// The object on standard input; an empty one where nothing comes.
fn read() -> Result<Value, Trouble> {
    let mut text = Vec::new();
    let read = std::io::stdin().take(INPUT_BYTES_MAX + 1).read_to_end(&mut text);
    read.map_err(|error| Trouble::input(format!("standard input: {error}"), "send one JSON object"))?;
    if text.len() as u64 > INPUT_BYTES_MAX {
        // Whoever writes it is not to find a closed pipe in the middle.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        let message = format!("standard input is longer than {INPUT_BYTES_MAX} bytes");
        return Err(Trouble::input(message, "send one object, without what no hook needs"));
    }
    if text.trim_ascii().is_empty() {
        return Ok(json!({}));
    }
    match serde_json::from_slice(&text) {
        Ok(Value::Object(object)) => Ok(Value::Object(object)),
        Ok(_) => {
            Err(Trouble::input("standard input holds no JSON object", "send one, as {\"task_id\":\"t1\"}"))
        }
        Err(error) => Err(Trouble::input(
            format!("standard input is no JSON: {error}"),
            "send one object, as {\"task_id\":\"t1\"}",
        )),
    }
}

impl Turn<'_> {
    fn open(&self) -> bool {
        self.hook.fail == Fail::Open
    }

    /// What is said when there is nothing to say: a daemon out of reach lets everything pass where that is
    /// configured; a refusal never does.
    fn troubled(&self, trouble: &Trouble) -> Said {
        let error = trouble.error();
        if trouble.away() && self.open() {
            return Said::fine(json!({ "decision": "allow", "managed": false, "reason": error.reason }));
        }
        Said {
            document: json!({
                "decision": "deny",
                "reason": error.reason,
                "message": error.message,
                "hint": error.hint,
                "retry_after_ms": error.retry_after_ms,
            }),
            code: trouble.code(),
        }
    }
}
