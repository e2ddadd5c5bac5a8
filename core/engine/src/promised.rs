//! What a pass over the line has promised so far: until it is granted, scopes stand as if it were.
use crate::{Engine, line::Stand, nest::slice_hints, queue::ANYTHING};
use bursar_interface::{Amount, ClaimId, NONE, Row};
use bursar_pool::Books;

/// What one scope was promised of one kind.
#[derive(Clone, Copy, Debug)]
struct Promise {
    scope: Row,
    kind: Row,
    /// To the scope and those below it.
    below: Amount,
    /// To the scope itself.
    own: Amount,
    /// The next one of the same scope, or [`NONE`].
    next: u32,
}

/// Amounts by scope and kind, and by kind alone. A stamp tells the cells of this pass from older ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct Promised {
    stamp: u64,
    /// The first promise to each scope.
    firsts: Vec<(u64, u32)>,
    promises: Vec<Promise>,
    by_kind: Vec<(Row, Amount)>,
}

impl Promised {
    /// Nothing is promised.
    pub(crate) fn clear(&mut self) {
        self.stamp += 1;
        self.promises.clear();
        self.by_kind.clear();
    }

    /// So much of a kind is promised to a scope, which `chain` begins with, and so to those above it.
    pub(crate) fn add(&mut self, kind: Row, amount: Amount, chain: impl Iterator<Item = Row>) {
        match self.by_kind.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, promised)) => *promised += amount,
            None => self.by_kind.push((kind, amount)),
        }
        for (height, scope) in chain.enumerate() {
            let promise = self.promise(scope, kind);
            promise.below += amount;
            promise.own += if height == 0 { amount } else { 0 };
        }
    }

    fn promise(&mut self, scope: Row, kind: Row) -> &mut Promise {
        let known = self.numbers(scope).find(|&number| self.promises[number as usize].kind == kind);
        let number = known.unwrap_or_else(|| {
            let (next, number) = (self.first(scope), self.promises.len() as u32);
            self.promises.push(Promise { scope, kind, below: 0, own: 0, next });
            if self.firsts.len() <= scope as usize {
                self.firsts.resize(scope as usize + 1, (0, NONE));
            }
            self.firsts[scope as usize] = (self.stamp, number);
            number
        });
        &mut self.promises[number as usize]
    }

    fn first(&self, scope: Row) -> u32 {
        let first = self.firsts.get(scope as usize);
        first.filter(|(stamp, _)| *stamp == self.stamp).map_or(NONE, |&(_, first)| first)
    }

    fn numbers(&self, scope: Row) -> impl Iterator<Item = u32> + Clone + '_ {
        let some = |number: u32| Some(number).filter(|&number| number != NONE);
        let first = if self.promises.is_empty() { None } else { some(self.first(scope)) };
        std::iter::successors(first, move |&number| some(self.promises[number as usize].next))
    }

    /// Whether nothing is promised.
    pub(crate) fn is_empty(&self) -> bool {
        self.by_kind.is_empty()
    }

    /// How much of a kind.
    pub(crate) fn of_kind(&self, kind: Row) -> Amount {
        self.by_kind.iter().find(|(known, _)| *known == kind).map_or(0, |&(_, amount)| amount)
    }

    /// The scopes that were promised something, each once for each kind.
    pub(crate) fn scopes(&self) -> impl Iterator<Item = Row> + '_ {
        self.promises.iter().map(|promise| promise.scope)
    }

    /// Where a scope would stand.
    pub(crate) fn stand(&self, books: &Books, scope: Row) -> Stand {
        let promises = self.numbers(scope).map(|number| self.promises[number as usize]);
        let parent = books.tables().scopes.parent[scope as usize];
        let share = match parent {
            // The root has no siblings.
            NONE => 0,
            _ => books.share(scope, promises.clone().map(|promise| (promise.kind, promise.below))),
        };
        Stand {
            parent,
            share,
            own: books.own_share(scope, promises.map(|promise| (promise.kind, promise.own))),
        }
    }
}

impl Engine {
    /// Scopes that hold more or less than before, or were promised something, stand where they now do.
    pub(crate) fn settle_line(&mut self, promised: &Promised) {
        let books = &self.books;
        self.queue.settle(|scope| promised.stand(books, scope));
    }

    /// Weights, guarantees or supplies changed: every scope may stand elsewhere.
    pub(crate) fn restand_all(&mut self) {
        if !self.queue.is_empty() {
            (0..self.books.tables().scopes.len() as Row).for_each(|scope| {
                self.queue.moves(scope);
            });
        }
    }
}

/// What can help a waiting claim: its kinds, and anything at all if it is kept apart from others.
pub(crate) fn hints(books: &Books, row: Row, hints: &mut Vec<u32>) {
    let tables = books.tables();
    hints.clear();
    hints.extend(books.all_rows(row).map(|line| tables.lines.resource[line as usize]));
    hints.sort_unstable();
    hints.dedup();
    if tables.claims.apart[row as usize] != NONE {
        hints.push(ANYTHING);
    }
    if let Some(parent) = books.parent(ClaimId(tables.claims.id[row as usize])) {
        hints.extend(slice_hints(books, parent));
    }
}
