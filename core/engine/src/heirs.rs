//! Inheritance: a claim that is asked for while something is held stands at least as far ahead as the first of those
//! who wait for what is held, through chains (Sha, Rajkumar and Lehoczky, "Priority inheritance protocols", 1990). So
//! nobody of a middling class keeps a lock's holder from what it needs to give the lock back.
//!
//! Only the tier is inherited, and only by claims in the [wait-for graph](bursar_coord::WaitFor); the one comparator
//! of the line is as it was. It is found anew from everybody's own tiers when a step ends, so it goes with those it
//! came from. Looks for the first who waits: O(log n) by named pool, and one for each lack of a kind or a ledger.
use crate::{Engine, lack::Lack, position::Stood};
use bursar_interface::{ClaimId, NONE, Row, bound::HEIR_LOOKS_MAX, canary};
use bursar_pool::Books;
use std::collections::{BTreeMap, BTreeSet};

/// Claims of a pool that are passed over because enough of it is free for them.
const PASSED_MAX: usize = 8;

/// Who waits for which named pool, and who stands ahead of its own tier.
#[derive(Clone, Debug, Default)]
pub(crate) struct Heirs {
    /// By pool, then as the line has them.
    named: BTreeSet<(Row, u64, ClaimId)>,
    /// The tier under which each of these is in there.
    tiers: BTreeMap<ClaimId, u64>,
    /// The own tiers of those who stand ahead of them.
    ahead: BTreeMap<ClaimId, u64>,
    claims: Vec<ClaimId>,
}

/// The pools that a claim names, in all of its sets of lines.
fn names(books: &Books, row: Row) -> impl Iterator<Item = Row> + '_ {
    let wants = &books.tables().lines.want;
    books.all_rows(row).map(|line| wants[line as usize]).filter(|&want| want != NONE)
}

impl Heirs {
    /// A claim stands in line from now on.
    pub(crate) fn enter(&mut self, books: &Books, row: Row, claim: ClaimId, tier: u64) {
        for pool in names(books, row) {
            self.named.insert((pool, tier, claim));
            self.tiers.insert(claim, tier);
        }
    }

    /// A claim waits no more.
    pub(crate) fn leave(&mut self, books: &Books, claim: ClaimId) {
        if !self.ahead.is_empty() {
            self.ahead.remove(&claim);
        }
        if self.tiers.is_empty() {
            return;
        }
        let (Some(tier), Some(row)) = (self.tiers.remove(&claim), books.claim(claim)) else { return };
        names(books, row).for_each(|pool| {
            self.named.remove(&(pool, tier, claim));
        });
    }

    /// A claim stands elsewhere.
    fn move_to(&mut self, books: &Books, claim: ClaimId, tier: u64) {
        let (Some(known), Some(row)) = (self.tiers.get_mut(&claim), books.claim(claim)) else { return };
        let before = std::mem::replace(known, tier);
        for pool in names(books, row) {
            self.named.remove(&(pool, before, claim));
            self.named.insert((pool, tier, claim));
        }
    }

    /// Who waits for a pool, who stands first first.
    fn behind(&self, pool: Row) -> impl Iterator<Item = (u64, ClaimId)> + '_ {
        let all = self.named.range((pool, 0, ClaimId(0))..=(pool, u64::MAX, ClaimId(u64::MAX)));
        all.map(|&(_, tier, claim)| (tier, claim))
    }
}

impl Engine {
    /// Whoever waits while holding stands where those stand who wait for it.
    pub(crate) fn inherit(&mut self) {
        if self.wait_for.is_empty() && self.heirs.ahead.is_empty() {
            return;
        }
        for (claim, own) in std::mem::take(&mut self.heirs.ahead) {
            match canary!("who inherited keeps it") {
                true => drop(self.heirs.ahead.insert(claim, own)),
                false => self.stand_at(claim, own),
            }
        }
        let mut claims = std::mem::take(&mut self.heirs.claims);
        claims.clear();
        claims.extend(self.wait_for.claims().take(HEIR_LOOKS_MAX));
        let (mut moved, mut looks) = (true, HEIR_LOOKS_MAX);
        while std::mem::take(&mut moved) && looks > 0 {
            for &claim in &claims {
                let Some(tier) = self.queue.stands(claim) else { continue };
                let first = self.first_behind(claim, &mut looks);
                if first < tier && !canary!("nobody inherits") {
                    self.heirs.ahead.entry(claim).or_insert(tier);
                    self.stand_at(claim, first);
                    moved = true;
                }
            }
        }
        self.heirs.claims = claims;
    }

    fn stand_at(&mut self, claim: ClaimId, tier: u64) {
        self.queue.stand_at(claim, tier);
        self.stood.extend(self.queue.place(claim).map(Stood::from));
        self.heirs.move_to(&self.books, claim, tier);
    }

    /// The first tier of those who wait for what is held by whoever asked for a claim.
    fn first_behind(&self, claim: ClaimId, looks: &mut usize) -> u64 {
        let tables = self.books.tables();
        let held = self.wait_for.held(claim).iter().filter_map(|&lease| self.books.claim(lease));
        let mut first = u64::MAX;
        for lease in held {
            for line in tables.claims.line_rows(lease).map(|line| line as usize) {
                let (kind, pool) = (tables.lines.resource[line], tables.lines.pool[line]);
                if *looks == 0 || !self.is_held(kind) {
                    continue;
                }
                *looks -= 1;
                let lacks = |&(_, other): &(u64, ClaimId)| self.lacks_of(other, pool);
                let named = self.heirs.behind(pool).take(PASSED_MAX).find(lacks).map(|(tier, _)| tier);
                let of_kind = self.queue.first_tier(Lack::Kind(kind, 0)..=Lack::Kind(kind, u32::MAX));
                let scope = tables.claims.scope[lease as usize];
                let ledgers = self.books.quotas_of(scope, kind).filter_map(|quota| {
                    self.queue.first_tier(Lack::Ledger(quota, 0)..=Lack::Ledger(quota, u32::MAX))
                });
                first = named.into_iter().chain(of_kind).chain(ledgers).chain([first]).min().unwrap_or(first);
            }
        }
        first
    }

    /// Whether a claim asks for more of a named pool than is free.
    fn lacks_of(&self, claim: ClaimId, pool: Row) -> bool {
        let tables = self.books.tables();
        self.books.claim(claim).is_some_and(|row| {
            let lines = self.books.all_rows(row).map(|line| line as usize);
            let mut named = lines.filter(|&line| tables.lines.want[line] == pool);
            named.any(|line| tables.lines.amount[line] > tables.pools.free(pool))
        })
    }

    /// The tier of a claim that stands in line, and the tier at which it stands for the sake of those who wait for
    /// what its asker holds: smaller goes first.
    pub fn tiers(&self, claim: ClaimId) -> Option<(u64, u64)> {
        let stands = self.queue.stands(claim)?;
        Some((self.heirs.ahead.get(&claim).copied().unwrap_or(stands), stands))
    }
}
