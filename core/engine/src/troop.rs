//! When a whole gang could start, and what must be kept for it until then: so much has to be free at one time that
//! a gang which is kept nothing may wait for ever (Kueue issue 8309).
use crate::{
    Engine,
    round::Offer,
    sticky::{Ends, Reservation, Seats, has_choice, places, seats, welcomes},
};
use bursar_interface::{Amount, NONE, Row, Time, View};
use std::{collections::BTreeMap, ops::Range};

impl Engine {
    /// As [`Engine::reserve`], for all members of a gang at one time, the leader first. The first moment is found by
    /// halving: what fits once more has come back fits later, but for members that must keep apart.
    pub(crate) fn reserve_gang(&self, gang: &[Offer]) -> Option<Reservation> {
        let view = self.books.view();
        let mut spent = Vec::new();
        let mut members: Vec<Member> = Vec::with_capacity(gang.len());
        for offer in gang {
            let lines = self.books.tables().claims.line_rows(offer.row);
            let (flows, held): (Vec<Row>, Vec<Row>) = lines.partition(|&line| self.is_spent(line));
            spent.extend(flows);
            members.push(Member { row: offer.row, held, bound: self.books.node_bound(offer.row) });
        }
        let flows = self.flows(&spent)?;
        let choice = members.iter().any(|member| {
            has_choice(&view, &member.held, &places(&view, member.row, member.bound).collect::<Vec<_>>())
        });
        let (ends, wrong) = if choice { self.outlook() } else { (self.ends(), false) };
        let mut times: Vec<Time> = ends.values().flatten().map(|end| end.0).chain([view.at]).collect();
        times.sort_unstable();
        times.dedup();
        let (mut low, mut high) = (0, times.len());
        let mut first = None;
        while low < high {
            let middle = low + (high - low) / 2;
            match seat_all(&view, &members, &back_by(&ends, times[middle])) {
                Some(seats) => (high, first) = (middle, Some((times[middle], seats))),
                None => low = middle + 1,
            }
        }
        let (start, seats) = first?;
        Some(self.reserved(gang.first()?.claim, start, &seats, flows, (&ends, wrong)))
    }
}

/// One of a gang, by its row, with its lines on what is held, and the node that it is bound to.
struct Member {
    row: Row,
    held: Vec<Row>,
    bound: Option<Row>,
}

/// What has come back of each pool by then.
fn back_by(ends: &Ends, then: Time) -> BTreeMap<Row, Amount> {
    let mut back = BTreeMap::new();
    for &(_, pool, amount) in ends.values().flatten().filter(|end| end.0 <= then) {
        *back.entry(pool).or_default() += amount;
    }
    back
}

/// Seats for all, each on the first node that has them: members alike go on where the last one sits.
fn seat_all(view: &View<'_>, members: &[Member], back: &BTreeMap<Row, Amount>) -> Option<Seats> {
    let (mut taken, mut apart) = (Seats::new(), Vec::new());
    let (mut from, mut last): (Row, Option<&Member>) = (0, None);
    for member in members {
        if last.is_none_or(|last| !alike(view, last, member)) {
            from = 0;
        }
        let claims = view.claims;
        let floating = claims.need[member.row as usize] == 0 && claims.apart[member.row as usize] == NONE;
        let keeps_apart = claims.apart[member.row as usize] != NONE;
        let open = |node: Row| {
            member.bound.is_none_or(|bound| bound == node)
                && !(keeps_apart && apart.contains(&node))
                && welcomes(view, member.row, node)
        };
        let nodes: Range<Row> = from..view.nodes.len() as Row;
        let node = (floating && seats(view, &member.held, NONE, back, &mut taken)).then_some(NONE).or_else(
            || {
                nodes
                    .into_iter()
                    .find(|&node| open(node) && seats(view, &member.held, node, back, &mut taken))
            },
        )?;
        if node != NONE {
            from = node;
            apart.extend(keeps_apart.then_some(node));
        }
        last = Some(member);
    }
    Some(taken)
}

/// Whether two members ask for the same: a node that had no seat for one has none for the other.
fn alike(view: &View<'_>, one: &Member, other: &Member) -> bool {
    let (claims, lines) = (view.claims, view.lines);
    let terms = |member: &Member| {
        let c = member.row as usize;
        (claims.need[c], claims.bar[c], claims.apart[c], member.bound)
    };
    let line = |&l: &Row| {
        let l = l as usize;
        (lines.resource[l], lines.amount[l], lines.want[l], lines.models[l])
    };
    terms(one) == terms(other) && one.held.iter().map(line).eq(other.held.iter().map(line))
}
