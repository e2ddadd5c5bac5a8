//! What the ladder under pressure has the enforcer do: tell a holder, and hold processes still until there is room.
use super::enforcer::Enforcer;
use bursar_interface::{ClaimId, Class, Process};

/// Has the kernel choose among leases, the worst class first, when memory runs out all the same. Another user's
/// processes stand where they are.
pub(super) fn expose(bodies: &[Process], class: Class) {
    for body in bodies {
        if let Err(error) = bursar_enforce::expose(body.pid, class) {
            tracing::debug!(pid = body.pid, %error, "it stands where it was");
        }
    }
}

impl Enforcer {
    /// Has a lease held still, or go on; one that is suspended for another claim stays so.
    pub(super) fn still(&mut self, claim: ClaimId, still: bool) {
        let Some(held) = self.leases.get_mut(&claim).filter(|held| held.is_bodied() && !held.leaving) else {
            return;
        };
        if held.frozen || held.squeezed == still {
            return;
        }
        held.squeezed = still;
        let done = if still { held.cell.freeze() } else { held.cell.thaw() };
        if let Err(error) = done {
            tracing::warn!(%claim, %error, still, "pressure: a lease is not held still, or does not go on");
        }
    }
}
