//! Leases that go on with less than they were granted: what rungs took from them is remembered, and given back
//! as soon as there is room for all of it that nobody who waits can use and that is kept for nobody who stands
//! before. What is frozen goes on then; what was frozen for too long ends.
use crate::{Engine, Plugins, engine::Tape};
use bursar_interface::{
    Amount, ClaimId, Command, Ending, Input, Lessened, LineSize, Phase, Reason, Refusal, Row, Rung, Time,
    What,
};
use bursar_pool::Tight;

/// How long the claim that a lease was frozen for may take to be granted, until the lease takes the last rung,
/// in nanoseconds (1 s).
const SERVED_NS: u64 = 1_000_000_000;

impl Engine {
    /// What rungs took from a lease that goes on; `None` where it holds what it should.
    pub fn lessened(&self, claim: ClaimId) -> Option<&Lessened> {
        self.preemption.lessened.get(&claim)
    }

    /// Whether the processes of a lease are frozen.
    pub fn is_frozen(&self, claim: ClaimId) -> bool {
        self.lessened(claim).is_some_and(|lessened| lessened.frozen_until.is_some())
    }

    /// Whether an edge is to keep a lease frozen, or to freeze it: asked after a restart.
    pub fn to_be_frozen(&self, claim: ClaimId) -> bool {
        self.is_frozen(claim) || self.is_freezing(claim)
    }

    /// The lease whose time to be frozen is over first.
    pub(crate) fn next_frozen(&self) -> Option<(ClaimId, Time)> {
        let goes_on =
            |claim: ClaimId| self.books.claim(claim).is_some_and(|row| self.books.phase(row) == Phase::Held);
        let frozen = self.preemption.lessened.iter();
        let frozen = frozen.filter_map(|(&claim, lessened)| Some((claim, lessened.frozen_until?)));
        frozen.filter(|&(claim, _)| goes_on(claim)).min_by_key(|&(claim, until)| (until, claim))
    }

    /// Ends leases that were frozen for too long.
    pub(crate) fn end_frozen(&mut self, tape: &mut Tape<'_>) {
        let now = self.books.at();
        while let Some((claim, _)) = self.next_frozen().filter(|&(_, until)| until <= now) {
            self.end(tape, None, claim, Ending::Preempted);
        }
    }

    /// What an edge reports of a lease that was to be frozen.
    pub(crate) fn freeze_reported(
        &mut self,
        cause: Option<u32>,
        tape: &mut Tape<'_>,
        claim: ClaimId,
        failed: Option<&str>,
    ) -> Result<(), Refusal> {
        let what = match failed {
            Some(message) if self.is_freezing(claim) => {
                What::RungFailed { claim, rung: Rung::Suspended, message: message.to_owned() }
            }
            None if self.is_freezing(claim) => {
                self.suspend(cause, tape, claim);
                return Ok(());
            }
            // Nobody needs it any more: what may have stopped goes on.
            _ if !self.is_frozen(claim) => What::Resumed { claim, lines: Vec::new() },
            _ => {
                let message = format!("claim {claim} is not to be frozen");
                return Err(Refusal::new(Reason::UnknownClaim, message));
            }
        };
        self.emit(tape, cause, what);
        Ok(())
    }

    /// A lease is frozen: what it does not use is anybody's, and its own time stands still, because whoever
    /// should renew it may be frozen as well.
    fn suspend(&mut self, cause: Option<u32>, tape: &mut Tape<'_>, claim: ClaimId) {
        let Some(row) = self.books.claim(claim) else { return };
        let (now, suspend_ns) = (self.books.at(), self.preemption.policy.suspend_ns);
        let until = now.after(suspend_ns.max(SERVED_NS));
        let lines = self.idle_lines(row);
        let lease_until = Time(self.books.tables().claims.lease_until[row as usize]).after(suspend_ns);
        let lease_until = self.no_longer_than_parent(row, lease_until);
        self.emit(tape, cause, What::Suspended { claim, until, lines });
        self.emit(tape, cause, What::Renewed { claim, lease_until });
    }

    /// The rung of a lease, as told.
    pub(crate) fn fold_rung(&mut self, claim: ClaimId, rung: Rung, until: Time, lines: &[LineSize]) {
        if let Some(notice) = self.preemption.notices.get_mut(&claim) {
            (notice.rung, notice.until) = (rung, until);
        }
        if rung == Rung::Shrunk {
            self.note_before(claim, lines);
        }
    }

    /// What lines held before a rung takes from them; what an earlier one took stays as it is.
    fn note_before(&mut self, claim: ClaimId, lines: &[LineSize]) {
        let Some(row) = self.books.claim(claim) else { return };
        let tables = self.books.tables();
        let first = tables.claims.first_line[row as usize];
        let lessened = self.preemption.lessened.entry(claim).or_default();
        for size in lines {
            if !lessened.before.iter().any(|known| known.line == size.line) {
                let amount = tables.lines.amount[(first + size.line) as usize];
                lessened.before.push(LineSize { line: size.line, amount });
            }
        }
    }

    /// A rung could not be taken: the next one is due.
    pub(crate) fn fold_rung_failed(&mut self, claim: ClaimId, rung: Rung) {
        let now = self.books.at();
        if let Some(notice) = self.preemption.notices.get_mut(&claim).filter(|notice| notice.rung == rung) {
            notice.until = now;
        }
    }

    /// A lease is frozen and gave back what it does not use.
    pub(crate) fn fold_suspended(&mut self, claim: ClaimId, until: Time, lines: &[LineSize]) {
        self.note_before(claim, lines);
        let now = self.books.at();
        if let Some(notice) = self.preemption.notices.get_mut(&claim) {
            notice.until = now.after(SERVED_NS);
        }
        self.preemption.lessened.entry(claim).or_default().frozen_until = Some(until);
        if let Some(row) = self.books.claim(claim) {
            self.set_sizes(row, lines);
        }
    }

    /// A frozen lease goes on with what it held before.
    pub(crate) fn fold_resumed(&mut self, claim: ClaimId, lines: &[LineSize]) {
        self.preemption.lessened.remove(&claim);
        if let Some(row) = self.books.claim(claim) {
            self.set_sizes(row, lines);
        }
    }

    /// A lease holds other amounts: what it has again is not missing any more, and what its holder gave up by
    /// itself is not given back.
    pub(crate) fn forget_lessened(&mut self, claim: ClaimId, input: Option<&Input>, lines: &[LineSize]) {
        let (Some(row), Some(lessened)) = (self.books.claim(claim), self.preemption.lessened.get_mut(&claim))
        else {
            return;
        };
        let tables = self.books.tables();
        let first = tables.claims.first_line[row as usize];
        let given_up = matches!(input, Some(Input { body: Command::Shrink { .. }, .. }));
        lessened.before.retain(|size| {
            let changed = lines.iter().find(|changed| changed.line == size.line);
            let held =
                changed.map_or(tables.lines.amount[(first + size.line) as usize], |changed| changed.amount);
            held < size.amount && !(given_up && changed.is_some())
        });
        if lessened.before.is_empty() && lessened.frozen_until.is_none() {
            self.preemption.lessened.remove(&claim);
        }
    }

    /// Gives leases back what rungs took from them, where there is room for it.
    pub(crate) fn restore_lessened(&mut self, tape: &mut Tape<'_>, plugins: &Plugins) {
        if self.preemption.lessened.is_empty() {
            return;
        }
        let discipline = plugins.qos.active.discipline();
        let head = if self.queue.is_empty() { None } else { self.reservation(&discipline) };
        let lessened: Vec<ClaimId> = self.preemption.lessened.keys().copied().collect();
        for claim in lessened {
            let Some(row) = self.books.claim(claim) else { continue };
            // Somebody still wants it to end, or it is on its way there.
            if self.preemption.notices.contains_key(&claim)
                || self.resizing.contains_key(&claim)
                || self.books.phase(row) != Phase::Held
            {
                continue;
            }
            let lines = self.lessened(claim).map(|lessened| lessened.before.clone()).unwrap_or_default();
            let kept = self.kept_from(row, head.as_ref(), &discipline);
            if !self.may_grow(claim, row, &lines, &kept).is_empty() {
                continue;
            }
            match self.is_frozen(claim) {
                true => self.emit(tape, None, What::Resumed { claim, lines }),
                false => self.change(None, tape, row, claim, lines),
            }
        }
    }

    /// The lines of a lease of which a frozen process uses nothing, as they are then.
    pub(crate) fn idle_lines(&self, row: Row) -> Vec<LineSize> {
        let idle = |kind: Row| self.preemption.policy.idle.contains(&self.books.spec(kind).name);
        let lines = self.held_lines(row).filter(|&(_, _, kind, held)| held > 0 && idle(kind));
        lines.map(|(line, ..)| LineSize { line, amount: 0 }).collect()
    }

    /// What a lease that is to grow is short of, beside what is kept for the head and promised to others.
    pub(crate) fn may_grow(
        &mut self,
        claim: ClaimId,
        row: Row,
        lines: &[LineSize],
        kept: &[(Row, Amount)],
    ) -> Vec<Tight> {
        let bound = self.bound(claim, row);
        let promised = self.withhold_promised(bound);
        let short = self.books.growth_short(row, lines, kept);
        if bound.is_some() {
            self.restore_promised(&promised);
        }
        short
    }
}
