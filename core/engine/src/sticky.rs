//! The head that waits: when it could start at the earliest, and what must be kept for it until then.
//!
//! EASY backfilling (Lifka 1995; Mu'alem and Feitelson, TPDS 2001), for claims over several kinds on
//! several nodes: the head is promised the node on which it could start first. Whoever ends before that,
//! by its own estimate, may go before it; whoever does not may only take what the head will not need.
use crate::Engine;
use bursar_interface::{Amount, ClaimId, NONE, Phase, Row, Time, View};
use std::{collections::BTreeMap, ops::Range};

/// Waiting claims that are looked at to find the head.
pub(crate) const HEADS_MAX: usize = 64;

/// When what comes back, by node: (when, pool, amount), in order of time.
type Ends = BTreeMap<Row, Vec<(Time, Row, Amount)>>;

/// What is kept for a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// The head.
    pub(crate) claim: ClaimId,
    /// Where it stands.
    pub(crate) tier: u64,
    /// When it can start, if all goes as estimated.
    pub(crate) start: Time,
    /// What must be left free now, by pool.
    pub(crate) keep: Vec<(Row, Amount)>,
}

impl Engine {
    /// The oldest claim, but of no gang, that has waited so long, and that its own bounds would let go.
    pub(crate) fn head(&self, patience_ns: u64) -> Option<(ClaimId, Row)> {
        let now = self.books.at();
        let waiting = self.queue.by_age().take(HEADS_MAX);
        let rows = waiting.filter_map(|claim| Some((claim, self.books.claim(claim)?)));
        let claims = &self.books.tables().claims;
        rows.take_while(|&(_, row)| Time(claims.asked_at[row as usize]).after(patience_ns) <= now)
            // What is kept for one member of a gang helps none of it.
            .filter(|&(claim, _)| !self.is_ganged(claim))
            .find(|&(_, row)| self.in_bounds(row) && self.books.slice_short(row).is_none())
    }

    /// Where and when a waiting claim could start first with these lines if nobody else came; `None` if no lease that ends
    /// would let it. Reads every lease.
    pub(crate) fn reserve(&self, claim: ClaimId, row: Row, lines: Range<Row>) -> Option<Reservation> {
        let view = self.books.view();
        let ends = self.ends();
        let bound = self.books.node_bound(row);
        let nodes = (0..view.nodes.len() as Row)
            .filter(|&node| bound.is_none_or(|bound| bound == node) && welcomes(&view, row, node));
        let floating = view.claims.need[row as usize] == 0 && view.claims.apart[row as usize] == NONE;
        let mut first: Option<(Time, Vec<(Row, Amount)>)> = None;
        for node in floating.then_some(NONE).into_iter().chain(nodes) {
            let before = first.as_ref().map_or(Time::NEVER, |&(start, _)| start);
            first = start(&view, lines.clone(), node, &ends, before).or(first);
        }
        let (start, seats) = first?;
        let mut keep: Vec<(Row, Amount)> = Vec::new();
        for (pool, amount) in seats {
            match keep.iter_mut().find(|(known, _)| *known == pool) {
                Some((_, kept)) => *kept += amount,
                None => keep.push((pool, amount)),
            }
        }
        // What comes back until then need not be kept now.
        let back = |pool: Row| -> Amount {
            let on = ends.get(&view.pools.node[pool as usize]).into_iter().flatten();
            on.take_while(|end| end.0 <= start).filter(|end| end.1 == pool).map(|end| end.2).sum()
        };
        keep.iter_mut().for_each(|(pool, kept)| *kept = kept.saturating_sub(back(*pool)));
        Some(Reservation { claim, tier: self.queue.stands(claim).unwrap_or(0), start, keep })
    }

    /// When each held line comes back, by its holder's estimate or else the end of its lease, by node.
    fn ends(&self) -> Ends {
        let tables = self.books.tables();
        let (lines, claims, now) = (&tables.lines, &tables.claims, self.books.at());
        let mut ends = Ends::new();
        for l in (0..lines.len()).filter(|&l| lines.claim[l] != NONE && lines.pool[l] != NONE) {
            let c = lines.claim[l] as usize;
            let end = match (Phase::of(claims.phase[c]), claims.expect[c]) {
                (Phase::Draining, _) => now,
                (_, 0) => Time(claims.lease_until[c]),
                (_, expect) => Time(claims.granted_at[c]).after(expect),
            };
            let node = tables.pools.node[lines.pool[l] as usize];
            ends.entry(node).or_default().push((end.max(now), lines.pool[l], lines.amount[l]));
        }
        ends.values_mut().for_each(|ends| ends.sort_unstable());
        ends
    }
}

pub(crate) fn welcomes(view: &View<'_>, claim: Row, node: Row) -> bool {
    let (c, n) = (claim as usize, node as usize);
    let labels = view.nodes.labels[n];
    let apart = view.claims.apart[c];
    let occupied = || {
        let here = view.occupants;
        (0..here.len()).any(|o| here.scope[o] == apart && here.node[o] == node && here.claims[o] > 0)
    };
    view.nodes.id[n] != 0
        && view.nodes.state[n] == 0
        && labels & view.claims.need[c] == view.claims.need[c]
        && labels & view.claims.bar[c] == 0
        && (apart == NONE || !occupied())
}

/// When a claim could start on a node, and from which pools it would take what; `None` where that is not
/// before `before`.
fn start(
    view: &View<'_>,
    lines: Range<Row>,
    node: Row,
    ends: &Ends,
    before: Time,
) -> Option<(Time, Vec<(Row, Amount)>)> {
    let empty = Vec::new();
    let floating = ends.get(&NONE).unwrap_or(&empty);
    let here = if node == NONE { &empty } else { ends.get(&node).unwrap_or(&empty) };
    let (mut floating, mut here) = (floating.iter().peekable(), here.iter().peekable());
    let mut back: BTreeMap<Row, Amount> = BTreeMap::new();
    let mut now = view.at;
    while now < before {
        if let Some(seats) = seats(view, lines.clone(), node, &back) {
            return Some((now, seats));
        }
        let next = [floating.peek(), here.peek()].into_iter().flatten().map(|end| end.0).min()?;
        for ends in [&mut floating, &mut here] {
            while let Some(&(_, pool, amount)) = ends.next_if(|end| end.0 == next) {
                *back.entry(pool).or_default() += amount;
            }
        }
        now = next;
    }
    None
}

/// From which pools of a node (or floating ones) a claim would take what, when so much more is back.
pub(crate) fn seats(
    view: &View<'_>,
    lines: Range<Row>,
    node: Row,
    back: &BTreeMap<Row, Amount>,
) -> Option<Vec<(Row, Amount)>> {
    let mut seats: Vec<(Row, Amount)> = Vec::new();
    for line in lines.map(|line| line as usize) {
        let (amount, models) = (view.lines.amount[line], view.lines.models[line]);
        let mut pools = pools_for(view, line, node);
        let pool = pools.find(|&pool| {
            let taken: Amount = seats.iter().filter(|(p, _)| *p == pool).map(|(_, amount)| amount).sum();
            let more = *back.get(&pool).unwrap_or(&0);
            (models == 0 || view.pools.labels[pool as usize] & models != 0)
                && view.pools.free(pool) + more >= amount + taken
                && sure(view, line, pool, amount + taken, more)
        })?;
        seats.push((pool, amount));
    }
    Some(seats)
}

/// Whether the rules of sharing let a line's claim take so much of a pool, when so much more is back: whoever waits
/// for more than there is waits for nothing, and nothing is kept for it.
fn sure(view: &View<'_>, line: usize, pool: Row, amount: Amount, more: Amount) -> bool {
    let firm = view.pools.firm[pool as usize];
    let guaranteed = view.claims.class[view.lines.claim[line] as usize] == 0;
    firm == Amount::MAX
        || amount <= view.pools.capacity[pool as usize]
            && (!guaranteed || firm.saturating_add(more) >= amount)
}

/// The pools that a line could be taken from on a node.
pub(crate) fn pools_for<'a>(view: &'a View<'a>, line: usize, node: Row) -> impl Iterator<Item = Row> + 'a {
    let (want, resource) = (view.lines.want[line], view.lines.resource[line]);
    let own = if node == NONE { NONE } else { view.first_of_kind(node, resource) };
    let first = match (want, own) {
        (NONE, NONE) => view.resources.first_floating[resource as usize],
        (NONE, own) => own,
        _ => want,
    };
    let next = view.pools.next;
    std::iter::successors(Some(first).filter(|&pool| pool != NONE), move |&pool| {
        Some(next[pool as usize]).filter(|&next| next != NONE && want == NONE)
    })
    .filter(move |&pool| [NONE, node].contains(&view.pools.node[pool as usize]))
}
