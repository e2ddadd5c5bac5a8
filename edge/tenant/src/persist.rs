//! Asks until there is an answer: also the daemon that comes after the one that was asked.
use crate::{
    Failed, ask, home_elsewhere,
    tenancy::{AWAY_MAX, RETRY},
};
use bursar_wire::{AskBody, Claim, Client, Failure};
use std::{
    thread,
    time::{Duration, Instant},
};

/// How long one that left while it was asked is waited for before another one is started.
const RESTART_MAX: Duration = Duration::from_secs(3);
/// An answer that took so long came from a daemon that was there.
const THERE: Duration = Duration::from_secs(1);

/// Asks, and asks again with the same key for as long as a daemon that restarts may take. `reach` sees to it that one
/// answers, and is called once when none has for a while; not where another one would know nothing of what was asked.
///
/// # Errors
/// A refusal; no daemon in all that time; and what `reach` comes to.
pub fn persist(
    client: &mut Client,
    body: &AskBody,
    key: &str,
    mut reach: Option<&dyn Fn() -> Result<(), Failed>>,
) -> Result<Claim, Failed> {
    let mut away = Instant::now();
    loop {
        let asked = Instant::now();
        let failure = match ask::send(client, body, key) {
            Ok(claim) => return Ok(claim),
            Err(failure) => failure,
        };
        if asked.elapsed() > THERE {
            away = Instant::now();
        }
        if !failure.passes() || away.elapsed() > AWAY_MAX {
            return Err(failure.into());
        }
        let nobody = matches!(failure, Failure::Unreachable { .. });
        if let Some(reach) = reach.take_if(|_| nobody && away.elapsed() > RESTART_MAX)
            && home_elsewhere(client.path()).is_none()
        {
            reach()?;
        }
        thread::sleep(RETRY);
    }
}
