//! Memory that runs short on a machine: what the host did about it is written down, and a lease that has to make
//! room ends for it, after a grace or at once. Which one that is, is decided beside the engine, from measurements
//! (`monitor::Ladder`): the books know what is promised, not what is used.
use crate::{Engine, admit::bad, engine::Tape};
use bursar_interface::{
    Came, ClaimId, Claimed, Ending, Phase, Reason, Refusal, Squeeze, What,
    bound::{FINDING_BYTES_MAX, TTL_NS_MAX},
};

impl Engine {
    /// What was done, as it is written down.
    pub(crate) fn told_squeeze(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        squeeze: &Squeeze,
    ) -> Result<(), Refusal> {
        if matches!(&squeeze.came, Came::Unavailable(why) if why.len() > FINDING_BYTES_MAX) {
            return bad("too much is said of a step", &format!("at most {FINDING_BYTES_MAX} bytes"));
        }
        self.emit(tape, cause, What::Squeezed(squeeze.claim));
        Ok(())
    }

    /// A lease has to make room. One that is told to end for a claim already ends for that.
    pub(crate) fn evict(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        claim: ClaimId,
        grace_ns: u64,
    ) -> Result<(), Refusal> {
        let phase = self.books.claim(claim).map_or(Phase::Closed, |row| self.books.phase(row));
        match phase {
            Phase::Pending | Phase::Closed => {
                Err(Refusal::new(Reason::UnknownClaim, format!("claim {claim} has no lease")))
            }
            Phase::Draining => {
                Err(Refusal::new(Reason::LeaseExpired, format!("claim {claim} is ending already")))
            }
            _ if grace_ns == 0 => {
                self.end(tape, cause, claim, Ending::Evicted);
                Ok(())
            }
            _ if grace_ns > TTL_NS_MAX => bad("the grace is too long", "at most 30 days"),
            _ if self.notice(claim).is_some() => {
                Err(Refusal::new(Reason::InUse, format!("claim {claim} is told to end already")))
            }
            _ => {
                let until = self.books.at().after(grace_ns);
                self.emit(tape, cause, What::Preempting { claim, by: claim, until, why: Claimed::Short });
                Ok(())
            }
        }
    }

    /// A lease that was to make room goes on.
    pub(crate) fn make_no_room(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        claim: ClaimId,
    ) -> Result<(), Refusal> {
        let goes_on = self.books.claim(claim).is_some_and(|row| self.books.phase(row) < Phase::Draining);
        match self.notice(claim).filter(|notice| notice.why == Claimed::Short && goes_on) {
            Some(_) => {
                self.emit(tape, cause, What::Spared(claim));
                Ok(())
            }
            None => Err(Refusal::new(Reason::UnknownClaim, format!("claim {claim} is not to make room"))),
        }
    }
}
