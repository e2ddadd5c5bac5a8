//! What is taken from the lease of a command that runs, and what it feels of memory that runs short: heard of at once,
//! on a connection of its own that waits for it, and said on stderr. Where the daemon has no seat left for that, the next renewal says it.
use crate::{
    say::say,
    tenancy::{RETRY, Tenancy},
};
use bursar_wire::{Claim, Client, Failure, PRESSED, TAKING, show};
use std::{
    sync::{Mutex, PoisonError},
    thread,
    time::Duration,
};

/// How long one request waits.
const WAIT: &str = "60s";
/// How long it may be without an answer: then the daemon is not there any more.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long to wait for a seat.
const FULL: Duration = Duration::from_secs(5);

/// What was said last: of what is taken, and of memory that runs short.
#[derive(Clone, Debug)]
struct Last {
    taking: String,
    pressed: &'static str,
}

/// What was said last.
#[derive(Debug)]
pub(crate) struct Notice(Mutex<Last>);

impl Default for Notice {
    fn default() -> Notice {
        Notice(Mutex::new(Last { taking: TAKING[0].into(), pressed: PRESSED[0] }))
    }
}

impl Notice {
    /// Says what is being taken, if that is news.
    pub(crate) fn say(&self, claim: &Claim) {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // How it ended is said when everything is back.
        if !["reserved", "held"].contains(&claim.phase.as_str()) {
            return;
        }
        if last.taking != claim.taking() {
            say(said(claim, &last.taking));
            claim.taking().clone_into(&mut last.taking);
        }
        let (pressed, to) = claim.pressed();
        let before = std::mem::replace(&mut last.pressed, pressed);
        if let Some(said) = said_of_memory(pressed, to, before).filter(|_| before != pressed) {
            say(said);
        }
    }

    fn last(&self) -> Last {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// What is being taken, in words.
fn said(claim: &Claim, last: &str) -> String {
    let until = |time: Option<&String>| time.cloned().unwrap_or_default();
    let preempted = claim.preempting.as_ref().and_then(|preempting| preempting.until.as_ref());
    let lessened = claim.lessened.as_ref();
    match claim.taking() {
        "told" if claim.preempting.as_ref().is_some_and(|preempting| preempting.why == "memory") => {
            format!("memory runs short, and the lease has to make room; it ends at {}", until(preempted))
        }
        "told" => format!("another claim has a better right; the lease ends at {}", until(preempted)),
        "shrunk" => format!("another claim has a better right; the lease holds less for it: {}", less(claim)),
        "suspended" => match lessened.and_then(|lessened| lessened.until.as_ref()) {
            None => "another claim has a better right; the command is being suspended".into(),
            ends => format!(
                "the command is suspended: the lease ends at {} if there is no room for it by then",
                until(ends)
            ),
        },
        _ if last == "told" => "the lease goes on: nobody needs it any more".into(),
        _ => "the lease holds again what it did, and goes on".into(),
    }
}

/// What a lease feels of memory that runs short, in words; `None` where there is nothing to say.
fn said_of_memory(pressed: &str, to: Option<u64>, before: &str) -> Option<String> {
    let stood = [PRESSED[2], PRESSED[3]].contains(&before);
    match pressed {
        "held" => Some("memory runs short: the command is held still until there is room".into()),
        "slowed" => Some("memory runs short: the command is slowed down until there is room".into()),
        "asked" => {
            let to = to.map_or_else(String::new, |bytes| format!(", {} at most", show("memory", bytes)));
            Some(format!("memory runs short: the command is asked to use less{to}"))
        }
        _ if stood => Some("the command goes on: there is room for it".into()),
        _ => None,
    }
}

/// What a lease holds less of than it did, as `cpu=1 of 2`.
fn less(claim: &Claim) -> String {
    let before = claim.lessened.iter().flat_map(|lessened| &lessened.before);
    let lines = before.map(|was| {
        let now = claim.lines.iter().find(|now| now.resource == was.resource && now.pool == was.pool);
        let amount = |amount| show(&was.resource, amount);
        let now = now.map_or_else(String::new, |now| amount(now.amount));
        format!("{}={now} of {}", was.resource, amount(was.amount))
    });
    lines.collect::<Vec<_>>().join(" ")
}

/// Watches a lease until it ends or `over`.
pub(crate) fn watch(tenancy: &Tenancy, over: impl Fn() -> bool) {
    let mut client = Client::new(&tenancy.socket).patience(PATIENCE);
    while !over() {
        let Last { taking, pressed } = tenancy.notice.last();
        let path = format!("/v1/claims/{}?wait={WAIT}&taking={taking}&pressed={pressed}", tenancy.id);
        match client.get::<bursar_wire::ClaimAnswer>(&path).map(|answer| answer.claim) {
            Ok(claim) if ["draining", "closed"].contains(&claim.phase.as_str()) => return,
            Ok(claim) if over() || claim.phase.is_empty() => return,
            Ok(claim) => tenancy.notice.say(&claim),
            Err(Failure::Refused(error)) if error.reason == "QueueFull" => thread::sleep(FULL),
            Err(failure) if failure.passes() => {
                client = Client::new(&tenancy.socket).patience(PATIENCE);
                thread::sleep(RETRY);
            }
            // It is not ours any more, or the daemon is an older one.
            Err(_) => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_memory_that_runs_short_does_is_said_once_each_way() {
        let said = |now: &str, before: &str| said_of_memory(now, Some(64 << 20), before).unwrap_or_default();
        assert!(said("asked", "none").ends_with("to use less, 64M at most"), "{}", said("asked", "none"));
        assert!(
            said("held", "asked").contains("held still") && said("slowed", "none").contains("slowed down")
        );
        assert!(said("none", "held").contains("goes on") && said("none", "slowed").contains("goes on"));
        assert_eq!(said("none", "asked"), "", "nothing happened to it");
    }
}
