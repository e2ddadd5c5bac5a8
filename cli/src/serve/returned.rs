//! A lease that is given back when nothing lives in it any more is taken back in the same moment, so that one commit does
//! for both. Its cell can go before that is written down: nobody is in it, and whoever adopts the lease finds that out.
use bursar_interface::{Batch, ClaimId, Command, What};

/// The lease that its holder gives back with this batch; none where several are: they would hold up the desk.
pub fn only(batch: &Batch) -> Option<ClaimId> {
    let mut leaving = batch.events.iter().filter_map(|event| match event.what {
        What::Draining { claim, .. } => Some((claim, event.cause)),
        _ => None,
    });
    let (claim, cause) = leaving.next().filter(|_| leaving.next().is_none())?;
    let input = batch.inputs.get(cause? as usize)?;
    matches!(input.body, Command::Release { .. }).then_some(claim)
}
