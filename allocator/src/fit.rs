//! The fits: *first-fit* takes the first feasible node in node order, *best-fit* the one that is
//! fullest afterwards, *worst-fit* the one that is emptiest.
//!
//! Scores are those of the schedulers compared in Weng et al., "Beware of Fragmentation" (USENIX
//! ATC'23): integers from 0 to 100, truncated; ties go to the lower node row.
use crate::{index::Index, shape::named_node};
use bursar_interface::{Allocator, Amount, Fault, NONE, Plan, Row, View, tag};

/// Nodes tried for one claim at most when the best ones turn out not to take it after all.
const TRIES_MAX: usize = 16;

/// How a node is rated once the claim would be on it.
trait Rating: Send + Default {
    /// A score above 0, of a node on which `plan` has just placed the claim.
    fn rate(&self, view: &View<'_>, plan: &Plan<'_>, node: Row) -> u32;
    /// Which of a node's devices with room is taken: the highest wins, the first of equals.
    fn device(free: Amount) -> u64;
}

/// Places every claim on the node with the best rating.
#[derive(Default)]
struct Fit<R> {
    rating: R,
    index: Index,
}

impl<R: Rating> Fit<R> {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
        self.index.begin();
        for &claim in queue {
            if floats_fit(view, plan, claim) {
                self.place_one(view, claim, plan);
            }
        }
    }

    fn place_one(&mut self, view: &View<'_>, claim: Row, plan: &mut Plan<'_>) {
        let named = named_node(view, claim);
        if named != NONE || view.nodes.is_empty() {
            self.put(claim, named, plan);
            return;
        }
        let mut skip = Vec::new();
        while skip.len() < TRIES_MAX {
            let rating = &self.rating;
            let score = |plan: &mut Plan<'_>, node: Row| {
                plan.trial(claim, node, |free, _| R::device(free), |plan| rating.rate(view, plan, node))
                    .unwrap_or(0)
            };
            match self.index.best(view, plan, claim, &skip, score) {
                Some(node) if self.put(claim, node, plan) => return,
                Some(node) => skip.push(node),
                None => break,
            }
        }
        // What floats altogether needs no node that takes claims.
        plan.place_by(claim, NONE, |free, _| R::device(free));
    }

    fn put(&mut self, claim: Row, node: Row, plan: &mut Plan<'_>) -> bool {
        let placed = plan.place_by(claim, node, |free, _| R::device(free));
        if placed {
            self.index.took(node);
        }
        placed
    }
}

/// Whether the lines that float have room: then only nodes decide, and what is known of them stays true.
fn floats_fit(view: &View<'_>, plan: &Plan<'_>, claim: Row) -> bool {
    let lines = || view.claims.line_rows(claim).map(|line| line as usize);
    lines().all(|l| match view.lines.want[l] {
        NONE if view.resources.largest[view.lines.resource[l] as usize] > 0 => true,
        NONE => {
            let (kind, next) = (view.lines.resource[l], view.pools.next);
            let first = Some(view.resources.first_floating[kind as usize]).filter(|&pool| pool != NONE);
            let pools =
                std::iter::successors(first, |&pool| Some(next[pool as usize]).filter(|&next| next != NONE));
            let asked: Amount = lines()
                .filter(|&other| view.lines.resource[other] == kind && view.lines.want[other] == NONE)
                .map(|other| view.lines.amount[other])
                .sum();
            let (mut here, mut free) = (false, 0);
            for pool in pools {
                here |= plan.free(pool) >= view.lines.amount[l];
                free += plan.free(pool);
            }
            here && free >= asked
        }
        want => view.pools.node[want as usize] != NONE || plan.free(want) >= view.lines.amount[l],
    })
}

/// What counts on a node with devices: memory is plenty there, and weighing it strands devices.
const WITH_DEVICES: [u64; 2] = [tag("cpu"), tag("gpu")];
/// What counts on any other node.
const WITHOUT: [u64; 2] = [tag("cpu"), tag("memory")];

/// How full the node is, from 0 to 100: the mean over the kinds that count, where `largest` is what
/// the largest node has of that kind.
fn fullness(view: &View<'_>, plan: &Plan<'_>, node: Row) -> u32 {
    const SCALE: u128 = 1 << 32;
    let heads = |node: Row| {
        let next_kind = view.pools.next_kind;
        let first = view.nodes.first_pool[node as usize];
        std::iter::successors(Some(first).filter(|&head| head != NONE), move |&head| {
            Some(next_kind[head as usize]).filter(|&head| head != NONE)
        })
    };
    let kind = |head: Row| view.pools.resource[head as usize] as usize;
    let devices = heads(node).any(|head| view.resources.tag[kind(head)] == WITH_DEVICES[1]);
    let counted = if devices { WITH_DEVICES } else { WITHOUT };
    let (mut sum, mut kinds) = (0u128, 0u128);
    for head in heads(node).filter(|&head| counted.contains(&view.resources.tag[kind(head)])) {
        let largest = u128::from(view.resources.largest[kind(head)]).max(1);
        let left: Amount = view.pools_of(node, kind(head) as u32).map(|pool| plan.free(pool)).sum();
        sum += largest.saturating_sub(u128::from(left)) * 100 * SCALE / largest;
        kinds += 1;
    }
    (sum.checked_div(kinds).unwrap_or(0) / SCALE) as u32
}

#[derive(Default)]
struct First;
impl Rating for First {
    fn rate(&self, _: &View<'_>, _: &Plan<'_>, _: Row) -> u32 {
        1
    }
    fn device(_: Amount) -> u64 {
        0
    }
}

#[derive(Default)]
struct Best;
impl Rating for Best {
    fn rate(&self, view: &View<'_>, plan: &Plan<'_>, node: Row) -> u32 {
        fullness(view, plan, node) + 1
    }
    fn device(free: Amount) -> u64 {
        Amount::MAX - free
    }
}

#[derive(Default)]
struct Worst;
impl Rating for Worst {
    fn rate(&self, view: &View<'_>, plan: &Plan<'_>, node: Row) -> u32 {
        101 - fullness(view, plan, node)
    }
    fn device(free: Amount) -> u64 {
        free
    }
}

macro_rules! fits {
    ($($(#[$doc:meta])* $name:ident($rating:ty);)*) => {$(
        $(#[$doc])*
        #[derive(Default)]
        pub struct $name(Fit<$rating>);

        impl $name {
            /// Nodes scored so far: the work done, for tests and benches.
            pub fn scored(&self) -> u64 {
                self.0.index.scored()
            }
        }

        impl Allocator for $name {
            fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
                self.0.place(view, queue, plan);
                Ok(())
            }
        }
    )*};
}

fits! {
    /// The first feasible node in node order, the first device with room.
    FirstFit(First);
    /// The node that is fullest afterwards, the fullest device with room.
    BestFit(Best);
    /// The node that is emptiest afterwards, the emptiest device.
    WorstFit(Worst);
}
