//! Whether all who have just come fit together, whoever goes first: then nobody need stand in line.
//!
//! That can be told where each line has one pool to come from, nothing is kept back on the way to the root, and
//! what all of them ask of every pool and ledger is there: rates above all, which thousands ask for at once.
use crate::round::Offer;
use bursar_interface::{Amount, NONE, Row};
use bursar_pool::Books;

/// What is left of pools and ledgers, as far as it was looked at for this crowd (its stamp says).
#[derive(Clone, Debug, Default)]
pub(crate) struct Crowd {
    stamp: u64,
    pools: Vec<(u64, Amount)>,
    ledgers: Vec<(u64, Amount)>,
}

impl Crowd {
    /// Whether all of these can be granted in any order.
    pub(crate) fn fits(&mut self, books: &Books, offers: impl Iterator<Item = Offer>) -> bool {
        self.stamp += 1;
        let tables = books.tables();
        self.pools.resize(tables.pools.len(), (0, 0));
        self.ledgers.resize(tables.quotas.len(), (0, 0));
        offers.map(|offer| offer.row).all(|row| self.takes(books, row))
    }

    /// Takes what a claim asks for out of what is left.
    fn takes(&mut self, books: &Books, row: Row) -> bool {
        let (tables, c) = (books.tables(), row as usize);
        let claims = &tables.claims;
        let plain = claims.need[c] == 0 && claims.apart[c] == NONE;
        plain
            && claims.line_rows(row).all(|line| {
                let (resource, amount) =
                    (tables.lines.resource[line as usize], tables.lines.amount[line as usize]);
                let scope = claims.scope[c];
                self.pool_has(books, line, amount)
                    && books.quotas_of(scope, resource).all(|quota| self.ledger_has(books, quota, amount))
            })
    }

    fn pool_has(&mut self, books: &Books, line: Row, amount: Amount) -> bool {
        let (tables, l) = (books.tables(), line as usize);
        let alone = tables.lines.want[l] == NONE && tables.lines.models[l] == 0;
        let Some(pool) = only_pool(books, tables.lines.resource[l]).filter(|_| alone) else { return false };
        take(&mut self.pools[pool as usize], self.stamp, amount, || tables.pools.free(pool))
    }

    fn ledger_has(&mut self, books: &Books, quota: Row, amount: Amount) -> bool {
        !books.keeps_back(quota)
            && take(&mut self.ledgers[quota as usize], self.stamp, amount, || {
                books.cap(quota).saturating_sub(books.level(quota))
            })
    }
}

/// The pool of a kind, where it has one alone and that on no node: what is free of it fits.
pub(crate) fn only_pool(books: &Books, kind: Row) -> Option<Row> {
    let (tables, k) = (books.tables(), kind as usize);
    let pool = tables.resources.first_floating[k];
    let only = pool != NONE && tables.pools.next[pool as usize] == NONE && tables.resources.largest[k] == 0;
    only.then_some(pool)
}

/// Takes from what is left in a cell, which `all` says where this crowd has not looked at it yet.
fn take(cell: &mut (u64, Amount), stamp: u64, amount: Amount, all: impl FnOnce() -> Amount) -> bool {
    let left = if cell.0 == stamp { cell.1 } else { all() };
    *cell = (stamp, left.saturating_sub(amount));
    left >= amount
}
