//! Taking back: who is told that its lease ends for somebody who waits, what is kept for whom meanwhile, and
//! how both come to an end. Who is chosen is in `victims`, what is kept in `tag`.
//!
//! There is one order in which claims take from each other: whoever is within its scope's guarantee comes
//! before whoever borrows, and borrowers stand by band (class, then configured priorities). Only who stands
//! behind is taken from, and what it frees is kept from everybody who does not stand before the one it is
//! for: each preemption therefore raises the held work in that order, and none can be undone by its victim.
//!
//! A holder passes rungs: it is told and has a grace; then, where the policy says so and where that is enough,
//! it is made to hold less, or suspended (`rung`); else its lease drains.
use crate::{Engine, admit::bad, engine::Tape, lack::Lack, turns::Turns};
use bursar_interface::{
    ClaimId, Claimed, Ending, Lessened, Phase, PreemptionPolicy, Promise, Refusal, Row, Rung, Time, What,
    bound::{
        BANDS_MAX, BROKEN_MAX, IDLE_MAX, LOOP_NS, NAME_BYTES_MAX, PROMISE_NS, PROMISES_MAX, SEARCHES_MAX,
        TTL_NS_MAX,
    },
    canary,
};
use bursar_pool::Digest;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// When a search that had to be put off is worth its time, in nanoseconds (1 ms).
const SOON_NS: u64 = 1_000_000;
/// When a search that found too little is worth its time again, at least, in nanoseconds (1 s).
const AGAIN_NS: u64 = 1_000_000_000;

/// A lease that is to end for somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// For whom.
    pub by: ClaimId,
    /// Until when its holder may give it back by itself.
    pub until: Time,
    /// Why.
    pub why: Claimed,
    /// Which was told first.
    pub(crate) order: u64,
    /// How far it has come.
    pub rung: Rung,
}

/// All that is being taken back, and for whom.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Preemption {
    pub(crate) policy: PreemptionPolicy,
    /// By who waits.
    pub(crate) promises: BTreeMap<ClaimId, Promise>,
    /// By whose lease ends.
    pub(crate) notices: BTreeMap<ClaimId, Notice>,
    orders: u64,
    /// How many promises to a waiting claim were not kept.
    pub(crate) broken: BTreeMap<ClaimId, usize>,
    pub(crate) turns: Turns,
    /// Leases that go on with less than they were granted, because of a rung.
    pub(crate) lessened: BTreeMap<ClaimId, Lessened>,
    /// Leases by class.
    #[serde(skip)]
    pub(crate) leased: [u32; 3],
    /// Searches that this step may still make.
    #[serde(skip)]
    pub(crate) searches: usize,
    /// The planted bug: bands take from each other whichever is better.
    #[cfg(test)]
    #[serde(skip)]
    pub(crate) either_way: bool,
}

impl Preemption {
    pub(crate) fn digest(&self, digest: &mut Digest) {
        for (claim, notice) in &self.notices {
            [claim.0, notice.by.0, notice.until.0, notice.rung as u64]
                .into_iter()
                .for_each(|word| digest.word(word));
        }
        for (claim, lessened) in &self.lessened {
            digest.word(claim.0);
            digest.word(lessened.frozen_until.map_or(0, |at| at.0));
            for size in &lessened.before {
                digest.word(u64::from(size.line));
                digest.word(size.amount);
            }
        }
        for (claim, promise) in &self.promises {
            [claim.0, promise.until.0].into_iter().for_each(|word| digest.word(word));
        }
        for (claim, &times) in &self.broken {
            [claim.0, times as u64].into_iter().for_each(|word| digest.word(word));
        }
        digest.word(self.orders);
        self.turns.digest(digest);
    }

    /// A lease is to end.
    pub(crate) fn told(&mut self, claim: ClaimId, by: ClaimId, until: Time, why: Claimed) {
        self.orders += 1;
        // Whoever is frozen already hears nothing of it, and has nothing more to give but its end.
        let frozen = self.lessened.get(&claim).is_some_and(|lessened| lessened.frozen_until.is_some());
        let rung = if frozen { Rung::Suspended } else { Rung::Told };
        self.notices.insert(claim, Notice { by, until, why, order: self.orders, rung });
    }
}

impl Engine {
    /// Why and until when a lease is to end for somebody; `None` when it is not.
    pub fn notice(&self, claim: ClaimId) -> Option<Notice> {
        self.preemption.notices.get(&claim).copied()
    }

    /// Whether something is kept for a claim for which others give back.
    pub fn has_promises(&self) -> bool {
        !self.preemption.promises.is_empty()
    }

    /// Who takes from whom, as last told.
    pub fn preemption_policy(&self) -> &PreemptionPolicy {
        &self.preemption.policy
    }

    /// When something about preemptions must happen by itself.
    pub(crate) fn notices_due(&self) -> Option<Time> {
        let promised = self.preemption.promises.values().map(|promise| promise.until).min();
        let thawed = self.next_frozen().map(|(_, until)| until);
        self.next_notice().map(|(_, notice)| notice.until).into_iter().chain(promised).chain(thawed).min()
    }

    /// The lease whose grace ends first of those that go on yet.
    fn next_notice(&self) -> Option<(ClaimId, Notice)> {
        let goes_on = |claim: ClaimId| {
            self.books.claim(claim).is_some_and(|row| self.books.phase(row) < Phase::Draining)
        };
        let notices = self.preemption.notices.iter().map(|(&claim, &notice)| (claim, notice));
        notices.filter(|&(claim, _)| goes_on(claim)).min_by_key(|(_, notice)| (notice.until, notice.order))
    }

    /// Takes the next rung with the leases whose grace is over, unless they came to be within a guarantee
    /// meanwhile; ends those that were suspended for too long; and drops promises that could not be kept.
    pub(crate) fn end_notices(&mut self, tape: &mut Tape<'_>) {
        self.preemption.searches = SEARCHES_MAX;
        while let Some((claim, notice)) = self.next_notice().filter(|(_, n)| n.until <= self.books.at()) {
            match self.still_takeable(claim, notice.by) {
                _ if notice.why == Claimed::Short => self.end(tape, None, claim, Ending::Evicted),
                // Whoever it was for may have been served, or left, in this very step.
                _ if !self.preemption.promises.contains_key(&notice.by) => {
                    self.emit(tape, None, What::Spared(claim));
                }
                true => self.next_rung(tape, claim, notice),
                false => {
                    self.emit(tape, None, What::Spared(claim));
                    self.unpromise(tape, notice.by);
                }
            }
        }
        self.end_frozen(tape);
        let now = self.books.at();
        let late = self.preemption.promises.values().filter(|promise| promise.until <= now);
        let late: Vec<ClaimId> = late.map(|promise| promise.claim).collect();
        late.into_iter().for_each(|claim| self.unpromise(tape, claim));
    }

    pub(crate) fn unpromise(&mut self, tape: &mut Tape<'_>, claim: ClaimId) {
        if self.preemption.promises.contains_key(&claim) {
            self.emit(tape, None, What::Unpromised(claim));
            self.queue.wake_claim(claim);
        }
    }

    /// Leases whose preemptor does not need them any more go on.
    pub(crate) fn spare(&mut self, tape: &mut Tape<'_>) {
        if self.preemption.notices.is_empty() && self.preemption.promises.is_empty() {
            return;
        }
        let leases = self.preemption.notices.iter();
        let idle = leases.filter(|(_, notice)| {
            notice.why != Claimed::Short && !self.preemption.promises.contains_key(&notice.by)
        });
        let spared: Vec<ClaimId> = idle
            .map(|(&claim, _)| claim)
            // Whether it is frozen is known soon, and then it goes on.
            .filter(|&claim| !self.is_freezing(claim))
            .filter(|&claim| {
                self.books.claim(claim).is_some_and(|row| self.books.phase(row) < Phase::Draining)
            })
            .collect();
        spared.into_iter().for_each(|claim| self.emit(tape, None, What::Spared(claim)));
        // All is back, and somebody who stood before took it.
        let owed = |by: ClaimId| self.preemption.notices.values().any(|notice| notice.by == by);
        let passed = self.preemption.promises.keys().filter(|&&claim| {
            let row = self.books.claim(claim);
            !owed(claim) && row.is_some_and(|row| self.lack(row).0 != Lack::Nothing)
        });
        let passed: Vec<ClaimId> = passed.copied().collect();
        passed.into_iter().for_each(|claim| self.unpromise(tape, claim));
    }

    /// As [`Engine::preempt`], for the claim that stood for a group, and for those behind it in the group for
    /// as long as each is promised something.
    pub(crate) fn preempt_for(&mut self, tape: &mut Tape<'_>, claim: ClaimId, row: Row) -> Option<Time> {
        let mut first = self.preempt(tape, claim, row);
        let mut last = claim;
        for _ in 0..PROMISES_MAX {
            if !self.preemption.promises.contains_key(&last) {
                break;
            }
            let Some(next) = self.queue.next_alike(last) else { break };
            let Some(row) = self.books.claim(next) else { break };
            first = first.into_iter().chain(self.preempt(tape, next, row)).min();
            last = next;
        }
        first
    }

    /// Makes others give back for a claim that does not fit, if it has the right to; says when it is worth
    /// a try again though nothing else happens.
    pub(crate) fn preempt(&mut self, tape: &mut Tape<'_>, claim: ClaimId, row: Row) -> Option<Time> {
        if let Some(promise) = self.preemption.promises.get(&claim) {
            return Some(promise.until);
        }
        let now = self.books.at();
        // Whatever it is that keeps its promises from being kept: more leases would not help.
        let unlucky = self.preemption.broken.get(&claim).is_some_and(|&times| times >= BROKEN_MAX);
        if unlucky || !self.waits(claim) || !self.may_take(row) || self.is_entangled(claim, row) {
            return None;
        }
        if self.preemption.searches == 0 || self.preemption.promises.len() >= PROMISES_MAX {
            return Some(now.after(SOON_NS));
        }
        self.preemption.searches -= 1;
        let again = now.after(self.preemption.policy.min_runtime_ns.max(AGAIN_NS));
        let found = match self.victims(row) {
            Ok(found) => found,
            Err(lapse) => return Some(lapse.unwrap_or(again)),
        };
        if let Some(&from) = found.victims.iter().map(|(victim, _)| victim).find(|&&v| self.turned(claim, v))
        {
            self.emit(tape, None, What::LoopBroken { claim, from });
            return Some(again.max(now.after(LOOP_NS)));
        }
        let grace = |claim: ClaimId| {
            let class =
                self.books.claim(claim).map_or(0, |row| self.books.tables().claims.class[row as usize]);
            now.after(self.preemption.policy.grace_ns[class.min(2) as usize])
        };
        let told: Vec<_> = found.victims.iter().map(|&(victim, why)| (victim, why, grace(victim))).collect();
        let last = told.iter().map(|&(_, _, until)| until).max().unwrap_or(now);
        // Nobody is told to leave for one who will be gone by then.
        let wait_until = Time(self.books.tables().claims.wait_until[row as usize]);
        if last >= wait_until {
            return Some(wait_until.max(now).after(SOON_NS));
        }
        let until = last.after(self.preemption.policy.shrink_ns).after(PROMISE_NS);
        let promise = Promise { claim, pools: found.pools, standing: found.standing, until };
        self.emit(tape, None, What::Promised(promise));
        for (victim, why, until) in told {
            self.emit(tape, None, What::Preempting { claim: victim, by: claim, until, why });
        }
        Some(until)
    }

    /// Who takes from whom from here on, if it makes sense.
    pub(crate) fn set_preemption(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        policy: &PreemptionPolicy,
    ) -> Result<(), Refusal> {
        if policy.bands.len() > BANDS_MAX {
            return bad(
                &format!("{} bands are too many", policy.bands.len()),
                &format!("at most {BANDS_MAX}"),
            );
        }
        if policy.grace_ns.iter().chain([&policy.min_runtime_ns]).any(|&ns| ns > TTL_NS_MAX) {
            return bad("a grace or the shortest run is too long", "at most 30 days");
        }
        if [policy.shrink_ns, policy.suspend_ns].into_iter().any(|ns| ns > TTL_NS_MAX) {
            return bad("a rung is too long", "at most 30 days");
        }
        if policy.shrink_to > 100 {
            return bad(
                &format!("a shrink cannot leave {} % of what is held", policy.shrink_to),
                "at most 100",
            );
        }
        if policy.idle.len() > IDLE_MAX || policy.idle.iter().any(|name| name.len() > NAME_BYTES_MAX) {
            return bad(
                "too many kinds are said to be idle in a frozen process, or one's name is too long",
                &format!("at most {IDLE_MAX} names of kinds"),
            );
        }
        self.emit(tape, cause, What::PreemptionSet);
        Ok(())
    }

    /// Whether what a claim needs is more than its own lines: those of a gang, one of several sets, or a part of
    /// another lease. Nobody is made to leave for such a claim.
    pub(crate) fn is_entangled(&self, claim: ClaimId, row: Row) -> bool {
        self.is_ganged(claim) || self.books.sets(row) > 1 || self.books.parent_row(row).is_some()
    }

    /// Whether there is anything that this claim might take, by the first look.
    pub(crate) fn may_take(&self, row: Row) -> bool {
        let Preemption { policy, leased, .. } = &self.preemption;
        let class = self.books.tables().claims.class[row as usize];
        let below = (class as usize + 1).min(3);
        let by_band = policy.by_band
            && (leased[below..].iter().any(|&leases| leases > 0)
                || !policy.bands.is_empty() && leased[class.min(2) as usize] > 0);
        #[cfg(test)]
        let by_band = by_band || self.preemption.either_way;
        let by_band = by_band
            || policy.by_band
                && (canary!("a band takes from its own") || canary!("who stands behind takes back"));
        by_band || policy.reclaim && self.guaranteed_some(row)
    }

    /// Counts leases by class anew.
    pub(crate) fn count_leases(&mut self) {
        let claims = &self.books.tables().claims;
        self.preemption.leased = [0; 3];
        for c in (0..claims.len()).filter(|&c| claims.id[c] != 0) {
            if Phase::of(claims.phase[c]) > Phase::Pending {
                self.preemption.leased[claims.class[c].min(2) as usize] += 1;
            }
        }
    }
}
