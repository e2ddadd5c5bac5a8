//! Whether a waiting claim could be granted as things stand: looked up pool by pool, apart from plans and
//! allocators.
use super::supply::ends;
use bursar_engine::Engine;
use bursar_interface::{Amount, ClaimId, NONE, Row, Shape, Time, View};
use std::collections::BTreeMap;

/// Whether some node (or none, where all of it floats) has all that a waiting claim asks for free, and every
/// ledger above it has room.
pub(crate) fn now(engine: &Engine, row: Row) -> bool {
    let (view, books) = (engine.view(), engine.books());
    // Where more is offered than there is, nobody is given more than that, and guaranteed claims not even that.
    let most = |p: usize| match (view.pools.firm[p], view.claims.class[row as usize]) {
        (Amount::MAX, _) => Amount::MAX,
        (firm, 0) => firm.min(view.pools.capacity[p]),
        _ => view.pools.capacity[p],
    };
    let free = |pool: Row| view.pools.free[pool as usize].min(most(pool as usize));
    // Who draws from a lease goes where that is.
    let bound = books.node_bound(row);
    let mut places = places(&view, row).filter(|&node| bound.is_none_or(|bound| bound == node));
    let claim = ClaimId(view.claims.id[row as usize]);
    // What a lease holds for those within it is not known before the edge has said what a change of it came to.
    let changes = books.around(claim).skip(1).any(|around| engine.resizing(around).is_some());
    // Whether a gang fits is for all of it, and not looked at here.
    !engine.is_ganged(claim)
        && !changes
        && books.quota_short(row).is_none()
        && books.slice_short(row).is_none()
        && places.any(|node| on(&view, row, node, &free))
}

/// Whether a waiting claim could take something from one pool or another.
pub(crate) fn has_choice(engine: &Engine, row: Row) -> bool {
    let (view, bound) = (engine.view(), engine.books().node_bound(row));
    let places: Vec<Row> =
        places(&view, row).filter(|&node| bound.is_none_or(|bound| bound == node)).collect();
    let held = |line: &usize| {
        let shape = view.resources.shape[view.lines.resource[*line] as usize];
        ![Shape::Rate as u32, Shape::Budget as u32].contains(&shape)
    };
    view.claims.line_rows(row).map(|line| line as usize).filter(held).any(|line| {
        let of_kind = (0..view.pools.len()).filter(|&p| {
            view.pools.id[p] != 0
                && view.pools.resource[p] == view.lines.resource[line]
                && (view.pools.node[p] == NONE || places.contains(&view.pools.node[p]))
        });
        view.lines.want[line] == NONE && of_kind.count() > 1
    })
}

/// When a waiting claim could start at the earliest, if every lease ends as its holder says, or where it has a choice as
/// is to be expected of it.
pub(crate) fn earliest(engine: &Engine, row: Row) -> Option<Time> {
    let view = &engine.view();
    let ends = ends(view, has_choice(engine, row));
    let start = |node: Row| {
        let mut back: BTreeMap<Row, Amount> = BTreeMap::new();
        let mut next = 0;
        let mut now = view.at;
        loop {
            let free = |pool: Row| {
                let (p, more) = (pool as usize, *back.get(&pool).unwrap_or(&0));
                let most = match (view.pools.firm[p], view.claims.class[row as usize]) {
                    (Amount::MAX, _) => Amount::MAX,
                    (firm, 0) => firm.saturating_add(more).min(view.pools.capacity[p]),
                    _ => view.pools.capacity[p],
                };
                (view.pools.free[p] + more).min(most)
            };
            if on(view, row, node, &free) {
                return Some(now);
            }
            now = ends.get(next)?.0;
            while let Some(&(_, pool, amount)) = ends.get(next).filter(|end| end.0 == now) {
                *back.entry(pool).or_default() += amount;
                next += 1;
            }
        }
    };
    places(view, row).filter_map(start).min()
}

fn places<'a>(view: &'a View<'a>, row: Row) -> impl Iterator<Item = Row> + 'a {
    let nodes = (0..view.nodes.len() as Row).filter(move |&node| welcomes(view, row, node));
    let floats = view.claims.need[row as usize] == 0 && view.claims.apart[row as usize] == NONE;
    floats.then_some(NONE).into_iter().chain(nodes)
}

fn welcomes(view: &View<'_>, row: Row, node: Row) -> bool {
    let (c, n) = (row as usize, node as usize);
    let (labels, apart, here) = (view.nodes.labels[n], view.claims.apart[c], view.occupants);
    let occupied = |o: usize| here.scope[o] == apart && here.node[o] == node && here.claims[o] > 0;
    view.nodes.id[n] != 0
        && view.nodes.state[n] == 0
        && labels & view.claims.need[c] == view.claims.need[c]
        && labels & view.claims.bar[c] == 0
        && (apart == NONE || !(0..here.len()).any(occupied))
}

/// Pieces of a kind stand largest first, so each may take the first pool with room.
fn on(view: &View<'_>, row: Row, node: Row, free: &dyn Fn(Row) -> Amount) -> bool {
    let mut taken: Vec<(Row, Amount)> = Vec::new();
    let mut lines = view.claims.line_rows(row).map(|line| line as usize);
    lines.all(|line| {
        let pools = |place: Row| {
            let of_kind = move |&pool: &Row| {
                let p = pool as usize;
                view.pools.id[p] != 0
                    && view.pools.node[p] == place
                    && view.pools.resource[p] == view.lines.resource[line]
            };
            (0..view.pools.len() as Row).filter(of_kind)
        };
        let want = view.lines.want[line];
        let candidates: Vec<Row> = match want {
            NONE if node != NONE && pools(node).next().is_some() => pools(node).collect(),
            NONE => pools(NONE).collect(),
            _ if [NONE, node].contains(&view.pools.node[want as usize]) => vec![want],
            _ => Vec::new(),
        };
        let amount = view.lines.amount[line];
        let here = candidates.into_iter().find(|&pool| {
            let before: Amount = taken.iter().filter(|(p, _)| *p == pool).map(|(_, amount)| amount).sum();
            free(pool) >= before + amount
        });
        taken.extend(here.map(|pool| (pool, amount)));
        here.is_some()
    })
}
