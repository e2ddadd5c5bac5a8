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

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Ending, Event, Fence, Input, Principal, Time};

    fn batch(inputs: Vec<Command>, leaving: &[(u64, Option<u32>)]) -> Batch {
        let by = Principal::default();
        let events = leaving.iter().map(|&(claim, cause)| {
            let what = What::Draining { claim: ClaimId(claim), ending: Ending::Released };
            Event { cause, what }
        });
        Batch {
            first_seq: 1,
            at: Time(1),
            inputs: inputs.into_iter().map(|body| Input { by: by.clone(), body }).collect(),
            events: events.collect(),
        }
    }

    #[test]
    fn one_that_its_holder_gives_back_and_nobody_else() {
        let release = |claim| Command::Release { claim: ClaimId(claim), fence: Fence(1) };
        let cancel = Command::Cancel { claim: ClaimId(7) };
        assert_eq!(only(&batch(vec![Command::Tick, release(7)], &[(7, Some(1))])), Some(ClaimId(7)));
        assert_eq!(only(&batch(vec![release(7)], &[])), None, "it was refused");
        assert_eq!(only(&batch(vec![cancel], &[(7, Some(0))])), None, "by somebody else");
        assert_eq!(only(&batch(vec![Command::Tick], &[(7, None)])), None, "it ran out");
        let several = batch(vec![release(7), release(8)], &[(7, Some(0)), (8, Some(1))]);
        assert_eq!(only(&several), None);
    }
}
