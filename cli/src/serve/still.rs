//! What the ladder under pressure has the enforcer do: tell a holder, and hold processes still until there is room.
use super::enforcer::Enforcer;
use bursar_interface::ClaimId;

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
