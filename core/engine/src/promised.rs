//! What a pass over the line has promised so far: until it is granted, scopes stand as if it were.
use crate::{Engine, line::Stand, nest::slice_hints, queue::ANYTHING};
use bursar_interface::{Amount, ClaimId, NONE, Row};
use bursar_pool::Books;
use std::collections::BTreeMap;

/// Amounts by scope and kind, and by kind alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    /// To a scope and those below it, and to the scope itself.
    by_scope: BTreeMap<(Row, Row), [Amount; 2]>,
    by_kind: BTreeMap<Row, Amount>,
}

impl Promised {
    /// Nothing is promised.
    pub(crate) fn clear(&mut self) {
        self.by_scope.clear();
        self.by_kind.clear();
    }

    /// So much of a kind is promised to a scope, which `chain` begins with, and so to those above it.
    pub(crate) fn add(&mut self, kind: Row, amount: Amount, chain: impl Iterator<Item = Row>) {
        *self.by_kind.entry(kind).or_default() += amount;
        for (height, scope) in chain.enumerate() {
            let [below, own] = self.by_scope.entry((scope, kind)).or_default();
            *below += amount;
            *own += if height == 0 { amount } else { 0 };
        }
    }

    /// Whether nothing is promised.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// How much of a kind.
    pub(crate) fn of_kind(&self, kind: Row) -> Amount {
        self.by_kind.get(&kind).copied().unwrap_or(0)
    }

    /// The scopes that were promised something.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = Row> + '_ {
        self.by_scope.keys().map(|&(scope, _)| scope)
    }

    /// Where a scope would stand.
    pub(crate) fn stand(&self, books: &Books, scope: Row) -> Stand {
        let of_scope = || self.by_scope.range((scope, 0)..=(scope, Row::MAX));
        let below: Vec<(Row, Amount)> = of_scope().map(|(&(_, kind), &[below, _])| (kind, below)).collect();
        let own: Vec<(Row, Amount)> = of_scope().map(|(&(_, kind), &[_, own])| (kind, own)).collect();
        Stand {
            parent: books.tables().scopes.parent[scope as usize],
            share: books.share(scope, &below),
            own: books.own_share(scope, &own),
        }
    }
}

/// Where a scope stands.
pub(crate) fn stand(books: &Books, scope: Row) -> Stand {
    Promised::default().stand(books, scope)
}

impl Engine {
    /// A scope stands where the books say.
    pub(crate) fn restand(&mut self, scope: Row) {
        if self.queue.stands(scope) {
            self.queue.set_stand(scope, stand(&self.books, scope));
        }
    }

    /// Weights, guarantees or supplies changed: every scope may stand elsewhere.
    pub(crate) fn restand_all(&mut self) {
        if !self.queue.is_empty() {
            (0..self.books.tables().scopes.len() as Row).for_each(|scope| self.restand(scope));
        }
    }
}

/// What can help a waiting claim: its kinds, and anything at all if it is kept apart from others.
pub(crate) fn hints(books: &Books, row: Row) -> Vec<u32> {
    let tables = books.tables();
    let mut hints: Vec<u32> = books.all_rows(row).map(|line| tables.lines.resource[line as usize]).collect();
    hints.sort_unstable();
    hints.dedup();
    if tables.claims.apart[row as usize] != NONE {
        hints.push(ANYTHING);
    }
    if let Some(parent) = books.parent(ClaimId(tables.claims.id[row as usize])) {
        hints.extend(slice_hints(books, parent));
    }
    hints
}
