//! Circles of those who wait for each other: the claim that would close one is refused at once, and so is one
//! that a shrunken supply leaves in one. What is kept for the head of the line closes none.
//!
//! Who waits while holding is known by two signs: a claim that is asked for from within a lease, for which that
//! lease and those around it go on until it is granted; and leases that the asker names. It is looked at in the
//! step in which the claim comes, before it stands in line: nothing is between the look and the line.
use crate::{Engine, admit::bad, barred::Barred, engine::Tape};
use bursar_coord::{Looks, Reduction, Verdict, WaitFor};
use bursar_interface::{
    Ask, ClaimId, Ending, Link, Phase, Principal, Reason, Refusal, What,
    bound::{CIRCLES_MAX, EDGES_SEEN_MAX, HOLDING_MAX},
    canary,
};

impl Engine {
    /// Refuses leases that the asker does not hold.
    pub(crate) fn check_holding(&self, by: &Principal, ask: &Ask) -> Result<(), Refusal> {
        if ask.holding.is_empty() {
            return Ok(());
        }
        if ask.holding.len() > HOLDING_MAX || ask.gang.is_some() {
            return bad(
                "a gang holds nothing, and nobody more leases than can be counted",
                &format!("name at most {HOLDING_MAX} leases, and no gang"),
            );
        }
        for &claim in &ask.holding {
            let row = self.seen(by, claim)?;
            if let Some(lease) = by.within.filter(|_| !by.admin)
                && self.books.around(claim).all(|around| around != lease)
            {
                return Err(Refusal::new(
                    Reason::Forbidden,
                    format!("claim {claim} is not within the lease that you live in"),
                )
                .hint("name leases of your own"));
            }
            if !matches!(self.books.phase(row), Phase::Reserved | Phase::Held) {
                return Err(Refusal::new(Reason::LeaseExpired, format!("claim {claim} is no lease now"))
                    .hint("name leases that you hold"));
            }
        }
        Ok(())
    }

    /// A claim has come that may wait: what its asker holds meanwhile is remembered.
    pub(crate) fn hold(&mut self, claim: ClaimId, parent: Option<ClaimId>, ask: &Ask) {
        if parent.is_none() && ask.holding.is_empty() || ask.wait_ns == 0 {
            return;
        }
        let around = parent.into_iter().flat_map(|parent| self.books.around(parent));
        let named = ask.holding.iter().copied().filter(|&lease| self.books.claim(lease).is_some());
        self.wait_for.park(claim, around.chain(named));
    }

    /// Refuses a claim that has just come if it closes a circle.
    pub(crate) fn refuse_circle(&mut self, tape: &mut Tape<'_>, cause: u32, claim: ClaimId) {
        if self.wait_for.held(claim).is_empty() || canary!("who closes a circle waits") {
            return;
        }
        let (mut reduction, mut looks) = (std::mem::take(&mut self.reduction), self.looks);
        let verdict = reduction.closes(&self.wait_for, claim, &Barred(self), &mut looks);
        // There is another look at the end of the step, for which as much may be looked at again.
        self.look_again |= verdict == Verdict::Unknown;
        if verdict == Verdict::Closes {
            let circle = self.circle(&mut reduction, claim, &mut looks);
            self.refuse_deadlock(tape, Some(cause), claim, circle);
        }
        (self.reduction, self.looks) = (reduction, looks);
    }

    /// A supply shrank, or more is held than was: claims that can never be had any more are refused, of each circle
    /// the one that came last.
    pub(crate) fn break_circles(&mut self, tape: &mut Tape<'_>) {
        self.looks = Looks::new(EDGES_SEEN_MAX);
        if !std::mem::take(&mut self.look_again) || self.wait_for.is_empty() {
            return;
        }
        let (mut reduction, mut looks) = (std::mem::take(&mut self.reduction), self.looks);
        for _ in 0..CIRCLES_MAX {
            let Some((claim, circle)) = self.last_in_circle(&mut reduction, &mut looks) else { break };
            self.refuse_deadlock(tape, None, claim, circle);
        }
        self.reduction = reduction;
    }

    /// The last claim that closes a circle, and that circle.
    fn last_in_circle(&self, reduction: &mut Reduction, looks: &mut Looks) -> Option<(ClaimId, Vec<Link>)> {
        let (graph, held) = (&self.wait_for, Barred(self));
        let stuck: Vec<ClaimId> = reduction.stuck(graph, &held, looks)?.iter().rev().copied().collect();
        let closes = |&claim: &ClaimId| reduction.closes(graph, claim, &held, looks) == Verdict::Closes;
        if let Some(claim) = stuck.iter().copied().find(closes) {
            let circle = self.circle(reduction, claim, looks);
            return Some((claim, circle));
        }
        // Several circles that hang together: none of them is opened by one claim alone.
        reduction.stuck(graph, &held, looks)?;
        let circles = stuck.into_iter().map(|claim| (claim, self.circle(reduction, claim, looks)));
        circles.into_iter().find(|(_, circle)| !circle.is_empty())
    }

    /// The circle that a claim closes, as the reduction left it.
    fn circle(&self, reduction: &mut Reduction, claim: ClaimId, looks: &mut Looks) -> Vec<Link> {
        let held = Barred(self);
        let circle = reduction.circle(&self.wait_for, claim, &held, looks);
        let link = |(claim, lease)| {
            let bar = held.kept_by(lease, claim, reduction.stay());
            let (resource, pool) = bar.map(|bar| held.named(&bar)).unwrap_or_default();
            Link { claim, resource, pool, lease }
        };
        circle.into_iter().map(link).collect()
    }

    fn refuse_deadlock(
        &mut self,
        tape: &mut Tape<'_>,
        cause: Option<u32>,
        claim: ClaimId,
        circle: Vec<Link>,
    ) {
        let next = circle.get(1).filter(|_| cause.is_some() && canary!("two of a circle are refused"));
        let next = next.map(|next| (next.claim, circle.clone()));
        self.emit(tape, cause, What::Deadlocked { claim, circle });
        self.emit(tape, cause, What::Closed { claim, ending: Ending::Deadlock });
        if let Some((claim, circle)) = next {
            self.refuse_deadlock(
                tape,
                None,
                claim,
                vec![Link { claim, ..circle[0].clone() }, circle[0].clone()],
            );
        }
    }

    /// Whether what is kept for a waiting claim must not keep another from what it asks for: it holds some of
    /// what the first one waits for, and would not give it back before.
    pub(crate) fn holds_up(&mut self, head: ClaimId, claim: ClaimId) -> bool {
        if self.wait_for.held(claim).is_empty() {
            return false;
        }
        let (mut reduction, mut looks) = (std::mem::take(&mut self.reduction), self.looks);
        let holds_up = reduction.holds_up(&self.wait_for, claim, head, &Barred(self), &mut looks);
        (self.reduction, self.looks) = (reduction, looks);
        holds_up
    }

    /// Claims that wait while their askers hold something, oldest first, and the leases that they hold.
    pub fn waits_for(&self) -> &WaitFor {
        &self.wait_for
    }
}
