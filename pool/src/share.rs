//! Sharing: under which rules a pool is shared, who holds some of it, and what that leaves for whom.
use crate::{Books, Digest, Refused};
use bursar_interface::{Amount, ClaimId, NONE, Offer, Phase, Reason, Row, Shape, canary};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A pool that is shared by rules.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shared {
    offer: Offer,
    /// What each lease holds of it, by row of the claim.
    parts: BTreeMap<Row, Part>,
    /// What guaranteed leases hold of it together.
    firm: Amount,
}

/// What one lease holds of a pool.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Part {
    amount: Amount,
    /// It was granted as guaranteed: whatever its class becomes, it counts as that.
    firm: bool,
}

impl Shared {
    fn full(&self) -> bool {
        self.places() == 0
    }

    /// Leases that may hold some of it beside those that do.
    fn places(&self) -> u32 {
        match self.offer.holders {
            0 => NONE,
            most => {
                let most = most + u32::from(canary!("one more holds a pool than may"));
                most.saturating_sub(self.parts.len() as u32)
            }
        }
    }

    /// What guaranteed claims can still take.
    fn firm_left(&self) -> Amount {
        match self.offer.firm < self.offer.offered {
            true => self.offer.firm.saturating_sub(self.firm),
            false => Amount::MAX,
        }
    }
}

impl Books {
    /// Whether rules of sharing mean anything for a pool: it is counted, and does not spring from its name.
    pub fn shareable(&self, pool: Row) -> bool {
        let kind = self.tables.pools.resource[pool as usize];
        matches!(self.shape(kind), Shape::Capacity | Shape::Unit) && self.spec(kind).springs == 0
    }

    /// Shares a pool under these rules from now on, or as if there were none. Nobody loses what it holds: nothing
    /// is granted until the rules are kept.
    pub fn offer_by(&mut self, pool: Row, offer: Option<Offer>) {
        let p = pool as usize;
        self.shared.remove(&pool);
        self.tables.pools.offered[p] = offer.map_or(self.tables.pools.capacity[p], |offer| offer.offered);
        if let Some(offer) = offer {
            self.shared.insert(pool, Shared { offer, ..Shared::default() });
            let lines = &self.tables.lines;
            let held = (0..lines.len()).filter(|&l| lines.pool[l] == pool && lines.claim[l] != NONE);
            let held: Vec<Row> = held.map(|l| l as Row).collect();
            held.into_iter().for_each(|line| self.enter_part(line));
        }
        self.count_shared(pool);
    }

    pub(crate) fn is_shared(&self, pool: Row) -> bool {
        !self.shared.is_empty() && self.shared.contains_key(&pool)
    }

    /// The rules under which a pool is shared; `None` for one without.
    pub fn offer(&self, pool: Row) -> Option<&Offer> {
        self.shared.get(&pool).map(|shared| &shared.offer)
    }

    /// Pools whose holders take turns, how long one is, and who they are, oldest first.
    pub fn turns(&self) -> impl Iterator<Item = (Row, u64, Vec<ClaimId>)> + '_ {
        let by_turns = self.shared.iter().filter(|(_, shared)| shared.offer.quantum_ns > 0);
        by_turns.map(|(&pool, shared)| {
            let id = |row: &Row| ClaimId(self.tables.claims.id[*row as usize]);
            let mut holders: Vec<ClaimId> = shared.parts.keys().map(id).collect();
            holders.sort_unstable();
            (pool, shared.offer.quantum_ns, holders)
        })
    }

    /// The most that one claim could be certain of, of a pool that nobody holds. Where less is offered for now than
    /// there is, and all of that for certain, it is a matter of time for whoever insists as for everybody else.
    pub fn most(&self, pool: Row, guaranteed: bool) -> Amount {
        let capacity = self.tables.pools.capacity[pool as usize];
        match self.shared.get(&pool) {
            Some(shared) if guaranteed && shared.offer.firm < shared.offer.offered => {
                capacity.min(shared.offer.firm)
            }
            _ => capacity,
        }
    }

    /// What is ever promised of a pool: where rules offer less for now than there is, all that there is.
    pub fn ever(&self, pool: Row) -> Amount {
        let (offered, capacity) =
            (self.tables.pools.offered[pool as usize], self.tables.pools.capacity[pool as usize]);
        if self.shared.contains_key(&pool) { offered.max(capacity) } else { offered }
    }

    /// What can still be taken of a pool under its rules, given what is neither held nor spent of it.
    pub(crate) fn under_rules(&self, pool: Row, left: Amount) -> Amount {
        match self.shared.is_empty() || !self.shared.get(&pool).is_some_and(Shared::full) {
            true => left,
            false => 0,
        }
    }

    /// Whether the rules of a pool let a waiting claim take so much of it.
    pub(crate) fn check_shared(&self, claim: Row, pool: Row, amount: Amount) -> Result<(), Refused> {
        let Some(shared) = self.shared.get(&pool) else { return Ok(()) };
        let guaranteed = self.tables.claims.class[claim as usize] == 0;
        // One claim is never given more than there is, however much is offered.
        let beyond = amount > self.tables.pools.capacity[pool as usize];
        match beyond || shared.full() || guaranteed && amount > shared.firm_left() {
            true => Err(Refused::Wait(Reason::InsufficientCapacity)),
            false => Ok(()),
        }
    }

    /// What a holder of a pool can still add to what it holds.
    pub(crate) fn room_for_holder(&self, claim: Row, pool: Row) -> Amount {
        let (pools, p) = (&self.tables.pools, pool as usize);
        let Some(shared) = self.shared.get(&pool) else { return pools.free(pool) };
        let used = pools.reserved[p] + pools.held[p] + pools.quarantined[p];
        let left = pools.offered[p].saturating_sub(used.saturating_add(pools.spent[p]));
        let left = if pools.free[p] > 0 { left.min(pools.free[p]) } else { left };
        match shared.parts.get(&claim) {
            Some(part) => {
                let left = left.min(pools.capacity[p].saturating_sub(part.amount));
                if part.firm { left.min(shared.firm_left()) } else { left }
            }
            None => pools.free(pool),
        }
    }

    /// A claim was granted: it holds some of its pools.
    pub(crate) fn enter_shared(&mut self, claim: Row) {
        if self.shared.is_empty() {
            return;
        }
        for line in self.tables.claims.line_rows(claim) {
            self.enter_part(line);
            self.count_shared(self.tables.lines.pool[line as usize]);
        }
    }

    /// A claim is gone, or never held anything.
    pub(crate) fn leave_shared(&mut self, claim: Row) {
        if self.shared.is_empty() {
            return;
        }
        for line in self.tables.claims.line_rows(claim) {
            let pool = self.tables.lines.pool[line as usize];
            let Some(shared) = self.shared.get_mut(&pool) else { continue };
            if let Some(part) = shared.parts.remove(&claim) {
                shared.firm -= if part.firm { part.amount } else { 0 };
                self.count_shared(pool);
            }
        }
    }

    /// A line of a lease holds another amount.
    pub(crate) fn resize_shared(&mut self, claim: Row, pool: Row, before: Amount, now: Amount) {
        let Some(shared) = self.shared.get_mut(&pool) else { return };
        if let Some(part) = shared.parts.get_mut(&claim) {
            part.amount = part.amount - before + now;
            if part.firm {
                shared.firm = shared.firm - before + now;
            }
        }
        self.count_shared(pool);
    }

    fn enter_part(&mut self, line: Row) {
        let (lines, l) = (&self.tables.lines, line as usize);
        let (pool, claim, amount) = (lines.pool[l], lines.claim[l], lines.amount[l]);
        let class = self.tables.claims.class[claim as usize];
        let Some(shared) = self.shared.get_mut(&pool) else { return };
        let part = shared.parts.entry(claim).or_insert(Part { amount: 0, firm: class == 0 });
        part.amount += amount;
        if part.firm {
            shared.firm += amount;
        }
    }

    /// Keeps what can be taken of a pool, after who holds it changed.
    pub(crate) fn count_shared(&mut self, pool: Row) {
        if pool == NONE {
            return;
        }
        let shared = self.shared.get(&pool);
        self.tables.pools.firm[pool as usize] = shared.map_or(Amount::MAX, Shared::firm_left);
        self.tables.pools.places[pool as usize] = shared.map_or(NONE, Shared::places);
        self.count_free(pool);
    }

    /// Whether what is kept of each shared pool is what its leases hold.
    pub(crate) fn shares_add_up(&self) -> bool {
        let (lines, claims) = (&self.tables.lines, &self.tables.claims);
        self.shared.iter().all(|(&pool, shared)| {
            let mut held: BTreeMap<Row, Amount> = BTreeMap::new();
            for l in (0..lines.len()).filter(|&l| lines.claim[l] != NONE && lines.pool[l] == pool) {
                *held.entry(lines.claim[l]).or_default() += lines.amount[l];
            }
            let living = |row: &Row| Phase::of(claims.phase[*row as usize]) > Phase::Pending;
            let kept: BTreeMap<Row, Amount> =
                shared.parts.iter().map(|(&row, part)| (row, part.amount)).collect();
            let firm = shared.parts.values().filter(|part| part.firm).map(|part| part.amount).sum::<Amount>();
            held == kept
                && held.keys().all(living)
                && firm == shared.firm
                && self.tables.pools.firm[pool as usize] == shared.firm_left()
                && self.tables.pools.places[pool as usize] == shared.places()
                && self.tables.pools.offered[pool as usize] == shared.offer.offered
        })
    }

    pub(crate) fn digest_shared(&self, digest: &mut Digest) {
        for (&pool, Shared { offer, parts, firm }) in &self.shared {
            let Offer { offered, firm: certain, quantum_ns, holders } = *offer;
            let words = [u64::from(pool), offered, certain, quantum_ns, u64::from(holders), *firm];
            words.into_iter().for_each(|word| digest.word(word));
            for (&row, part) in parts {
                [u64::from(row), part.amount, u64::from(part.firm)]
                    .into_iter()
                    .for_each(|word| digest.word(word));
            }
        }
    }
}
