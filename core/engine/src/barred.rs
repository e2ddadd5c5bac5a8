//! What leases keep from those who wait: whether a claim could be had one day if some leases never gave anything
//! back, however much the others do.
//!
//! Whatever is not held by leases is no matter here: rates and budgets come back by time, closed nodes are
//! opened by operators, and what is kept for others is theirs for a while. So the answer errs to one side: what
//! is barred is barred for good, and what is not may still not fit together. Named pools, ledgers and the lines
//! of a lease around are exact; of other kinds it is looked at up to [`NODES_MAX`] nodes whether each line finds
//! its pool and the sums fit, and beyond that at the sums over all.
use crate::{Engine, right::Gone, sticky::pools_for};
use arrayvec::ArrayVec;
use bursar_coord::{Held, Looks};
use bursar_interface::{
    Amount, ClaimId, NONE, Phase, Row, View,
    bound::{LINES_MAX, RESOURCES_MAX},
};
use bursar_pool::Inner;
use std::ops::Range;

/// Nodes that are looked at one by one.
const NODES_MAX: usize = 64;

/// What keeps a claim from being had.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Bar {
    /// What is held of a named pool.
    Pool(Row),
    /// What is held of a kind below a ledger.
    Ledger(Row),
    /// What is held of a kind, in all or on nodes.
    Kind(Row),
    /// What is drawn from a line of a lease around.
    Inner(Inner),
}

/// At most three for each line: its pool, the first of its ledgers, its kind.
type Bars = ArrayVec<Bar, { 3 * LINES_MAX }>;

/// The engine, as it is seen by whoever looks for circles.
pub(crate) struct Barred<'a>(pub(crate) &'a Engine);

impl Held for Barred<'_> {
    fn could_have(&self, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool {
        looks.took(1 + stay.len() * self.0.view().nodes.len().clamp(1, NODES_MAX));
        let Some(row) = self.0.books.claim(claim) else { return true };
        let stay = self.in_the_way(row, claim, stay);
        stay.is_empty()
            || self.inner_bar(row, &stay).is_none()
                && (0..self.0.books.sets(row))
                    .any(|set| self.bars(row, self.0.books.set_rows(row, set), &stay).is_empty())
    }

    fn keeps(&self, lease: ClaimId, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool {
        looks.took(1);
        self.kept_by(lease, claim, stay).is_some()
    }

    fn ends(&self, lease: ClaimId) -> bool {
        let Some(row) = self.0.books.claim(lease) else { return true };
        self.0.books.phase(row) >= Phase::Draining || self.0.notice(lease).is_some()
    }
}

impl Barred<'_> {
    /// What a lease, one of those that stay, has of what keeps a claim from being had.
    pub(crate) fn kept_by(&self, lease: ClaimId, claim: ClaimId, stay: &[ClaimId]) -> Option<Bar> {
        let books = &self.0.books;
        let (row, holder) = (books.claim(claim)?, books.claim(lease)?);
        let stay = self.in_the_way(row, claim, stay);
        let has = |bar: &Bar| stay.contains(&holder) && self.has_some(holder, bar);
        let inner = self.inner_bar(row, &stay).filter(has);
        let sets = || (0..books.sets(row)).map(|set| self.bars(row, books.set_rows(row, set), &stay));
        inner.or_else(|| sets().flatten().find(has))
    }

    /// Rows of the leases that stay and that the claim may not have end for itself.
    fn in_the_way(&self, row: Row, claim: ClaimId, stay: &[ClaimId]) -> Vec<Row> {
        let rows = stay.iter().filter_map(|&lease| self.0.books.claim(lease));
        if self.0.is_entangled(claim, row) || !self.0.may_take(row) {
            return rows.collect();
        }
        let wanted = self.0.wanted(row);
        rows.filter(|&lease| self.0.right(row, lease, &wanted, &Gone::new()).is_none()).collect()
    }

    /// The first line of a lease around of which those who stay draw too much.
    fn inner_bar(&self, row: Row, stay: &[Row]) -> Option<Bar> {
        let books = &self.0.books;
        let held = books.inner(row).iter().filter(|line| self.0.is_held(line.resource));
        held.copied().find(|line| !books.slice_beside(line, stay)).map(Bar::Inner)
    }

    /// What keeps one set of lines from being had.
    fn bars(&self, row: Row, lines: Range<Row>, stay: &[Row]) -> Bars {
        let (view, books) = (self.0.view(), &self.0.books);
        let mut bars = Bars::new();
        let held = lines.clone().filter(|&line| self.0.is_held(view.lines.resource[line as usize]));
        for line in held {
            let l = line as usize;
            let (kind, want) = (view.lines.resource[l], view.lines.want[l]);
            if want != NONE {
                let same = lines.clone().filter(|&other| view.lines.want[other as usize] == want);
                let asked = same.map(|other| view.lines.amount[other as usize]).sum();
                let taken = self.taken(stay, |other| view.lines.pool[other] == want);
                if bars_out(view.pools.offered[want as usize], taken, asked) {
                    bars.push(Bar::Pool(want));
                }
            }
            if let Some(ledger) = self.ledger_bar(row, kind, books.asked_in(lines.clone(), kind), stay) {
                bars.push(Bar::Ledger(ledger));
            }
        }
        if bars.is_empty() {
            let short = self.kind_bars(row, lines, stay);
            let kinds = (0..RESOURCES_MAX as Row).filter(|kind| short >> kind & 1 == 1);
            bars.extend(kinds.take(LINES_MAX).map(Bar::Kind));
        }
        bars
    }

    /// The sum of what leases hold in lines of a kind.
    fn taken(&self, stay: &[Row], counts: impl Fn(usize) -> bool) -> Amount {
        let (claims, lines) = (&self.0.books.tables().claims, &self.0.books.tables().lines);
        let held = stay.iter().flat_map(|&lease| claims.line_rows(lease)).map(|line| line as usize);
        held.filter(|&line| counts(line)).map(|line| lines.amount[line]).sum()
    }

    /// The first ledger on the way up of which those who stay hold too much.
    fn ledger_bar(&self, row: Row, kind: Row, asked: Amount, stay: &[Row]) -> Option<Row> {
        let books = &self.0.books;
        let tables = books.tables();
        if tables.quotas.is_empty() {
            return None;
        }
        books.quotas_of(tables.claims.scope[row as usize], kind).find(|&quota| {
            let cap = books.cap(quota);
            cap < Amount::MAX && bars_out(cap, self.taken(stay, |line| self.is_charged(quota, line)), asked)
        })
    }

    /// Whether a line counts in a ledger.
    fn is_charged(&self, quota: Row, line: usize) -> bool {
        let tables = self.0.books.tables();
        let scope = tables.claims.scope[tables.lines.claim[line] as usize];
        tables.lines.resource[line] == tables.quotas.resource[quota as usize]
            && self.0.books.chain(scope).any(|up| up == tables.quotas.scope[quota as usize])
    }

    /// Kinds, as bits, of which no node has enough beside those who stay, while some would have enough of all.
    fn kind_bars(&self, row: Row, lines: Range<Row>, stay: &[Row]) -> u64 {
        let view = self.0.view();
        let kind = |line: Row| view.lines.resource[line as usize];
        let open = |&line: &Row| view.lines.want[line as usize] == NONE && self.0.is_held(kind(line));
        let mut short = 0;
        for line in lines.clone().filter(open) {
            let taken = self.taken(stay, |other| view.lines.resource[other] == kind(line));
            let asked = self.0.books.asked_in(lines.clone(), kind(line));
            let barred = bars_out(view.resources.capacity[kind(line) as usize], taken, asked);
            short |= u64::from(barred) << kind(line);
        }
        match self.0.books.node_bound(row) {
            _ if short > 0 => short,
            Some(node) => self.node_bars(row, lines, node..node + 1, stay),
            None if view.nodes.len() > NODES_MAX => 0,
            None => self.node_bars(row, lines, 0..view.nodes.len() as Row, stay),
        }
    }

    /// As above, looking at each of these nodes and at floating pools alone.
    fn node_bars(&self, row: Row, lines: Range<Row>, nodes: Range<Row>, stay: &[Row]) -> u64 {
        let view = self.0.view();
        let kind = |line: Row| view.lines.resource[line as usize];
        let open = |&line: &Row| view.lines.want[line as usize] == NONE && self.0.is_held(kind(line));
        let open = || lines.clone().filter(open);
        let (need, bar) = (view.claims.need[row as usize], view.claims.bar[row as usize]);
        let carries = |&node: &Row| {
            let labels = if node == NONE { need } else { view.nodes.labels[node as usize] };
            labels & need == need && labels & bar == 0
        };
        let finds = |line: Row, node: Row, stay: &[Row]| {
            let asked = self.0.books.asked_in(lines.clone(), kind(line));
            self.finds_pool(&view, line, asked, node, stay)
        };
        let mut short = 0;
        for node in nodes.chain([NONE]).filter(carries) {
            if !open().all(|line| finds(line, node, &[])) {
                continue;
            }
            match open().filter(|&line| !finds(line, node, stay)).fold(0, |bits, line| bits | 1 << kind(line))
            {
                0 => return 0,
                here => short |= here,
            }
        }
        short
    }

    /// Whether a line finds a pool on a node beside those who stay, and all that is asked of its kind room there.
    fn finds_pool(&self, view: &View<'_>, line: Row, asked: Amount, node: Row, stay: &[Row]) -> bool {
        let l = line as usize;
        let room = |pool: Row| {
            let taken = self.taken(stay, |other| view.lines.pool[other] == pool);
            view.pools.offered[pool as usize].saturating_sub(taken)
        };
        let carries = |pool: Row| {
            view.lines.models[l] == 0 || view.pools.labels[pool as usize] & view.lines.models[l] != 0
        };
        let (mut one, mut all): (bool, Amount) = (false, 0);
        for pool in pools_for(view, l, node) {
            one |= carries(pool) && room(pool) >= view.lines.amount[l];
            all += room(pool);
        }
        one && all >= asked
    }

    /// Whether a lease has some of what is told.
    fn has_some(&self, lease: Row, bar: &Bar) -> bool {
        let tables = self.0.books.tables();
        let counts = |line: usize| match *bar {
            Bar::Pool(pool) => tables.lines.pool[line] == pool,
            Bar::Ledger(quota) => self.is_charged(quota, line),
            Bar::Kind(kind) => tables.lines.resource[line] == kind,
            Bar::Inner(_) => false,
        };
        match bar {
            Bar::Inner(of) => self.0.books.draws_beside(of, lease) > 0,
            _ => self.taken(&[lease], counts) > 0,
        }
    }

    /// The kind and, where it is that one alone, the pool of what bars.
    pub(crate) fn named(&self, bar: &Bar) -> (String, Option<String>) {
        let (books, tables) = (&self.0.books, self.0.books.tables());
        let kind = |row: Row| books.spec(row).name.clone();
        match *bar {
            Bar::Pool(pool) => {
                (kind(tables.pools.resource[pool as usize]), Some(books.pool_name(pool).to_owned()))
            }
            Bar::Ledger(quota) => (kind(tables.quotas.resource[quota as usize]), None),
            Bar::Kind(row) => (kind(row), None),
            Bar::Inner(line) => {
                let pool = Some(line.want).filter(|&want| want != NONE);
                (kind(line.resource), pool.map(|pool| books.pool_name(pool).to_owned()))
            }
        }
    }
}

/// Whether what is taken leaves too little of what would be enough if all of it were there.
fn bars_out(all: Amount, taken: Amount, asked: Amount) -> bool {
    asked <= all && all.saturating_sub(taken) < asked
}
