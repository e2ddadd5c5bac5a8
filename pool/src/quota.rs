//! The ledger of each scope and kind: what it holds, what it may hold, what it keeps from its siblings.
//!
//! A scope may hold its guarantee, and above it what others do not need: at most `borrow_limit`, never
//! beyond `limit`, and never what a sibling does not lend (Kueue, KEP-79 and KEP-1224). Whatever a scope
//! holds, those above it hold too, so children stay within their parent's slice at every instant.
use crate::Books;
use bursar_interface::{Amount, NONE, QuotaSpec, Row, Shape, canary};
use std::ops::Range;

/// The row of the scope tree's root.
pub(crate) const ROOT: Row = 0;
/// Fractional bits of a share.
const SHARE_BITS: u32 = 24;

impl Books {
    /// Makes a quota, or changes it. What is held already stays held. Unknown kinds are ignored.
    pub fn set_quota(&mut self, spec: &QuotaSpec) -> Option<Row> {
        let resource = self.resource(&spec.resource)?;
        let scope = self.ensure_scope(&spec.scope);
        let row = self.ledger(scope, resource);
        if scope != ROOT && spec.lend_limit.is_some() {
            self.ledger(self.tables.scopes.parent[scope as usize], resource);
        }
        let before = self.kept_back(row);
        self.count_quota(row);
        let assured = self.assured_rate(row);
        if self.tables.quotas.set[row as usize] == 0 {
            self.count_bound(resource, true);
        }
        let (quotas, q) = (&mut self.tables.quotas, row as usize);
        quotas.set[q] = 1;
        quotas.guaranteed[q] = spec.guaranteed;
        quotas.limit[q] = spec.limit.unwrap_or(Amount::MAX);
        quotas.borrow_limit[q] = spec.borrow_limit.unwrap_or(Amount::MAX);
        quotas.lend_limit[q] = spec.lend_limit.unwrap_or(Amount::MAX);
        self.set_quota_refill(row, &spec.refill);
        self.tell_parent(row, before);
        self.assure(row, assured);
        self.tables.quotas.touch(row, self.epoch);
        Some(row)
    }

    /// Lifts a bound; a scope that was there for it alone goes. What was spent of it is forgotten.
    pub fn remove_quota(&mut self, scope: &str, resource: Row) {
        let Some(scope) = self.scope(scope) else { return };
        let Some(row) = self.ledger_of(scope, resource) else { return };
        if self.tables.quotas.set[row as usize] == 0 {
            return;
        }
        self.count_bound(resource, false);
        let before = self.kept_back(row);
        let (quotas, q) = (&mut self.tables.quotas, row as usize);
        (quotas.set[q], quotas.guaranteed[q]) = (0, 0);
        (quotas.limit[q], quotas.borrow_limit[q], quotas.lend_limit[q]) =
            (Amount::MAX, Amount::MAX, Amount::MAX);
        (quotas.spent[q], quotas.due[q], quotas.rest[q]) = (0, 0, 0);
        (quotas.period[q], quotas.burst[q]) = (0, 0);
        self.tell_parent(row, before);
        self.assure(row, (0, 0));
        self.tables.quotas.touch(row, self.epoch);
        self.prune_scope(scope);
    }

    /// The row of a scope's ledger for a kind, made on first use.
    pub(crate) fn ledger(&mut self, scope: Row, resource: Row) -> Row {
        if let Some(row) = self.ledger_of(scope, resource) {
            return row;
        }
        // Every other scope has had its ledgers since it first held anything.
        let charged = if scope == ROOT { self.held_below(scope, resource) } else { 0 };
        let direct = if scope == ROOT { self.held_by(scope, resource) } else { 0 };
        let row = self.free_quotas.take(|| self.tables.quotas.push());
        self.counters[3] += 1;
        let (quotas, q) = (&mut self.tables.quotas, row as usize);
        quotas.clear(row);
        quotas.id[q] = self.counters[3];
        quotas.scope[q] = scope;
        quotas.resource[q] = resource;
        (quotas.limit[q], quotas.borrow_limit[q], quotas.lend_limit[q]) =
            (Amount::MAX, Amount::MAX, Amount::MAX);
        (quotas.charged[q], quotas.direct[q]) = (charged, direct);
        quotas.next[q] = self.tables.scopes.first_quota[scope as usize];
        quotas.touch(row, self.epoch);
        self.tables.scopes.first_quota[scope as usize] = row;
        self.tables.scopes.touch(scope, self.epoch);
        row
    }

    /// One more ledger of a kind is bounded, or one less.
    pub(crate) fn count_bound(&mut self, resource: Row, more: bool) {
        let r = resource as usize;
        self.bounds.resize(self.bounds.len().max(r + 1), 0);
        self.bounds[r] = if more { self.bounds[r] + 1 } else { self.bounds[r] - 1 };
    }

    /// Whether an operator bounds any ledger of a kind.
    #[inline]
    pub fn bounds_any(&self, resource: Row) -> bool {
        self.bounds.get(resource as usize).is_some_and(|&bounds| bounds > 0)
    }

    /// Whether an operator bounds the scope.
    pub(crate) fn bounded(&self, scope: Row) -> bool {
        self.ledgers(scope).any(|row| self.tables.quotas.set[row as usize] != 0)
    }

    /// Forgets what a scope that goes had: nothing, and no bounds.
    pub(crate) fn drop_ledgers(&mut self, scope: Row) {
        let rows: Vec<Row> = self.ledgers(scope).collect();
        for row in rows {
            self.tables.quotas.clear(row);
            self.tables.quotas.touch(row, self.epoch);
            self.free_quotas.give(row);
        }
        self.tables.scopes.first_quota[scope as usize] = NONE;
    }

    /// The ledgers of one scope.
    fn ledgers(&self, scope: Row) -> impl Iterator<Item = Row> + '_ {
        let first = self.tables.scopes.first_quota[scope as usize];
        std::iter::successors((first != NONE).then_some(first), |&row| {
            Some(self.tables.quotas.next[row as usize]).filter(|&next| next != NONE)
        })
    }

    /// What the claims of a scope and those below it hold of a kind, added up from the lines.
    pub(crate) fn held_below(&self, scope: Row, resource: Row) -> Amount {
        self.held_where(resource, |holder| self.chain(holder).any(|up| up == scope))
    }

    /// What the claims of the scope itself hold of a kind, added up from the lines.
    pub(crate) fn held_by(&self, scope: Row, resource: Row) -> Amount {
        self.held_where(resource, |holder| holder == scope)
    }

    fn held_where(&self, resource: Row, counts: impl Fn(Row) -> bool) -> Amount {
        let lines = &self.tables.lines;
        (0..lines.len())
            .filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE && lines.resource[l] == resource)
            .filter(|&l| counts(self.tables.claims.scope[lines.claim[l] as usize]))
            .map(|l| self.holds(l as Row))
            .sum()
    }

    /// The ledgers on a kind of a scope and those above it, from below.
    pub fn quotas_of(&self, scope: Row, resource: Row) -> impl Iterator<Item = Row> + '_ {
        self.chain(scope).filter_map(move |scope| self.ledger_of(scope, resource))
    }

    /// The ledger of a scope on a kind.
    #[inline]
    pub(crate) fn ledger_of(&self, scope: Row, resource: Row) -> Option<Row> {
        self.ledgers(scope).find(|&row| self.tables.quotas.resource[row as usize] == resource)
    }

    /// Adds to (or takes from) what a scope and those above it hold. While nobody but the root holds
    /// anything there is nothing to keep.
    #[inline]
    pub(crate) fn charge(&mut self, scope: Row, resource: Row, amount: Amount, back: bool) {
        if scope != ROOT || !self.tables.quotas.is_empty() {
            self.charge_chain(scope, resource, amount, back);
        }
    }

    fn charge_chain(&mut self, scope: Row, resource: Row, amount: Amount, back: bool) {
        let mut at = scope;
        while at != NONE {
            let row = self.ledger(at, resource);
            let before = self.kept_back(row);
            let (quotas, q) = (&mut self.tables.quotas, row as usize);
            let change = |cell: &mut Amount| *cell = if back { *cell - amount } else { *cell + amount };
            change(&mut quotas.charged[q]);
            if at == scope {
                change(&mut quotas.direct[q]);
            }
            quotas.touch(row, self.epoch);
            self.tell_parent(row, before);
            at = if canary!("the parent is not charged") {
                NONE
            } else {
                self.tables.scopes.parent[at as usize]
            };
        }
    }

    /// What a scope has free of its guarantee and does not lend, or what those below it have so, where that is more.
    pub(crate) fn kept_back(&self, quota: Row) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        self.kept_itself(quota, quotas.charged[q]).max(quotas.kept_back[q])
    }

    /// What a scope that holds so much has free of its own guarantee and does not lend.
    pub(crate) fn kept_itself(&self, quota: Row, charged: Amount) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        if quotas.guaranteed[q] == 0 {
            return 0;
        }
        match self.shape(quotas.resource[q]) {
            Shape::Capacity | Shape::Unit if !canary!("what is not lent is lent") => {
                quotas.guaranteed[q].saturating_sub(quotas.lend_limit[q]).saturating_sub(charged)
            }
            _ => 0,
        }
    }

    /// Keeps the sums, of the parent and those above it, of what their children keep back.
    fn tell_parent(&mut self, quota: Row, before: Amount) {
        let now = self.kept_back(quota);
        if now == before {
            return;
        }
        let (scope, resource) =
            (self.tables.quotas.scope[quota as usize], self.tables.quotas.resource[quota as usize]);
        let parent = self.tables.scopes.parent[scope as usize];
        if parent != NONE {
            let row = self.ledger(parent, resource);
            let above = self.kept_back(row);
            let kept = &mut self.tables.quotas.kept_back[row as usize];
            *kept = *kept - before + now;
            self.tables.quotas.touch(row, self.epoch);
            self.tell_parent(row, above);
        }
    }

    /// The first ledger along the chain that the whole claim would pass, and by how much.
    pub fn quota_short(&self, claim: Row) -> Option<(Row, Amount)> {
        self.quota_short_in(claim, self.tables.claims.line_rows(claim))
    }

    /// As [`Books::quota_short`], for one set of a claim's lines.
    pub fn quota_short_in(&self, claim: Row, mut lines: Range<Row>) -> Option<(Row, Amount)> {
        let (scope, all) = (self.tables.claims.scope[claim as usize], lines.clone());
        lines.find_map(|line| {
            let resource = self.tables.lines.resource[line as usize];
            if !self.bounds_any(resource) {
                return None;
            }
            self.ledger_short(scope, resource, self.asked_in(all.clone(), resource))
        })
    }

    /// The first ledger on a kind along the chain of a scope that so much more would pass, and by how much.
    pub fn ledger_short(&self, scope: Row, resource: Row, asked: Amount) -> Option<(Row, Amount)> {
        match self.bounds_any(resource) {
            true => self.ledgers_short(scope, resource, asked).next(),
            false => None,
        }
    }

    /// As [`Books::ledger_short`], each of them. What is held, spent and kept beyond what there is has to come back as
    /// well.
    pub fn ledgers_short(
        &self,
        scope: Row,
        resource: Row,
        asked: Amount,
    ) -> impl Iterator<Item = (Row, Amount)> {
        let (mut below, mut kept) = (None, 0);
        self.quotas_of(scope, resource).filter_map(move |quota| {
            let room = self.room(quota, below.replace(quota), &mut kept);
            (asked > room.saturating_add(Amount::from(canary!("one above the limit is given"))))
                .then(|| (quota, (asked - room).saturating_add(self.beyond(quota, room, kept))))
        })
    }

    /// What a scope may hold at most of a kind, borrowed or not.
    pub fn cap(&self, quota: Row) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        match self.shape(quotas.resource[q]) {
            Shape::Rate if quotas.period[q] > 0 => quotas.burst[q],
            _ if canary!("the bound on borrowing is ignored") => quotas.limit[q],
            _ => self.ceiling(quota),
        }
    }

    /// Its limit, and what it may borrow above its guarantee: of a rate, in a period.
    #[inline]
    pub(crate) fn ceiling(&self, quota: Row) -> Amount {
        let (quotas, q) = (&self.tables.quotas, quota as usize);
        quotas.limit[q].min(quotas.guaranteed[q].saturating_add(quotas.borrow_limit[q]))
    }

    /// Keeps room in a ledger from whoever asks (a negative amount: supposes that so much more was there)
    /// until [`Books::restore_room`]: for a round, never for longer.
    pub fn shift_room(&mut self, quota: Row, by: i64) {
        let shift = self.shifted.entry(quota).or_default();
        *shift = shift.saturating_add(by);
    }

    /// There is as much room in ledgers as there is.
    pub fn restore_room(&mut self) {
        self.shifted.clear();
    }

    pub(crate) fn shifted_level(&self, quota: Row) -> Amount {
        self.level(quota).saturating_add_signed(self.shifted.get(&quota).copied().unwrap_or(0))
    }

    /// How much more the children of a ledger, but for `below`, keep back where room is shifted in them or below
    /// them: what comes back to a scope that does not lend is no more for others.
    fn kept_back_shift(&self, quota: Row, below: Option<Row>) -> i64 {
        let towards = self.shifted.keys().filter_map(|&shifted| self.child_towards(quota, shifted));
        let mut children: Vec<Row> = towards.filter(|&child| Some(child) != below).collect();
        children.sort_unstable();
        children.dedup();
        let more = |child: Row| {
            let c = child as usize;
            let shift = self.shifted.get(&child).copied().unwrap_or(0);
            let own = self.kept_itself(child, self.tables.quotas.charged[c].saturating_add_signed(shift));
            let under = self.tables.quotas.kept_back[c];
            let now = own.max(under.saturating_add_signed(self.kept_back_shift(child, None)));
            now as i64 - self.kept_back(child) as i64
        };
        children.into_iter().map(more).sum()
    }

    /// The child of a ledger that another one is, or lies below.
    pub(crate) fn child_towards(&self, quota: Row, other: Row) -> Option<Row> {
        let (quotas, scopes) = (&self.tables.quotas, &self.tables.scopes);
        let (kind, scope) = (quotas.resource[quota as usize], quotas.scope[quota as usize]);
        let same = quotas.resource[other as usize] == kind;
        let mut up = self.chain(quotas.scope[other as usize]).filter(|_| same);
        self.ledger_of(up.find(|&at| scopes.parent[at as usize] == scope)?, kind)
    }

    /// What can still be granted at this level, to somebody in the child of ledger `below`; `kept` is what those
    /// beside it have kept for them at the levels below, and then at this one too.
    fn room(&self, quota: Row, below: Option<Row>, kept: &mut Amount) -> Amount {
        let q = quota as usize;
        if self.assures(quota) {
            *kept = kept.saturating_add(self.assured_to_others(quota, below, self.at));
            return self.free_beside(quota).saturating_sub(*kept);
        }
        if self.tables.quotas.set[q] == 0 && self.tables.quotas.kept_back[q] == 0 && self.shifted.is_empty() {
            return Amount::MAX;
        }
        let level = match self.shifted.is_empty() {
            true => self.level(quota),
            false => self.shifted_level(quota),
        };
        let free = self.cap(quota).saturating_sub(level);
        let others = self.tables.quotas.kept_back[q] - below.map_or(0, |below| self.kept_back(below));
        *kept += match self.shifted.is_empty() {
            true => others,
            false => others.saturating_add_signed(self.kept_back_shift(quota, below)),
        };
        match *kept {
            0 => free,
            kept if self.tables.quotas.scope[q] == ROOT => {
                let kind = self.tables.quotas.resource[q] as usize;
                let shift = self.shifted.get(&quota).copied().unwrap_or(0);
                let of_kind = self.tables.resources.free[kind].saturating_add_signed(-shift.min(0));
                free.min(of_kind).saturating_sub(kept)
            }
            kept => free.saturating_sub(kept),
        }
    }

    /// What is free of a ledger, and at the root of its kind, of which some below it are assured.
    fn free_beside(&self, quota: Row) -> Amount {
        let q = quota as usize;
        let free = self.cap(quota).saturating_sub(self.level(quota));
        match self.tables.quotas.scope[q] {
            ROOT => free.min(self.tables.resources.free[self.tables.quotas.resource[q] as usize]),
            _ => free,
        }
    }

    /// Whether something of a ledger is kept for some below it: then it depends on who asks what is there.
    pub fn keeps_back(&self, quota: Row) -> bool {
        self.tables.quotas.kept_back[quota as usize] != 0 || self.assures(quota)
    }

    /// Where a scope stands against its siblings: its dominant share above its guarantee, by its weight
    /// (Ghodsi et al., NSDI'11; Kueue, KEP-1714), with what is `promised` to it by kind besides. In units
    /// of 2⁻²⁴ of everything.
    pub fn share(&self, scope: Row, promised: impl Iterator<Item = (Row, Amount)> + Clone) -> u64 {
        let (quotas, weight) = (&self.tables.quotas, self.tables.scopes.weight[scope as usize]);
        let above =
            |q: usize, more| quotas.charged[q].saturating_add(more).saturating_sub(quotas.guaranteed[q]);
        self.dominant(scope, promised, above, weight)
    }

    /// Where the claims of the scope itself stand against its children, as a child of weight 1.
    pub fn own_share(&self, scope: Row, promised: impl Iterator<Item = (Row, Amount)> + Clone) -> u64 {
        let quotas = &self.tables.quotas;
        self.dominant(scope, promised, |q, more| quotas.direct[q].saturating_add(more), 1)
    }

    fn dominant(
        &self,
        scope: Row,
        promised: impl Iterator<Item = (Row, Amount)> + Clone,
        held: impl Fn(usize, Amount) -> Amount,
        weight: u32,
    ) -> u64 {
        let weight = u64::from(weight.max(1));
        let share = |kind: Row, held: Amount| {
            let all = self.tables.resources.capacity[kind as usize].max(1);
            match all.checked_mul(weight) {
                _ if held == 0 => 0,
                Some(all) if held >> (64 - SHARE_BITS) == 0 => (held << SHARE_BITS) / all,
                _ => {
                    let share = (u128::from(held) << SHARE_BITS) / u128::from(all) / u128::from(weight);
                    u64::try_from(share).unwrap_or(u64::MAX)
                }
            }
        };
        let some = promised.clone().next().is_some();
        let mut most = 0;
        for row in self.ledgers(scope) {
            let kind = self.tables.quotas.resource[row as usize];
            let of_kind = promised.clone().filter(|(of, _)| some && *of == kind);
            let more = if some { of_kind.map(|(_, more)| more).sum() } else { 0 };
            most = most.max(share(kind, held(row as usize, more)));
        }
        let new = |kind: Row| self.ledger_of(scope, kind).is_none();
        let new = promised.filter(|&(kind, _)| some && new(kind));
        new.fold(most, |most, (kind, more)| most.max(share(kind, more)))
    }
}
