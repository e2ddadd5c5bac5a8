//! `bursar claim`: a claim by hand.
use super::{Context, autostart, outcome::Outcome, show};
use crate::args::{Claim, Output};
use bursar_tenant::ask::{body, fresh_key, send};

/// `bursar claim`.
pub fn claim(context: &Context, claim: &Claim) -> Outcome {
    let mut body = body(&claim.ask)?;
    body.detach = claim.detach;
    let mut client = autostart::reach(context, claim.ask.no_autostart)?;
    let key = claim.ask.key.clone().unwrap_or_else(fresh_key);
    let claim = send(&mut client, &body, &key)?;
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
