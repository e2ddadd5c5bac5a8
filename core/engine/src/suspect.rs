//! A second opinion: whether the allocator leaves waiting what would fit. Who is told that it might tries all who
//! wait again, in order; where the allocator then places nothing and its stand-in does, that is the allocator's fault.
//! Nobody is blamed for what cannot be placed, or is kept for others: the stand-in gets the same to see.
use crate::{
    Engine, Seat,
    engine::Tape,
    lack::Lack,
    round::{Offer, Workbench},
};
use bursar_interface::{
    Allocator, ClaimId, Event, Fault, FaultKind, Left, NONE, Overlay, Phase, Plan, Reason, Role, Row, Take,
    Time, What,
    bound::{LEFT_MAX, LINES_MAX},
};

/// Whether the allocator gets a second opinion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// It is believed.
    #[default]
    None,
    /// What it leaves is tried by its stand-in.
    Doubted,
    /// That has placed something already, and it was told.
    Proved,
}

impl Engine {
    /// Takes a suspicion in: it holds for the rest of the step.
    pub(crate) fn suspect(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        role: Role,
        left: &[Left],
        passed: bool,
    ) {
        self.emit(tape, cause, What::Suspected);
        if role == Role::Allocator {
            self.queue.wake_all();
            self.suspicion = Suspicion::Doubted;
            self.passed.clear();
            self.passed.extend(left.iter().filter(|_| passed).map(|left| left.claim));
        }
    }

    /// Nobody is doubted any more.
    pub(crate) fn believe(&mut self) {
        self.suspicion = Suspicion::None;
        self.passed.clear();
    }

    /// Has the stand-in place what a suspected allocator left of the offers: if that was all of them, or those that
    /// others were placed past. `before` says how many events there were when it was asked.
    pub(crate) fn second_opinion(
        &mut self,
        tape: &mut Tape<'_>,
        seat: &mut Seat<dyn Allocator>,
        offers: &[Offer],
        bench: &mut Workbench,
        before: usize,
    ) {
        if self.suspicion == Suspicion::None {
            return;
        }
        let passed = !self.passed.is_empty();
        if !passed && granted(&tape.events[before..]).next().is_some() {
            // Who places something is not idle, whatever else it leaves.
            self.suspicion = Suspicion::None;
            return;
        }
        let left: Vec<Offer> =
            offers.iter().filter(|offer| !passed || self.passed.contains(&offer.claim)).copied().collect();
        let since = tape.events.len();
        let tried = self.decide(tape, &left, bench, &seat.fallback_decider, |view, queue, plan| {
            seat.fallback.place(view, queue, plan)
        });
        if let Err(fault) = tried {
            self.tell_fault(tape, Role::Allocator, fault);
            return;
        }
        let placed: Vec<ClaimId> = granted(&tape.events[since..]).collect();
        if placed.is_empty() || self.suspicion == Suspicion::Proved {
            return;
        }
        self.suspicion = Suspicion::Proved;
        let fault = Fault::of(FaultKind::Idle, told(&placed, &seat.fallback_decider.plugin, passed));
        self.tell_fault(tape, Role::Allocator, fault.by(&seat.decider.plugin));
    }

    /// Claims that have waited for longer than `patience_ns` by `now`, who came first first. Reads every live claim:
    /// nothing for the hot path.
    pub fn waiting_longest(&self, now: Time, patience_ns: u64) -> Vec<ClaimId> {
        let claims = &self.books.tables().claims;
        let waits = |row: &usize| claims.id[*row] != 0 && Phase::of(claims.phase[*row]) == Phase::Pending;
        let rows = (0..claims.len()).filter(waits);
        let rows = rows.filter(|&row| now.0.saturating_sub(claims.asked_at[row]) > patience_ns);
        let mut waiting: Vec<ClaimId> = rows.map(|row| ClaimId(claims.id[row])).collect();
        waiting.sort_unstable();
        waiting
    }

    /// A claim, if it waits though some node has room for all that it asks, so far as the tables tell: what is kept for
    /// others is not looked at.
    pub fn left(&self, claim: ClaimId, now: Time) -> Option<Left> {
        let row = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)?;
        let (mut overlay, mut takes) = (Overlay::default(), [Take::default(); LINES_MAX]);
        if self.gangs.has(claim) || !self.seems_to_fit(row, &mut overlay, &mut takes) {
            return None;
        }
        let claims = &self.books.tables().claims;
        let waited_ns = now.0.saturating_sub(claims.asked_at[row as usize]);
        Some(Left { claim, reason: Reason::of(claims.reason[row as usize]), waited_ns })
    }

    /// The first of those who have waited for longer than `patience_ns` by `now` that are [`Engine::left`]: at most
    /// [`LEFT_MAX`].
    pub fn left_waiting(&self, now: Time, patience_ns: u64) -> Vec<Left> {
        let waiting = self.waiting_longest(now, patience_ns).into_iter();
        waiting.filter_map(|claim| self.left(claim, now)).take(LEFT_MAX).collect()
    }

    /// The number of a live claim's class.
    pub fn class_of(&self, claim: ClaimId) -> Option<u32> {
        Some(self.books.tables().claims.class[self.books.claim(claim)? as usize])
    }

    /// Leases that were granted since the daemon's start, as far as they were folded here.
    pub fn grants(&self) -> u64 {
        self.fences
    }

    /// Whether nothing is short for a waiting claim, and some node would take its first set of lines.
    fn seems_to_fit(&self, row: Row, overlay: &mut Overlay, takes: &mut [Take]) -> bool {
        if !self.for_allocator(row) || self.lack(row).0 != Lack::Nothing {
            return false;
        }
        let view = self.books.view();
        let mut plan = Plan::new(view, overlay, takes);
        let mut nodes = (0..view.nodes.len() as Row).chain([NONE]);
        nodes.any(|node| plan.fits(row, node))
    }
}

/// Who was granted something.
fn granted(events: &[Event]) -> impl Iterator<Item = ClaimId> {
    events.iter().filter_map(|event| match event.what {
        What::Granted { claim, .. } => Some(claim),
        _ => None,
    })
}

/// What an idle one left, or one that placed others past it.
fn told(placed: &[ClaimId], by: &str, passed: bool) -> String {
    let names: Vec<String> = placed.iter().take(LEFT_MAX).map(ToString::to_string).collect();
    let more = if placed.len() > LEFT_MAX { " and others" } else { "" };
    let what = if passed { "it placed others and left these" } else { "it placed nothing" };
    format!("{what}, and {by} then placed {}{more}", names.join(", "))
}
