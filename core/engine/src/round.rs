//! One round: rank who came, offer them to the allocator in order, check what it proposes, grant.
use crate::{Engine, Plugins, apply::hints, engine::Tape, shape::Shape};
use bursar_interface::{
    ClaimId, Decider, Fault, FaultKind, Phase, Plan, PoolId, Rank, Reason, Role, Row, Take, What,
    bound::ROUND_MAX,
};
use bursar_pool::Refused;

/// Passes over the queue in one step at most; what is left is tried in the next step.
const PASSES_MAX: usize = 64;

/// A claim that is offered to the allocator.
#[derive(Clone, Copy, Debug)]
struct Offer {
    claim: ClaimId,
    row: Row,
    shape: Shape,
}

impl Engine {
    /// Grants what can be granted now.
    pub(crate) fn round(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins) {
        let fresh = self.rank(tape, plugins);
        if self.queue.has_ripe() {
            fresh.into_iter().for_each(|(rank, offer)| self.line_up(rank, offer, false));
        } else {
            self.try_fresh(tape, plugins, &fresh);
        }
        let mut width = 1;
        for _ in 0..PASSES_MAX {
            let offers = self.offers(width);
            if offers.is_empty() {
                break;
            }
            self.place(tape, plugins, &offers);
            self.park_waiting(tape, &offers);
            width = (width * 2).min(ROUND_MAX);
        }
    }

    /// Ranks the claims that have no rank yet, in order of rank.
    fn rank(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins) -> Vec<(Rank, Offer)> {
        let claims: Vec<ClaimId> = std::mem::take(&mut self.fresh).into_iter().collect();
        let rows: Vec<Row> = claims.iter().filter_map(|&claim| self.books.claim(claim)).collect();
        if rows.is_empty() {
            return Vec::new();
        }
        let mut ranks = vec![Rank::default(); rows.len()];
        if let Err(fault) = plugins.qos.active.rank(&self.books.view(), &rows, &mut ranks) {
            let fault = fault.by(&plugins.qos.decider.plugin);
            self.emit(tape, None, What::PluginFault { role: Role::Qos, fault });
            ranks.fill(Rank::default());
            if let Err(fault) = plugins.qos.fallback.rank(&self.books.view(), &rows, &mut ranks) {
                self.emit(tape, None, What::PluginFault { role: Role::Qos, fault });
            }
        }
        let view = self.books.view();
        let offers =
            claims.iter().zip(rows).map(|(&claim, row)| Offer { claim, row, shape: Shape::of(&view, row) });
        let mut ranked: Vec<(Rank, Offer)> = ranks.into_iter().zip(offers).collect();
        ranked.sort_unstable_by_key(|(rank, offer)| (*rank, offer.claim));
        ranked
    }

    /// Tries claims that came when nobody ripe was ahead of them, without lining them up first.
    fn try_fresh(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins, fresh: &[(Rank, Offer)]) {
        for chunk in fresh.chunks(ROUND_MAX) {
            let offers: Vec<Offer> = chunk
                .iter()
                .map(|(_, offer)| *offer)
                .filter(|offer| !self.queue.is_parked(offer.shape))
                .collect();
            if !offers.is_empty() {
                self.place(tape, plugins, &offers);
            }
            for &(rank, offer) in chunk {
                if self.waits(offer.claim) {
                    self.line_up(rank, offer, true);
                    self.tell_why(tape, &offer);
                }
            }
        }
    }

    fn line_up(&mut self, rank: Rank, offer: Offer, parked: bool) {
        let hints = hints(self, offer.row);
        self.queue.insert((rank, offer.claim), offer.shape, &hints, parked);
    }

    fn offers(&self, width: usize) -> Vec<Offer> {
        let candidates = self.queue.candidates(width, ROUND_MAX).into_iter();
        candidates
            .filter_map(|(claim, shape)| Some(Offer { claim, row: self.books.claim(claim)?, shape }))
            .collect()
    }

    /// Those who were offered and still wait: their shapes are parked, and they are told why.
    fn park_waiting(&mut self, tape: &mut Tape<'_>, offers: &[Offer]) {
        for offer in offers {
            if self.waits(offer.claim) {
                self.queue.park(offer.shape);
                self.tell_why(tape, offer);
            }
        }
    }

    fn tell_why(&mut self, tape: &mut Tape<'_>, offer: &Offer) {
        let reason = self.why(offer.row).reason;
        let told = Reason::of(self.books.tables().claims.reason[offer.row as usize]);
        if told != Some(reason) {
            self.emit(tape, None, What::Waiting { claim: offer.claim, reason });
        }
    }

    /// Asks the allocator, and its fallback for what a fault left undone.
    fn place(&mut self, tape: &mut Tape<'_>, plugins: &mut Plugins, offers: &[Offer]) {
        let within_quota: Vec<Offer> =
            offers.iter().filter(|offer| self.books.quota_short(offer.row).is_none()).copied().collect();
        let seat = &mut plugins.allocator;
        let outcome = self.propose(&within_quota, |view, queue, plan| seat.active.place(view, queue, plan));
        let decider = seat.decider.clone();
        let outcome = outcome.and_then(|takes| self.dispose(tape, &within_quota, &takes, &decider));
        let Err(fault) = outcome else { return };
        let fault = fault.by(&decider.plugin);
        self.emit(tape, None, What::PluginFault { role: Role::Allocator, fault });
        let rest: Vec<Offer> = within_quota.into_iter().filter(|offer| self.waits(offer.claim)).collect();
        let outcome = self.propose(&rest, |view, queue, plan| seat.fallback.place(view, queue, plan));
        let decider = seat.fallback_decider.clone();
        if let Err(fault) = outcome.and_then(|takes| self.dispose(tape, &rest, &takes, &decider)) {
            self.emit(
                tape,
                None,
                What::PluginFault { role: Role::Allocator, fault: fault.by(&decider.plugin) },
            );
        }
    }

    /// What an allocator proposes for the offers; the books do not move.
    fn propose(
        &mut self,
        offers: &[Offer],
        ask: impl FnOnce(&bursar_interface::View<'_>, &[Row], &mut Plan<'_>) -> Result<(), Fault>,
    ) -> Result<Vec<Take>, Fault> {
        if offers.is_empty() {
            return Ok(Vec::new());
        }
        let queue: Vec<Row> = offers.iter().map(|offer| offer.row).collect();
        let mut takes = std::mem::take(&mut self.takes);
        let view = self.books.view();
        let lines: usize = queue.iter().map(|&row| view.claims.lines[row as usize] as usize).sum();
        takes.clear();
        takes.resize(lines, Take::default());
        let mut plan = Plan::new(view, &mut self.overlay, &mut takes);
        let outcome = ask(&view, &queue, &mut plan);
        let len = plan.len();
        let proposed = takes[..len].to_vec();
        self.takes = takes;
        outcome.map(|()| proposed)
    }

    /// Grants what is lawful of a proposal; the first unlawful part is the proposer's fault.
    fn dispose(
        &mut self,
        tape: &mut Tape<'_>,
        offers: &[Offer],
        takes: &[Take],
        by: &Decider,
    ) -> Result<(), Fault> {
        let mut offered: Vec<Row> = offers.iter().map(|offer| offer.row).collect();
        offered.sort_unstable();
        let mut unlawful = None;
        for takes in takes.chunk_by(|a, b| a.claim == b.claim) {
            let verdict = match offered.binary_search(&takes[0].claim) {
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

    fn grant(&mut self, tape: &mut Tape<'_>, row: Row, pools: &[Row], by: &Decider) {
        debug_assert_eq!(self.books.phase(row), Phase::Pending);
        let tables = self.books.tables();
        let what = What::Granted {
            claim: ClaimId(tables.claims.id[row as usize]),
            fence: self.next_fence(),
            pools: pools.iter().map(|&pool| PoolId(tables.pools.id[pool as usize])).collect(),
            lease_until: self.books.at().after(tables.claims.ttl[row as usize]),
            by: by.clone(),
        };
        self.emit(tape, None, what);
    }
}
