//! Whether a claim could ever fit: tried once per shape on an idle fleet, and remembered until the
//! supply changes, so that no ask scans the nodes twice.
use crate::shape::Shape;
use bursar_interface::{Amount, NONE, Row, Shape as Counted, View, choosiest_first};
use bursar_pool::{Books, Spread, Wanted};
use std::{collections::HashMap, hash::BuildHasherDefault};

/// Shapes remembered at once; past that, all are forgotten.
const SHAPES_MAX: usize = 4096;

/// Shapes and whether they fit an idle fleet.
#[derive(Clone, Debug, Default)]
pub(crate) struct Feasible {
    known: HashMap<Shape, bool, BuildHasherDefault<Spread>>,
    /// What was asked last, and the answer: who asks again asks the same, more often than not.
    last: Option<(u64, u64, bool, bool)>,
    lines: Vec<Wanted>,
}

impl Feasible {
    /// The supply changed: nothing is known any more.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
        self.last = None;
    }

    /// Whether some node could take all the lines if nobody else were there; pools that will spring are
    /// no matter.
    pub(crate) fn ask(
        &mut self,
        books: &Books,
        lines: &[Wanted],
        (need, bar): (u64, u64),
        guaranteed: bool,
    ) -> bool {
        match self.last {
            Some((n, b, g, fits)) if (n, b, g) == (need, bar, guaranteed) && self.lines == lines => fits,
            _ => self.look_up(books, lines, (need, bar), guaranteed),
        }
    }

    fn look_up(
        &mut self,
        books: &Books,
        lines: &[Wanted],
        (need, bar): (u64, u64),
        guaranteed: bool,
    ) -> bool {
        let standing = lines.iter().filter(|line| !line.springs);
        let shape =
            standing.fold(Shape::new().with(need).with(bar).with(guaranteed.into()), |shape, line| {
                shape
                    .with(u64::from(line.resource) | u64::from(line.want) << 32)
                    .with(line.amount)
                    .with(line.models)
            });
        if self.known.len() >= SHAPES_MAX {
            self.known.clear();
        }
        let fits =
            *self.known.entry(shape).or_insert_with(|| somewhere(books, lines, (need, bar), guaranteed));
        self.lines.clear();
        self.lines.extend_from_slice(lines);
        self.last = Some((need, bar, guaranteed, fits));
        fits
    }

    /// Whether one node takes every line when idle.
    pub(crate) fn on_node(&self, books: &Books, lines: &[Wanted], node: Row) -> bool {
        let mut standing: Vec<Wanted> = lines.iter().filter(|line| !line.springs).copied().collect();
        sort(&mut standing);
        on(books, &standing, node, false)
    }
}

fn somewhere(books: &Books, lines: &[Wanted], (need, bar): (u64, u64), guaranteed: bool) -> bool {
    let view = books.view();
    let mut standing: Vec<Wanted> = lines.iter().filter(|line| !line.springs).copied().collect();
    sort(&mut standing);
    let labels_fit = |n: usize| view.nodes.labels[n] & need == need && view.nodes.labels[n] & bar == 0;
    let mut nodes = (0..view.nodes.len() as Row).filter(|&n| labels_fit(n as usize));
    on(books, &standing, NONE, guaranteed) || nodes.any(|node| on(books, &standing, node, guaranteed))
}

/// As they are placed where the order in which they were said does not do.
fn sort(lines: &mut [Wanted]) {
    lines.sort_by_key(|line| choosiest_first(line.want != NONE, line.models != 0, line.amount));
}

/// Whether one node (or, for [`NONE`], no node at all) takes every line when idle.
fn on(books: &Books, lines: &[Wanted], node: Row, guaranteed: bool) -> bool {
    let view = books.view();
    let mut used: Vec<(Row, Amount)> = Vec::with_capacity(lines.len());
    lines.iter().all(|line| {
        let here = pools(&view, line, node).find(|&pool| {
            let taken: Amount = used.iter().filter(|(p, _)| *p == pool).map(|(_, amount)| amount).sum();
            let labels = view.pools.labels[pool as usize];
            at_once(books, line.resource, pool, guaranteed) >= taken + line.amount
                && (line.models == 0 || labels & line.models != 0)
        });
        here.is_some_and(|pool| {
            used.push((pool, line.amount));
            true
        })
    })
}

/// What a pool ever has at once: of a rate no more than its bucket holds.
fn at_once(books: &Books, resource: Row, pool: Row, guaranteed: bool) -> Amount {
    let view = books.view();
    match view.resources.shape[resource as usize] == Counted::Rate as u32 {
        true => view.pools.offered[pool as usize],
        false => books.most(pool, guaranteed),
    }
}

/// The most that one could ask for of the pool that a line names, or of any of its kind that lies on no node; `None`
/// where there is none.
pub(crate) fn most(books: &Books, line: &Wanted) -> Option<Amount> {
    let view = books.view();
    let node = if line.want == NONE { NONE } else { view.pools.node[line.want as usize] };
    pools(&view, line, node).map(|pool| at_once(books, line.resource, pool, false)).max()
}

fn pools<'a>(view: &'a View<'a>, line: &Wanted, node: Row) -> impl Iterator<Item = Row> + 'a {
    let single = line.want != NONE;
    let first = match (single, node) {
        (true, _) => Some(line.want).filter(|&p| [NONE, node].contains(&view.pools.node[p as usize])),
        (_, NONE) => Some(view.resources.first_floating[line.resource as usize]),
        _ => Some(view.first_of_kind(node, line.resource))
            .filter(|&pool| pool != NONE)
            .or(Some(view.resources.first_floating[line.resource as usize])),
    };
    let next = view.pools.next;
    std::iter::successors(first.filter(|&pool| pool != NONE), move |&pool| {
        Some(next[pool as usize]).filter(|&row| row != NONE && !single)
    })
}
