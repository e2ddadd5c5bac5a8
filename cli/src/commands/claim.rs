//! `bursar claim`: a claim by hand.
use super::{
    Context, autostart,
    outcome::{Failed, Outcome},
    show,
};
use crate::args::{Claim, Output};
use bursar_tenant::{
    ask::{body, fresh_key},
    persist, withdrawn_if_ended,
};
use bursar_wire::AskBody;
use humantime::format_duration;
use std::time::Duration;

/// How long a withdrawal may take.
const WITHDRAW_MAX: Duration = Duration::from_secs(2);
/// How long a lease lasts when nobody says.
const TTL: Duration = Duration::from_nanos(bursar_interface::bound::TTL_NS_DEFAULT);

/// `bursar claim`.
pub fn claim(context: &Context, claim: &Claim) -> Outcome {
    let mut body = body(&claim.ask)?;
    body.detach = claim.detach;
    let mut client = autostart::reach(context, claim.ask.no_autostart)?;
    let key = claim.ask.key.clone().unwrap_or_else(fresh_key);
    let reach = || autostart::reach(context, false).map(drop);
    let reach: Option<&dyn Fn() -> Result<(), Failed>> =
        if claim.ask.no_autostart { None } else { Some(&reach) };
    let mut ask = || persist(&mut client, &body, &key, reach);
    let claim = match claim.detach || claim.ask.key.is_some() {
        // It stays, or somebody may come back for it.
        true => ask()?,
        false => withdrawn_if_ended(withdraw(context, &body, &key), ask)?,
    };
    match context.output {
        Output::Table => show::line(&format!(
            "{}\nfence {}",
            show::claims(std::slice::from_ref(&claim)),
            claim.fence.map_or_else(|| "not yet".into(), |fence| fence.to_string())
        )),
        _ => show::claim(context, claim),
    }
    Ok(())
}

/// Takes a claim out of the line by its key, wherever it stands by now; says what came of it.
fn withdraw(context: &Context, body: &AskBody, key: &str) -> impl FnOnce() -> String + Send + use<> {
    let mut client = context.client().patience(WITHDRAW_MAX);
    let (body, key) = (AskBody { detach: true, ..body.clone() }, key.to_owned());
    move || {
        match client.ask(&body, Some(&key)).and_then(|claim| client.cancel(claim.id, None)) {
            Ok(_) => "the claim is withdrawn".into(),
            // What waits goes a moment after this process all the same.
            Err(failure) => {
                let ttl = body.ttl.unwrap_or_else(|| format_duration(TTL).to_string());
                format!(
                    "the claim is not withdrawn: {failure}; if it was granted, it ends after its ttl ({ttl})"
                )
            }
        }
    }
}
