//! The head that waits: when it could start at the earliest, and what must be kept for it until then.
//!
//! EASY backfilling (Lifka 1995; Mu'alem and Feitelson, TPDS 2001), for claims over several kinds on
//! several nodes: the head is promised the node on which it could start first. Whoever ends before that,
//! by its own estimate, or stands before it in line, may go before it; whoever does not may only take what the head
//! will not need. On which node that is goes by what is to be expected of those who hold it ([`crate::outlook`]). What is spent flows back by itself: all that flows until then is kept.
use crate::{Engine, lack::Lack, promised::Promised};
use bursar_interface::{Amount, Backfill, ClaimId, Discipline, NONE, Row, Time, View};
use std::{collections::BTreeMap, ops::Range};

/// Waiting claims of which it is reckoned when they could start, to find the head: each reads every lease.
const HEADS_MAX: usize = 4;
/// The oldest claims that may become the head, beside the first of each line.
const OLDEST_MAX: usize = 64;

/// When what comes back, by node: (when, pool, amount), in order of time.
pub(crate) type Ends = BTreeMap<Row, Vec<(Time, Row, Amount)>>;

/// What is to be taken, by pool; one pool more than once perhaps.
pub(crate) type Seats = Vec<(Row, Amount)>;

/// What is kept for a head.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reservation {
    /// The head.
    pub(crate) claim: ClaimId,
    /// By which of its sets of lines.
    pub(crate) set: usize,
    /// When it can start, if all who hold what it is to have end as they say.
    pub(crate) start: Time,
    /// What must be left free now, by pool.
    pub(crate) keep: Vec<(Row, Amount)>,
}

impl Engine {
    /// The waiting claim that what is freed accrues to, if there is one.
    pub fn head(&self) -> Option<ClaimId> {
        self.kept_for.as_ref().map(|head| head.claim)
    }

    /// What is kept, and for whom: of those who have waited for so long, and whom their bounds would let go, the
    /// first in line that could start once others have ended. Whoever it is stays it for as long as it waits, unless
    /// somebody of a better tier comes to be first.
    pub(crate) fn reservation(&mut self, discipline: &Discipline) -> Option<Reservation> {
        if discipline.backfill == Backfill::Anything || !self.has_waited(discipline.reserve_after_ns) {
            return None;
        }
        self.settle_line(&Promised::default());
        let mut may = self.have_waited(discipline.reserve_after_ns);
        let known = self.kept_for.as_ref().map(|head| head.claim);
        let known = known.and_then(|claim| Some((claim, self.queue.stands(claim)?)));
        may.extend(known.map(|(claim, _)| claim));
        may.sort_unstable();
        may.dedup();
        may.retain(|&claim| self.books.claim(claim).is_some_and(|row| self.may_be_head(claim, row)));
        // Of a tier, whoever it was comes first. Standing before is no order among many, as shares count between siblings
        // of the tree: the first is found by going through all in order of age.
        let tier = |claim: ClaimId| (self.queue.stands(claim), known.is_none_or(|(known, _)| known != claim));
        let before = |a: ClaimId, b: ClaimId| {
            let (one, other) = (tier(a), tier(b));
            one < other || one == other && self.queue.stands_before(a, b)
        };
        (0..HEADS_MAX).find_map(|_| {
            let first =
                (0..may.len()).reduce(|first, at| if before(may[at], may[first]) { at } else { first })?;
            let claim = may.remove(first);
            match self.gang(claim) {
                Some(gang) => self.reserve_gang(&gang),
                None => self.reserve_any(claim, self.books.claim(claim)?),
            }
        })
    }

    /// Whether somebody has waited so long.
    pub(crate) fn has_waited(&self, patience_ns: u64) -> bool {
        self.queue.by_age().next().is_some_and(|oldest| self.is_patient(oldest, patience_ns))
    }

    pub(crate) fn is_patient(&self, claim: ClaimId, patience_ns: u64) -> bool {
        let row = self.books.claim(claim);
        let asked_at = row.map(|row| Time(self.books.tables().claims.asked_at[row as usize]));
        asked_at.is_some_and(|at| at.after(patience_ns) <= self.books.at())
    }

    /// Of those who have waited so long the oldest, and the first of each line.
    pub(crate) fn have_waited(&self, patience_ns: u64) -> Vec<ClaimId> {
        let waited = |claim: &ClaimId| self.is_patient(*claim, patience_ns);
        let oldest = self.queue.by_age().take_while(waited).take(OLDEST_MAX);
        oldest.chain(self.queue.foremost().into_iter().filter(waited)).collect()
    }

    /// Whether its own bounds would let a claim go, and its gang.
    fn may_be_head(&self, claim: ClaimId, row: Row) -> bool {
        self.books.slice_short(row).is_none()
            && match self.gang(claim) {
                Some(gang) => !matches!(self.gang_lack(&gang).0, Lack::Ledger(..)),
                None => self.in_bounds(row),
            }
    }

    /// Where and when a waiting claim could start first with these lines if nobody else came; `None` if no lease that ends
    /// would let it. Reads every lease.
    pub(crate) fn reserve(&self, claim: ClaimId, row: Row, lines: Range<Row>) -> Option<Reservation> {
        let view = self.books.view();
        let (spent, held): (Vec<Row>, Vec<Row>) = lines.partition(|&line| self.is_spent(line));
        let flows = self.flows(&spent)?;
        let bound = self.books.node_bound(row);
        let places: Vec<Row> = places(&view, row, bound).collect();
        let (ends, wrong) = match has_choice(&view, &held, &places) {
            _ if held.is_empty() => (Ends::new(), false),
            true => self.outlook(),
            false => (self.ends(), false),
        };
        let first = |held: &[Row]| {
            places.iter().fold(None, |first: Option<(Time, Seats)>, &node| {
                let before = first.as_ref().map_or(Time::NEVER, |&(start, _)| start);
                start(&view, held, node, &ends, before).or(first)
            })
        };
        // As they are placed: in another order where that in which they were said does not do.
        let (start, seats) = first(&held).or_else(|| {
            let mut held = held.clone();
            held.sort_by_key(|&line| view.choosy(line));
            first(&held)
        })?;
        Some(self.reserved(claim, start, &seats, flows, (&ends, wrong)))
    }

    /// What is left for whoever starts then in these seats, beside what only flows back.
    ///
    /// As long as everybody ends as is said, it starts in them earlier where somebody has outlived its own estimate:
    /// whoever passes has to be gone by then, or each who said too little would let others pass.
    pub(crate) fn reserved(
        &self,
        claim: ClaimId,
        start: Time,
        seats: &Seats,
        flows: (Time, Seats),
        (outlook, wrong): (&Ends, bool),
    ) -> Reservation {
        let mut keep = summed(seats);
        let ends = wrong.then(|| self.ends());
        let ends = ends.as_ref().unwrap_or(outlook);
        let start = start.max(flows.0);
        let said = if wrong { self.start_in(&keep, ends).clamp(flows.0, start) } else { start };
        let pools = &self.books.tables().pools;
        // What comes back until then need not be kept now.
        let back = |pool: Row, ends: &Ends, start: Time| -> Amount {
            let on = ends.get(&pools.node[pool as usize]).into_iter().flatten();
            on.take_while(|end| end.0 <= start).filter(|end| end.1 == pool).map(|end| end.2).sum()
        };
        for (pool, kept) in &mut keep {
            let sure = back(*pool, ends, said).min(back(*pool, outlook, start));
            *kept = kept.saturating_sub(sure);
        }
        // All that flows until then is kept as well, and nobody who is gone before gives any of it back.
        keep.extend(summed(&flows.1));
        Reservation { claim, set: 0, start: said, keep }
    }

    /// When all of these seats are free, if everybody ends like this.
    fn start_in(&self, seats: &Seats, ends: &Ends) -> Time {
        let view = self.books.view();
        let free_at = |&(pool, amount): &(Row, Amount)| {
            let mut free = view.pools.free(pool);
            let on = ends.get(&view.pools.node[pool as usize]).into_iter().flatten();
            let mut back = on.filter(|end| end.1 == pool);
            if free >= amount {
                return view.at;
            }
            let last = back.find(|end| {
                free += end.2;
                free >= amount
            });
            last.map_or(Time::NEVER, |end| end.0)
        };
        seats.iter().map(free_at).max().unwrap_or(view.at)
    }

    /// Whether a line asks for what is spent, and not given back.
    pub(crate) fn is_spent(&self, line: Row) -> bool {
        !self.is_held(self.books.tables().lines.resource[line as usize])
    }
}

/// What is to be taken of each pool.
fn summed(seats: &Seats) -> Seats {
    let mut sums = Seats::new();
    for &(pool, amount) in seats {
        match sums.iter_mut().find(|(known, _)| *known == pool) {
            Some((_, sum)) => *sum += amount,
            None => sums.push((pool, amount)),
        }
    }
    sums
}

/// Whether a node is open to a claim, whatever it has to give.
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

/// Where a claim may start: on no node, or on those that are open to it.
pub(crate) fn places<'a>(view: &'a View<'a>, row: Row, bound: Option<Row>) -> impl Iterator<Item = Row> + 'a {
    let floating = view.claims.need[row as usize] == 0 && view.claims.apart[row as usize] == NONE;
    let nodes = (0..view.nodes.len() as Row)
        .filter(move |&node| bound.is_none_or(|bound| bound == node) && welcomes(view, row, node));
    floating.then_some(NONE).into_iter().chain(nodes)
}

/// Whether one of these lines could be taken from more pools than one. Whoever has no choice waits for who is there:
/// that is EASY as in the paper, where whoever outlives its estimate is expected to end now.
pub(crate) fn has_choice(view: &View<'_>, lines: &[Row], places: &[Row]) -> bool {
    lines.iter().any(|&line| {
        let mut only = None;
        let mut pools = places.iter().flat_map(|&node| pools_for(view, line as usize, node));
        pools.any(|pool| *only.get_or_insert(pool) != pool)
    })
}

/// When a claim could start on a node, and from which pools it would take what; `None` where that is not
/// before `before`.
fn start(view: &View<'_>, lines: &[Row], node: Row, ends: &Ends, before: Time) -> Option<(Time, Seats)> {
    let empty = Vec::new();
    let floating = ends.get(&NONE).unwrap_or(&empty);
    let here = if node == NONE { &empty } else { ends.get(&node).unwrap_or(&empty) };
    let (mut floating, mut here) = (floating.iter().peekable(), here.iter().peekable());
    let mut back: BTreeMap<Row, Amount> = BTreeMap::new();
    let mut now = view.at;
    while now < before {
        let mut taken = Seats::new();
        if seats(view, lines, node, &back, &mut taken) {
            return Some((now, taken));
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

/// From which pools of a node (or floating ones) a claim would take what, when so much more is back, beside what is
/// taken already. Says whether it can be had; if not, `taken` is as it was.
pub(crate) fn seats(
    view: &View<'_>,
    lines: &[Row],
    node: Row,
    back: &BTreeMap<Row, Amount>,
    taken: &mut Seats,
) -> bool {
    let before = taken.len();
    for line in lines.iter().map(|&line| line as usize) {
        let (amount, models) = (view.lines.amount[line], view.lines.models[line]);
        let pool = pools_for(view, line, node).find(|&pool| {
            let taken: Amount = taken.iter().filter(|(p, _)| *p == pool).map(|(_, amount)| amount).sum();
            let more = *back.get(&pool).unwrap_or(&0);
            (models == 0 || view.pools.labels[pool as usize] & models != 0)
                && view.pools.free(pool) + more >= amount + taken
                && sure(view, line, pool, amount + taken, more)
        });
        let Some(pool) = pool else {
            taken.truncate(before);
            return false;
        };
        taken.push((pool, amount));
    }
    true
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
