//! The life of a claim after it is granted: amounts move from free to reserved to held, and back
//! only with proof.
use crate::{Books, Placement};
use bursar_interface::{
    Amount, ClaimId, Fence, NONE, Phase, PoolTable, Reason, Row, Shape, Time, Used, canary,
};

/// Where a claim's amounts stand in its pools.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Account {
    Reserved,
    Held,
    Quarantined,
}

impl Account {
    #[inline]
    pub(crate) fn cell(self, pools: &mut PoolTable, p: usize) -> &mut Amount {
        match self {
            Account::Reserved => &mut pools.reserved[p],
            Account::Held => &mut pools.held[p],
            Account::Quarantined => &mut pools.quarantined[p],
        }
    }
}

/// What stands between a lease and its end, in `claims.bodied`.
pub(crate) const BODILESS: u32 = 0;
/// Being made true by an edge.
pub(crate) const BECOMING: u32 = 1;
/// Made true by an edge.
pub(crate) const BODIED: u32 = 2;
/// Taken back without proof.
pub(crate) const QUARANTINED: u32 = 3;

impl Books {
    /// Whether a lease over this claim needs an edge to make it true, before any process joins it.
    pub fn driven(&self, claim: Row) -> bool {
        let lines = self.tables.claims.line_rows(claim);
        lines.into_iter().any(|line| self.spec(self.tables.lines.resource[line as usize]).driven)
    }

    /// Grants a claim that [`Books::check`] let pass: reserved where an edge must act first, else
    /// held at once.
    pub fn grant(&mut self, claim: Row, fence: Fence, placement: &Placement, lease_until: Time) {
        let driven = self.driven(claim);
        let account = if driven { Account::Reserved } else { Account::Held };
        let scope = self.tables.claims.scope[claim as usize];
        for (line, &pool) in self.tables.claims.line_rows(claim).zip(&placement.pools) {
            // A ledger that begins here counts what is held so far, so the line is written after it.
            self.begin_line(line, pool, scope, account);
            self.tables.lines.pool[line as usize] = pool;
            self.tables.lines.touch(line, self.epoch);
        }
        let (claims, c, at) = (&mut self.tables.claims, claim as usize, self.at);
        claims.fence[c] = fence.0 & !u64::from(canary!("another fence is kept than is told"));
        claims.node[c] = placement.node;
        claims.reason[c] = 0;
        claims.lease_until[c] = lease_until.0;
        claims.wait_until[c] = 0;
        claims.granted_at[c] = at.0;
        claims.retry_at[c] = 0;
        claims.phase[c] = if driven { Phase::Reserved } else { Phase::Held } as u32;
        claims.bodied[c] = if driven { BECOMING } else { BODILESS };
        claims.touch(claim, self.epoch);
        self.occupy(claim, true);
        self.draw(claim);
        self.enter_shared(claim);
    }

    /// Why a claim waits now, and when what is short will have come back.
    pub fn set_reason(&mut self, claim: Row, reason: Reason, retry_at: Time) {
        self.tables.claims.reason[claim as usize] = reason as u32 + 1;
        self.tables.claims.retry_at[claim as usize] = retry_at.0;
        self.tables.claims.touch(claim, self.epoch);
    }

    /// A process is to live inside the lease: an edge must act.
    pub fn attach(&mut self, claim: Row) {
        if !canary!("a process needs no proof") {
            self.tables.claims.bodied[claim as usize] = BECOMING;
        }
        self.tables.claims.touch(claim, self.epoch);
    }

    /// An edge acted: the lease is true.
    pub fn enforce(&mut self, claim: Row) {
        self.tables.claims.bodied[claim as usize] = BODIED;
        if self.phase(claim) == Phase::Reserved {
            self.transfer(claim, Account::Reserved, Account::Held);
            self.tables.claims.phase[claim as usize] = Phase::Held as u32;
        }
        self.tables.claims.touch(claim, self.epoch);
    }

    /// The lease lasts until then.
    pub fn renew(&mut self, claim: Row, lease_until: Time) {
        self.last(claim, lease_until, Time(0));
    }

    /// The lease lasts until then by the grace of a restart, and not by a renewal.
    pub fn give_grace(&mut self, claim: Row, lease_until: Time) {
        self.last(claim, lease_until, lease_until);
    }

    fn last(&mut self, claim: Row, lease_until: Time, grace_until: Time) {
        let (claims, c) = (&mut self.tables.claims, claim as usize);
        (claims.lease_until[c], claims.wait_until[c]) = (lease_until.0, grace_until.0);
        claims.touch(claim, self.epoch);
    }

    /// Whether a lease lasts by the grace of a restart, and was not renewed since.
    pub fn in_grace(&self, claim: Row) -> bool {
        let claims = &self.tables.claims;
        claims.wait_until[claim as usize] == claims.lease_until[claim as usize]
    }

    /// What was used of a kind; kept on the first line of that kind (and pool, where one is named). The
    /// other lines of a kind that is spent were not used then.
    pub fn settle(&mut self, claim: Row, used: &Used) {
        let (Some(resource), Some(account)) = (self.resource(&used.resource), self.account(claim)) else {
            return;
        };
        let scope = self.tables.claims.scope[claim as usize];
        let spent = matches!(self.shape(resource), Shape::Rate | Shape::Budget);
        let mut left = Some(used.amount);
        for line in self.tables.claims.line_rows(claim) {
            let (kind, pool) =
                (self.tables.lines.resource[line as usize], self.tables.lines.pool[line as usize]);
            let named = used.pool.as_ref().is_none_or(|name| self.pool_name(pool) == name);
            if kind == resource && named && (spent || left.is_some()) {
                self.settle_line(line, scope, account, left.take().unwrap_or(0));
            }
        }
        self.settle_inner(claim, resource, used, left);
    }

    /// Whether a granted claim has a line of a kind, from the pool of this name where one is named, its own or
    /// out of a lease around it.
    pub fn holds_some(&self, claim: Row, kind: Row, pool: Option<&str>) -> bool {
        let named = |row: Row| pool.is_none_or(|name| row != NONE && self.pool_name(row) == name);
        let lines = &self.tables.lines;
        let mut own = self.tables.claims.line_rows(claim).map(|line| line as usize);
        own.any(|line| lines.resource[line] == kind && named(lines.pool[line]))
            || self.inner(claim).iter().any(|line| line.resource == kind && named(line.pool))
    }

    /// The lease ended; its amounts stay held until they are proved back.
    pub fn drain(&mut self, claim: Row) {
        if self.phase(claim) == Phase::Reserved {
            self.transfer(claim, Account::Reserved, Account::Held);
        }
        self.tables.claims.phase[claim as usize] = Phase::Draining as u32;
        self.tables.claims.touch(claim, self.epoch);
    }

    /// It came back without proof: used until there is one.
    pub fn quarantine(&mut self, claim: Row) {
        if self.tables.claims.bodied[claim as usize] != QUARANTINED {
            if !canary!("what is quarantined is held") {
                self.transfer(claim, Account::Held, Account::Quarantined);
            }
            self.tables.claims.bodied[claim as usize] = QUARANTINED;
            self.tables.claims.touch(claim, self.epoch);
        }
    }

    /// The claim is gone: what it held is free, its rows are given back.
    pub fn close(&mut self, claim: Row) {
        let c = claim as usize;
        if self.phase(claim) > Phase::Pending {
            self.occupy(claim, false);
        }
        self.unnest(claim);
        let account = self.account(claim);
        let (scope, apart) = (self.tables.claims.scope[c], self.tables.claims.apart[c]);
        self.leave_shared(claim);
        let lines = self.all_rows(claim);
        for line in lines.clone() {
            self.close_line(line, scope, account);
        }
        if !self.alternatives.is_empty() {
            self.alternatives.remove(&claim);
        }
        self.free_lines.give(lines.start, lines.len());
        self.claim_rows.remove(&ClaimId(self.tables.claims.id[c]));
        // Whoever opens the row again writes all of it.
        self.tables.claims.id[c] = 0;
        self.tables.claims.touch(claim, self.epoch);
        self.free_claims.give(claim);
        self.live -= 1;
        for scope in [scope, apart].into_iter().filter(|&scope| scope != NONE) {
            self.tables.scopes.claims[scope as usize] -= 1;
            self.tables.scopes.touch(scope, self.epoch);
            self.prune_scope(scope);
        }
    }

    fn close_line(&mut self, line: Row, scope: Row, account: Option<Account>) {
        let pool = self.tables.lines.pool[line as usize];
        if let (Some(account), true) = (account, pool != NONE) {
            self.end_line(line, pool, scope, account);
        }
        self.free_line(line);
    }

    pub(crate) fn want_no_more(&mut self, pool: Row) {
        if let Some(wanted) = self.wanted.get_mut(&pool) {
            *wanted -= 1;
            if *wanted == 0 {
                self.remove_sprung(pool);
            }
        }
    }

    /// Whether an edge has yet to make the lease true, or to let an attached process in.
    pub fn becoming(&self, claim: Row) -> bool {
        self.tables.claims.bodied[claim as usize] == BECOMING
    }

    /// Whether what the claim held came back without proof.
    pub fn quarantined(&self, claim: Row) -> bool {
        self.tables.claims.bodied[claim as usize] == QUARANTINED
    }

    /// The phase of a live claim.
    pub fn phase(&self, claim: Row) -> Phase {
        Phase::of(self.tables.claims.phase[claim as usize])
    }

    pub(crate) fn account(&self, claim: Row) -> Option<Account> {
        match (self.phase(claim), self.tables.claims.bodied[claim as usize]) {
            (Phase::Pending | Phase::Closed, _) => None,
            (_, QUARANTINED) if !canary!("what is quarantined is held") => Some(Account::Quarantined),
            (Phase::Reserved, _) => Some(Account::Reserved),
            (Phase::Held | Phase::Draining, _) => Some(Account::Held),
        }
    }

    fn transfer(&mut self, claim: Row, from: Account, to: Account) {
        for line in self.tables.claims.line_rows(claim) {
            let (pool, amount) = (self.tables.lines.pool[line as usize], self.holds(line));
            self.leave(pool, from, amount);
            self.enter(pool, to, amount);
        }
    }

    /// Counts a claim with an `apart` rule in or out of its node.
    fn occupy(&mut self, claim: Row, enter: bool) {
        let (scope, node) =
            (self.tables.claims.apart[claim as usize], self.tables.claims.node[claim as usize]);
        if scope == NONE || node == NONE {
            return;
        }
        let table = &self.tables.occupants;
        let known = (0..table.len())
            .find(|&o| table.scope[o] == scope && table.node[o] == node && table.claims[o] > 0);
        let row =
            known.map_or_else(|| self.free_occupants.take(|| self.tables.occupants.push()), |o| o as Row);
        let (table, o) = (&mut self.tables.occupants, row as usize);
        table.scope[o] = scope;
        table.node[o] = node;
        table.claims[o] = if enter { table.claims[o] + 1 } else { table.claims[o] - 1 };
        let gone = table.claims[o] == 0;
        if gone {
            table.scope[o] = NONE;
            self.free_occupants.give(row);
        }
        self.tables.occupants.touch(row, self.epoch);
    }
}
