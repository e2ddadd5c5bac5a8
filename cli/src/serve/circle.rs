//! A circle of those who would have waited for each other, as the one may see it who was refused for it: what is
//! another's has no name here, and neither has what another waits for.
use super::present::may_see;
use bursar_engine::{Closed, Engine};
use bursar_interface::{ClaimId, Link, Principal, Reason, Refusal};
use bursar_wire as wire;

/// The circle that a claim would have closed, if that is why it was refused.
pub fn shown(engine: &Engine, by: &Principal, closed: &Closed) -> Vec<wire::CircleLink> {
    closed.circle.iter().map(|link| step(engine, by, link)).collect()
}

fn step(engine: &Engine, by: &Principal, link: &Link) -> wire::CircleLink {
    let (claim, lease) = (scope(engine, by, link.claim), scope(engine, by, link.lease));
    // Whoever sees either knows what it asked for, or holds.
    let known = claim.is_some() || lease.is_some();
    wire::CircleLink {
        claim: claim.is_some().then_some(link.claim.0),
        resource: known.then(|| link.resource.clone()),
        pool: link.pool.clone().filter(|_| known),
        lease: lease.is_some().then_some(link.lease.0),
        scope: lease,
    }
}

/// The scope of a claim that the principal may see, alive or gone.
fn scope(engine: &Engine, by: &Principal, claim: ClaimId) -> Option<String> {
    let books = engine.books();
    let live = books.claim(claim).map(|row| books.scope_path(books.tables().claims.scope[row as usize]));
    let path = live.or_else(|| engine.closed(claim).map(|closed| &closed.scope))?;
    may_see(by, path).then(|| path.to_string())
}

/// What a claim is told that would have closed a circle.
pub fn refusal(engine: &Engine, by: &Principal, closed: &Closed) -> Refusal {
    let steps = shown(engine, by, closed);
    let mut message = format!("claim {} would wait forever", closed.claim);
    if !steps.is_empty() {
        message = format!("{message}: {}", wire::circle(&steps));
    }
    let own = closed.circle.last().filter(|link| scope(engine, by, link.lease).is_some());
    let hint = match own {
        Some(Link { lease, .. }) => {
            format!("give back lease {lease}, and then ask for all that is needed in one claim")
        }
        None => "give back what you hold, and then ask for all that is needed in one claim".into(),
    };
    Refusal::new(Reason::Deadlock, message).hint(hint)
}
