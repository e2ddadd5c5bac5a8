//! One round: rank who came, offer them to the allocator in order, check what it proposes, grant.
use crate::{
    Engine, Plugins, crowd::Crowd, engine::Tape, promised::Promised, queue::Candidate, serve::Tried,
};
use bursar_interface::{
    ClaimId, Decider, Fault, FaultKind, Overlay, Phase, Plan, PoolId, Rank, Role, Row, Take, View, What,
    bound::ROUND_MAX,
};
use bursar_pool::{Books, Refused};
use std::sync::Arc;

/// A claim that is offered to the allocator.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Offer {
    pub(crate) claim: ClaimId,
    pub(crate) row: Row,
}

/// What a round writes on: kept between rounds so that none of it is allocated again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Workbench {
    rows: Vec<Row>,
    ranks: Vec<Rank>,
    ranked: Vec<(Rank, Offer)>,
    pub(crate) offers: Vec<Offer>,
    pub(crate) takes: Vec<Take>,
    pub(crate) overlay: Overlay,
    pub(crate) picked: Vec<Candidate>,
    pub(crate) tried: Vec<Tried>,
    pub(crate) promised: Promised,
    /// Whether those who are offered are a gang.
    pub(crate) gang: bool,
    crowd: Crowd,
    /// Whether no ledger is short for those who are offered: somebody looked.
    roomy: bool,
}

impl Workbench {
    /// Whether nobody's share decides among those who just came: all are of one scope, or all of them fit. Who
    /// has a choice, or draws from a lease, is looked at by itself.
    fn alike(&mut self, books: &Books) -> bool {
        let scope = |row: Row| books.tables().claims.scope[row as usize];
        self.roomy = false;
        if self.ranked.iter().any(|(_, offer)| books.sets(offer.row) > 1) {
            return false;
        }
        if self.ranked.windows(2).all(|pair| scope(pair[0].1.row) == scope(pair[1].1.row)) {
            return true;
        }
        if self.ranked.iter().any(|(_, offer)| books.parent_row(offer.row).is_some()) {
            return false;
        }
        self.roomy = self.crowd.fits(books, self.ranked.iter().map(|&(_, offer)| offer));
        self.roomy
    }
}

impl Engine {
    /// Grants what can be granted now.
    pub(crate) fn round(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins) {
        let mut bench = std::mem::take(&mut self.bench);
        self.queue.wake_due(self.books.at());
        self.rank(tape, plugins, &mut bench);
        // Where the oldest is kept for from the first moment on, order decides even among those who just came.
        let patient = plugins.qos.active.discipline().reserve_after_ns > 0;
        if patient
            && !self.stopped
            && self.queue.is_empty()
            && self.preemption.promises.is_empty()
            && bench.alike(&self.books)
        {
            self.try_fresh(tape, plugins, &mut bench);
            bench.roomy = false;
        } else {
            bench.ranked.iter().for_each(|&(rank, offer)| self.line_up(rank, offer));
        }
        if self.queue.has_ripe() && !self.stopped {
            self.serve_line(tape, plugins, &mut bench);
        }
        for (_, offer) in &bench.ranked {
            if self.still_waits(offer) && self.books.tables().claims.reason[offer.row as usize] == 0 {
                self.tell_why(tape, offer);
            }
        }
        self.bench = bench;
    }

    /// Ranks the claims that have no rank yet, in order of rank.
    fn rank(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins, bench: &mut Workbench) {
        let Workbench { rows, ranks, ranked, .. } = bench;
        ranked.clear();
        rows.clear();
        let rows_of = self.fresh.claims().iter().filter_map(|&claim| self.books.claim(claim));
        rows.extend(rows_of.filter(|&row| self.books.phase(row) == Phase::Pending));
        self.fresh.clear();
        if rows.is_empty() {
            return;
        }
        ranks.clear();
        ranks.resize(rows.len(), Rank::default());
        if let Err(fault) = plugins.qos.active.rank(&self.books.view(), rows, ranks) {
            let fault = fault.by(&plugins.qos.decider.plugin);
            self.tell_fault(tape, Role::Qos, fault);
            ranks.fill(Rank::default());
            if let Err(fault) = plugins.qos.fallback.rank(&self.books.view(), rows, ranks) {
                self.emit(tape, None, What::PluginFault { role: Role::Qos, fault });
            }
        }
        let tables = self.books.tables();
        ranked.extend(ranks.iter().zip(&*rows).map(|(&rank, &row)| {
            let claim = ClaimId(tables.claims.id[row as usize]);
            (rank, Offer { claim, row })
        }));
        if self.gangs.len() > 0 {
            let members: Vec<_> = ranked.extract_if(.., |(_, offer)| self.gangs.has(offer.claim)).collect();
            members.into_iter().for_each(|(rank, offer)| self.muster(rank, offer));
        }
        ranked.sort_unstable_by_key(|(rank, offer)| (*rank, offer.claim));
    }

    /// Tries claims of one scope that came when nobody was ahead of them, without lining them up first.
    fn try_fresh(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins, bench: &mut Workbench) {
        let (ranked, mut offers) = (std::mem::take(&mut bench.ranked), std::mem::take(&mut bench.offers));
        let mut chunks = ranked.chunks(ROUND_MAX);
        for chunk in chunks.by_ref() {
            offers.clear();
            offers.extend(chunk.iter().map(|(_, offer)| *offer));
            self.place(tape, plugins, &offers, bench);
            if offers.iter().any(|offer| self.still_waits(offer)) {
                for &(rank, offer) in chunk {
                    if self.still_waits(&offer) {
                        self.line_up(rank, offer);
                    }
                }
                break;
            }
        }
        chunks.flatten().for_each(|&(rank, offer)| self.line_up(rank, offer));
        (bench.ranked, bench.offers) = (ranked, offers);
    }

    /// Whether an offer was not granted; its row is its own as long as the step lasts.
    pub(crate) fn still_waits(&self, offer: &Offer) -> bool {
        self.books.phase(offer.row) == Phase::Pending
    }

    /// Tells of a fault. One in quarantine was not asked: the fault that put it there has been told.
    pub(crate) fn tell_fault(&mut self, tape: &mut Tape<'_>, role: Role, fault: Fault) {
        if fault.kind != FaultKind::Quarantined {
            self.emit(tape, None, What::PluginFault { role, fault });
        }
    }

    /// Asks the allocator, and its fallback for what a fault left undone.
    pub(crate) fn place(
        &mut self,
        tape: &mut Tape<'_>,
        plugins: &mut Plugins,
        offers: &[Offer],
        bench: &mut Workbench,
    ) {
        self.place_within(tape, offers, bench);
        let (seat, before) = (&mut plugins.allocator, tape.events.len());
        let Err(fault) = self.decide(tape, offers, bench, &seat.decider, |view, queue, plan| {
            seat.active.place(view, queue, plan)
        }) else {
            return self.second_opinion(tape, seat, offers, bench, before);
        };
        self.tell_fault(tape, Role::Allocator, fault);
        let fallback = self.decide(tape, offers, bench, &seat.fallback_decider, |view, queue, plan| {
            seat.fallback.place(view, queue, plan)
        });
        if let Err(fault) = fallback {
            self.emit(tape, None, What::PluginFault { role: Role::Allocator, fault });
        }
    }

    /// Has the offers that wait, and whose quotas allow it, placed by `ask`, and grants what is lawful.
    pub(crate) fn decide(
        &mut self,
        tape: &mut Tape<'_>,
        offers: &[Offer],
        bench: &mut Workbench,
        by: &Arc<Decider>,
        ask: impl FnOnce(&View<'_>, &[Row], &mut Plan<'_>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let Workbench { rows, takes, overlay, roomy, gang, .. } = bench;
        let waiting = offers.iter().filter(|offer| self.still_waits(offer)).map(|offer| offer.row);
        rows.clear();
        let may_go = |row| (*roomy || self.books.quota_short(row).is_none()) && self.for_allocator(row);
        rows.extend(waiting.filter(|&row| may_go(row)));
        if rows.is_empty() || *gang && rows.len() < offers.len() {
            return Ok(());
        }
        let view = self.books.view();
        let lines: usize = rows.iter().map(|&row| view.claims.lines[row as usize] as usize).sum();
        takes.clear();
        takes.resize(lines, Take::default());
        let mut plan = Plan::new(view, overlay, takes);
        ask(&view, rows, &mut plan).map_err(|fault| fault.by(&by.plugin))?;
        let len = plan.len();
        if *gang {
            let done = self.dispose_gang(tape, rows, &takes[..len], by);
            return done.map_err(|fault| fault.by(&by.plugin));
        }
        self.dispose(tape, rows, &takes[..len], by).map_err(|fault| fault.by(&by.plugin))
    }

    /// Grants what is lawful of a proposal for the claims in `rows`; the first unlawful part is the
    /// proposer's fault.
    fn dispose(
        &mut self,
        tape: &mut Tape<'_>,
        rows: &mut [Row],
        takes: &[Take],
        by: &Arc<Decider>,
    ) -> Result<(), Fault> {
        rows.sort_unstable();
        let mut unlawful = None;
        for takes in takes.chunk_by(|a, b| a.claim == b.claim) {
            let verdict = match rows.binary_search(&takes[0].claim) {
                Ok(_) => self.books.check(takes),
                Err(_) => Err(Refused::Unlawful(format!("row {} was not offered", takes[0].claim))),
            };
            match verdict {
                Ok(placement) => self.grant(tape, takes[0].claim, &placement.pools, by),
                Err(Refused::Wait(_)) => {}
                Err(Refused::Unlawful(why)) => {
                    unlawful.get_or_insert(why);
                }
            }
        }
        unlawful.map_or(Ok(()), |why| Err(Fault::of(FaultKind::Nonsense, why)))
    }

    pub(crate) fn grant(&mut self, tape: &mut Tape<'_>, row: Row, pools: &[Row], by: &Arc<Decider>) {
        debug_assert_eq!(self.books.phase(row), Phase::Pending);
        if !self.choose(tape, row, pools) {
            return;
        }
        let tables = self.books.tables();
        let what = What::Granted {
            claim: ClaimId(tables.claims.id[row as usize]),
            fence: self.next_fence(),
            pools: pools.iter().map(|&pool| PoolId(tables.pools.id[pool as usize])).collect(),
            lease_until: self
                .no_longer_than_parent(row, self.books.at().after(tables.claims.ttl[row as usize])),
            by: by.clone(),
        };
        self.emit(tape, None, what);
    }
}
