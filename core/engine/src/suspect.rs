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
    pub(crate) fn suspect(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, role: Role) {
        self.emit(tape, cause, What::Suspected);
        if role == Role::Allocator {
            self.queue.wake_all();
            self.suspicion = Suspicion::Doubted;
        }
    }

    /// Has the stand-in place what a suspected allocator left of the offers, if that was all of them; `before` says
    /// how many events there were when it was asked.
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
        if granted(&tape.events[before..]).next().is_some() {
            // Who places something is not idle, whatever else it leaves.
            self.suspicion = Suspicion::None;
            return;
        }
        let since = tape.events.len();
        let tried = self.decide(tape, offers, bench, &seat.fallback_decider, |view, queue, plan| {
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
        let fault = Fault::of(FaultKind::Idle, told(&placed, &seat.fallback_decider.plugin));
        self.tell_fault(tape, Role::Allocator, fault.by(&seat.decider.plugin));
    }

    /// Claims that have waited for longer than `patience_ns` by `now` though some node has room for all that they ask,
    /// so far as the tables tell: what is kept for others is not looked at. Who came first first, at most [`LEFT_MAX`].
    /// Reads every live claim: nothing for the hot path.
    pub fn left_waiting(&self, now: Time, patience_ns: u64) -> Vec<Left> {
        let claims = &self.books.tables().claims;
        let waited = |row: usize| now.0.saturating_sub(claims.asked_at[row]);
        let waits = |row: &usize| claims.id[*row] != 0 && Phase::of(claims.phase[*row]) == Phase::Pending;
        let rows = (0..claims.len()).filter(waits).filter(|&row| waited(row) > patience_ns);
        let mut rows: Vec<(ClaimId, Row)> = rows.map(|row| (ClaimId(claims.id[row]), row as Row)).collect();
        rows.sort_unstable();
        let (mut overlay, mut takes) = (Overlay::default(), [Take::default(); LINES_MAX]);
        let fits = |&(claim, row): &(ClaimId, Row)| {
            !self.gangs.has(claim) && self.seems_to_fit(row, &mut overlay, &mut takes)
        };
        let left = |(claim, row): (ClaimId, Row)| {
            let reason = Reason::of(claims.reason[row as usize]);
            Left { claim, reason, waited_ns: waited(row as usize) }
        };
        rows.into_iter().filter(fits).take(LEFT_MAX).map(left).collect()
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

/// What an idle one left.
fn told(placed: &[ClaimId], by: &str) -> String {
    let names: Vec<String> = placed.iter().take(LEFT_MAX).map(ToString::to_string).collect();
    let more = if placed.len() > LEFT_MAX { " and others" } else { "" };
    format!("it placed nothing, and {by} then placed {}{more}", names.join(", "))
}
