//! What is kept for those for whom others give back: by pool and by ledger, from everybody who does not stand
//! before them, until they are granted or the promise ends.
use crate::{Engine, lack::Lack};
use bursar_interface::{Amount, ClaimId, Promise, Row, Shape};
use std::collections::BTreeMap;

/// From which promises somebody must keep away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bound {
    /// Whose own promise does not count.
    pub(crate) claim: Option<ClaimId>,
    /// Where it stands.
    pub(crate) standing: u32,
}

impl Engine {
    /// From which promises a claim must keep away; `None` while there are none.
    pub(crate) fn bound(&self, claim: ClaimId, row: Row) -> Option<Bound> {
        let promises = &self.preemption.promises;
        let owns = promises.contains_key(&claim);
        (!promises.is_empty()).then(|| Bound { claim: owns.then_some(claim), standing: self.standing(row) })
    }

    /// The promises that bind.
    fn binding(&self, bound: Bound) -> impl Iterator<Item = &Promise> {
        let promises = self.preemption.promises.values();
        promises.filter(move |p| Some(p.claim) != bound.claim && p.standing <= bound.standing)
    }

    /// What a promise keeps, by pool and by ledger.
    fn keep(
        &self,
        promise: &Promise,
        pools: &mut BTreeMap<Row, Amount>,
        ledgers: &mut BTreeMap<Row, Amount>,
    ) {
        let Some(row) = self.books.claim(promise.claim) else { return };
        let tables = self.books.tables();
        let scope = tables.claims.scope[row as usize];
        for (line, &pool) in tables.claims.line_rows(row).zip(&promise.pools) {
            let (kind, amount) = (tables.lines.resource[line as usize], tables.lines.amount[line as usize]);
            if let (Some(pool), true) = (self.books.pool(pool), self.is_held(kind)) {
                *pools.entry(pool).or_default() += amount;
                self.books.quotas_of(scope, kind).for_each(|q| *ledgers.entry(q).or_default() += amount);
            }
        }
    }

    /// Whether a kind is held and given back, not spent.
    pub(crate) fn is_held(&self, kind: Row) -> bool {
        matches!(self.books.shape(kind), Shape::Capacity | Shape::Unit)
    }

    /// Keeps from whoever asks what is promised to others, until [`Engine::restore_promised`]; returns what
    /// is kept by pool, whether it is there yet or not.
    pub(crate) fn withhold_promised(&mut self, bound: Option<Bound>) -> BTreeMap<Row, Amount> {
        let Some(bound) = bound else { return BTreeMap::new() };
        let (mut pools, mut ledgers) = (BTreeMap::new(), BTreeMap::new());
        self.binding(bound).for_each(|promise| self.keep(promise, &mut pools, &mut ledgers));
        self.books.begin_change();
        pools.iter().for_each(|(&pool, &amount)| self.books.withhold(pool, amount));
        ledgers.iter().for_each(|(&quota, &amount)| self.books.shift_room(quota, amount as i64));
        pools
    }

    /// What was kept is there again.
    pub(crate) fn restore_promised(&mut self, pools: &BTreeMap<Row, Amount>) {
        self.books.begin_change();
        pools.keys().for_each(|&pool| self.books.restore(pool));
        self.books.restore_room();
    }

    /// Whether a claim that would fit does not, because of what is promised to others.
    pub(crate) fn behind_promise(&mut self, bound: Option<Bound>, row: Row) -> bool {
        bound.is_some() && {
            let pools = self.withhold_promised(bound);
            let behind = self.lack(row).0 != Lack::Nothing;
            self.restore_promised(&pools);
            behind
        }
    }

    /// The first of those for whom something is kept, that fits now.
    pub(crate) fn promised_first(&mut self) -> Option<ClaimId> {
        let claims: Vec<ClaimId> = self.preemption.promises.keys().copied().collect();
        claims.into_iter().find(|&claim| {
            let Some(row) = self.books.claim(claim).filter(|_| self.queue.candidate(claim).is_some()) else {
                return false;
            };
            let bound = self.bound(claim, row);
            self.lack(row).0 == Lack::Nothing && !self.behind_promise(bound, row)
        })
    }
}
