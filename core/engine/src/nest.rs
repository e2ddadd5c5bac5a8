//! Claims within claims: whose lines an ask draws from, where it goes, and that a lease ends after those
//! within it. Its node is its parent's, so there is nothing for an allocator to decide but where no node is
//! bound yet.
use crate::{
    Engine,
    admit::{bad, never},
    apply::join,
    engine::Tape,
    queue::ANYTHING,
    round::{Offer, Workbench},
    shape::Shape,
};
use bursar_interface::{
    Amount, Ask, ClaimId, Decider, Ending, Home, NONE, Phase, Plan, Principal, Reason, Refusal, Row, Take,
    Time, Used, What, Within,
    bound::{LINES_MAX, NAMED_MAX},
};
use bursar_pool::{Books, Inner, Placement, Wanted};
use std::{borrow::Cow, sync::Arc};

/// The name of who decides where a claim goes that goes where its parent is.
const BY: &str = "within";

/// The hints of a claim and of those around it.
pub(crate) fn slice_hints(books: &Books, claim: ClaimId) -> impl Iterator<Item = u32> + '_ {
    books.around(claim).filter_map(|claim| books.claim(claim)).map(slice_hint)
}

/// What can help those who wait for the lines of the claim in a row.
pub(crate) fn slice_hint(parent: Row) -> u32 {
    ANYTHING + 1 + parent
}

/// The scope of an ask: below its parent's, or else below the asker's root.
pub(crate) fn scope_of<'a>(
    books: &Books,
    by: &'a Principal,
    ask: &'a Ask,
    parent: Option<Row>,
) -> Cow<'a, str> {
    match parent {
        None => join(&by.root, &ask.scope),
        Some(row) => {
            let root = books.scope_path(books.tables().claims.scope[row as usize]);
            join(root, &ask.scope).into_owned().into()
        }
    }
}

impl Engine {
    /// The row of the claim that an ask draws from, if the asker may draw from it.
    pub(crate) fn check_parent(&self, by: &Principal, ask: &Ask) -> Result<Option<Row>, Refusal> {
        match (ask.within, by.within) {
            (Within::Own, None) => Ok(None),
            (Within::Own, Some(lease)) => self.open_parent(lease).map(Some),
            (Within::Pools, lived_in) => match lived_in.filter(|_| !by.admin) {
                None => Ok(None),
                Some(lease) => Err(Refusal::new(
                    Reason::Forbidden,
                    format!("who lives in lease {lease} draws from it, and not from the pools"),
                )
                .hint("ask for no more than the lease has, or have it asked from outside")),
            },
            (Within::Lease(claim, fence), lived_in) => {
                let row = self.seen(by, claim)?;
                if let Some(fence) = fence {
                    self.fenced(by, claim, fence)?;
                } else if !by.admin
                    && lived_in.is_some_and(|lease| self.books.around(claim).all(|around| around != lease))
                {
                    return Err(Refusal::new(
                        Reason::Forbidden,
                        format!("claim {claim} is not within the lease that you live in"),
                    )
                    .hint("show its fence"));
                }
                if self.books.phase(row) == Phase::Pending {
                    return Err(Refusal::new(
                        Reason::StaleFence,
                        format!("claim {claim} was not granted yet"),
                    ));
                }
                self.open_parent(claim).map(Some)
            }
        }
    }

    fn open_parent(&self, claim: ClaimId) -> Result<Row, Refusal> {
        if self.resizing(claim).is_some() {
            let message = format!("claim {claim} is being resized");
            return Err(Refusal::new(Reason::InUse, message).hint("try again in a moment"));
        }
        let row = self.books.claim(claim);
        let open = |row: &Row| matches!(self.books.phase(*row), Phase::Reserved | Phase::Held);
        row.filter(open).ok_or_else(|| {
            Refusal::new(
                Reason::LeaseExpired,
                format!("claim {claim} has ended, and nothing can be drawn from it"),
            )
        })
    }

    /// Looks up the lines of an ask within a parent, and refuses what could never be granted there.
    pub(crate) fn check_within(
        &mut self,
        parent: Row,
        ask: &Ask,
        nearest: Option<Row>,
        lines: &mut Vec<Wanted>,
    ) -> Result<(), Refusal> {
        if !ask.alternatives.is_empty() || ask.gang.is_some() {
            let id = self.books.tables().claims.id[parent as usize];
            return bad(
                &format!("what draws from claim {id} can have no alternatives and no gang"),
                "ask for one set of lines, and for each claim by itself",
            );
        }
        self.check_lines(&ask.lines, lines)?;
        let inner = self.books.split_inner(parent, lines);
        self.check_fit_within(parent, ask, lines, &inner)?;
        self.check_limits(nearest, lines)?;
        inner.iter().try_for_each(|line| self.check_limits_within(nearest, line, lines, &inner))
    }

    /// Refuses at once what is above a limit below the scope of the lease that a line is drawn from: from there on
    /// that lease itself counts.
    fn check_limits_within(
        &self,
        nearest: Option<Row>,
        line: &Inner,
        lines: &[Wanted],
        inner: &[Inner],
    ) -> Result<(), Refusal> {
        let (Some(scope), Some(of)) = (nearest, self.books.claim(line.of)) else { return Ok(()) };
        let (tables, spec) = (self.books.tables(), self.books.spec(line.resource));
        let outer = lines.iter().map(|line| (line.resource, line.amount));
        let all = outer.chain(inner.iter().map(|line| (line.resource, line.amount)));
        let asked: Amount = all.filter(|&(kind, _)| kind == line.resource).map(|(_, amount)| amount).sum();
        let top = tables.claims.scope[of as usize];
        let below = |quota: &Row| tables.quotas.scope[*quota as usize] != top;
        let mut ledgers = self.books.quotas_of(scope, line.resource).take_while(below);
        let Some(quota) = ledgers.find(|&quota| asked > self.books.cap(quota)) else { return Ok(()) };
        let path = self.books.scope_path(tables.quotas.scope[quota as usize]);
        let message = format!("{asked} {} of {} is above the limit of scope {path:?}", spec.unit, spec.name);
        let most = self.books.cap(quota);
        Err(Refusal::new(Reason::InsufficientQuota, message).hint(format!("at most {most}")))
    }

    /// Refuses at once what could never be granted within the parent, even if nobody else drew from it.
    pub(crate) fn check_fit_within(
        &mut self,
        parent: Row,
        ask: &Ask,
        lines: &[Wanted],
        inner: &[Inner],
    ) -> Result<(), Refusal> {
        let id = self.books.tables().claims.id[parent as usize];
        if let Some(line) = self.books.never_within(inner) {
            let spec = self.books.spec(line.resource);
            let most = self.books.largest_slice(line);
            let hint = match most {
                0 => "what it had is settled or spent; ask outside of it".to_owned(),
                _ => format!("at most {most} {}, or a larger lease around it", spec.unit),
            };
            return never(
                &format!(
                    "{} {} of {} is more than claim {} has for those within it",
                    line.amount, spec.unit, spec.name, line.of
                ),
                &hint,
            );
        }
        self.check_fit(ask, lines)?;
        let node = self.books.tables().claims.node[parent as usize];
        if node == NONE {
            return Ok(());
        }
        let labels = self.books.tables().nodes.labels[node as usize];
        let need = self.books.known_labels(&ask.need);
        let fits = labels & need == need
            && labels & self.books.known_labels(&ask.bar) == 0
            && self.feasible.on_node(&self.books, lines, node);
        match fits {
            true => Ok(()),
            false => never(
                &format!(
                    "node {} of claim {id} has not all of it, even when idle",
                    self.books.node_name(node)
                ),
                "what is within a lease is where the lease is; ask for less, or from outside of it",
            ),
        }
    }

    /// Whether an allocator is to say where a waiting claim goes: not where its parent is bound to a node,
    /// nor where it takes nothing from the pools, nor before its parent has room for it.
    pub(crate) fn for_allocator(&self, row: Row) -> bool {
        self.books.parent_row(row).is_none() || !self.goes_with_parent(row) && !self.is_short_within(row)
    }

    /// Whether a waiting claim has to wait for what is around it: for room there, or until the edge has said what
    /// it holds from now on.
    pub(crate) fn is_short_within(&self, row: Row) -> bool {
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        let resized = |around: ClaimId| self.resizing.contains_key(&around);
        !self.resizing.is_empty() && self.books.around(claim).skip(1).any(resized)
            || self.books.slice_short(row).is_some()
    }

    fn goes_with_parent(&self, row: Row) -> bool {
        self.books.node_bound(row).is_some() || self.books.tables().claims.lines[row as usize] == 0
    }

    /// Grants those of the offers that go where their parents are.
    pub(crate) fn place_within(&mut self, tape: &mut Tape<'_>, offers: &[Offer], bench: &mut Workbench) {
        for offer in offers {
            let nested = self.books.parent_row(offer.row).is_some();
            if !nested || !self.still_waits(offer) || !self.goes_with_parent(offer.row) {
                continue;
            }
            if let Some(placement) = self.seat_within(offer.row, bench) {
                let by = Arc::new(Decider { plugin: BY.into(), home: Home::Linked });
                self.grant(tape, offer.row, &placement.pools, &by);
            }
        }
    }

    /// Where a claim goes that goes where its parent is: on that node, or from floating pools alone.
    fn seat_within(&self, row: Row, bench: &mut Workbench) -> Option<Placement> {
        if self.is_short_within(row) || self.books.quota_short(row).is_some() {
            return None;
        }
        let view = self.books.view();
        let lines = view.claims.lines[row as usize] as usize;
        if lines == 0 {
            return self.books.check_bare(row).ok();
        }
        let mut takes = [Take::default(); LINES_MAX];
        let mut plan = Plan::new(view, &mut bench.overlay, &mut takes[..lines]);
        let node = self.books.node_bound(row)?;
        let placed = plan.place(row, node) || plan.place(row, NONE);
        placed.then(|| self.books.check(plan.takes()).ok()).flatten()
    }

    /// A lease does not outlast the one that it is within, as far as that one lasts by now.
    pub(crate) fn no_longer_than_parent(&self, row: Row, until: Time) -> Time {
        let parent = self.books.parent_row(row);
        parent
            .map_or(until, |parent| until.min(Time(self.books.tables().claims.lease_until[parent as usize])))
    }

    /// Ends those within a claim that is about to end.
    pub(crate) fn end_within(&mut self, tape: &mut Tape<'_>, cause: Option<u32>, claim: ClaimId) {
        let children: Vec<ClaimId> = self.books.children(claim).collect();
        for child in children {
            let row = self.books.claim(child);
            if row.is_some_and(|row| self.books.phase(row) < Phase::Draining) {
                self.end(tape, cause, child, Ending::ParentGone);
            }
        }
    }

    /// Who waits for a part of what was settled would wait for ever: it is there no more.
    pub(crate) fn end_short_within(
        &mut self,
        tape: &mut Tape<'_>,
        cause: Option<u32>,
        claim: ClaimId,
        used: &[Used],
    ) {
        let settled = |kind: Row| used.iter().any(|used| used.resource == self.books.spec(kind).name);
        let waits = |within: &ClaimId| {
            let row = self.books.claim(*within).filter(|_| self.waits(*within));
            let inner = row.map_or(&[][..], |row| self.books.inner(row));
            self.books.never_within(inner).is_some_and(|line| line.of == claim && settled(line.resource))
        };
        let never: Vec<ClaimId> = self.books.descendants(claim).filter(waits).collect();
        never.into_iter().for_each(|within| self.end(tape, cause, within, Ending::ParentGone));
    }

    /// What a claim held is proved back: it closes, or waits for those within it.
    pub(crate) fn came_back(
        &mut self,
        tape: &mut Tape<'_>,
        cause: Option<u32>,
        claim: ClaimId,
        ending: Ending,
    ) {
        match self.books.child_count(claim) > 0 {
            true => self.emit(tape, cause, What::Returned { claim, ending }),
            false => self.close_out(tape, cause, claim, ending),
        }
    }

    /// Closes a claim, and those around it that only waited for that.
    pub(crate) fn close_out(
        &mut self,
        tape: &mut Tape<'_>,
        cause: Option<u32>,
        claim: ClaimId,
        ending: Ending,
    ) {
        let mut around = self.books.parent(claim);
        self.emit(tape, cause, What::Closed { claim, ending });
        while let Some(claim) = around {
            let Some(row) = self.books.claim(claim) else { return };
            let back = self.books.tables().claims.bodied[row as usize] == 0 || self.books.returned(claim);
            let over = self.books.phase(row) == Phase::Draining && self.books.child_count(claim) == 0;
            if !back || !over {
                return;
            }
            around = self.books.parent(claim);
            let ending = self.ending(claim).unwrap_or(Ending::Released);
            self.emit(tape, cause, What::Closed { claim, ending });
        }
    }

    /// The shape of a waiting claim, with what it draws from its parent.
    pub(crate) fn shape_within(&self, row: Row, shape: Shape) -> Shape {
        let Some(parent) = self.books.parent_row(row) else { return shape };
        let shape = shape.with(self.books.tables().claims.id[parent as usize]);
        self.books.inner(row).iter().fold(shape, |shape, line| {
            let kind = u64::from(line.resource) | u64::from(line.want) << 32;
            [kind, line.amount, line.models].into_iter().fold(shape, Shape::with)
        })
    }

    /// Who draws from the same lines as a waiting claim, and so keeps it waiting; whose lines
    /// they are where nobody does.
    pub(crate) fn siblings(&self, row: Row, sees: &dyn Fn(Row) -> bool) -> Vec<ClaimId> {
        let Some(&Inner { of, resource, .. }) = self.books.slice_short(row).map(|(line, _)| line) else {
            return Vec::new();
        };
        let draws = |line: &Inner| line.of == of && line.resource == resource && line.from != NONE;
        let drawers = self.books.descendants(of).filter(|claim| {
            let row = self.books.claim(*claim).filter(|&row| sees(row));
            row.is_some_and(|row| self.books.inner(row).iter().any(draws))
        });
        let siblings: Vec<ClaimId> = drawers.take(NAMED_MAX).collect();
        if siblings.is_empty() { vec![of] } else { siblings }
    }
}
