//! What it costs to be behind the border: the same allocator linked in, inline from a library, and in a child, asked one
//! claim at a time, many, and on a large fleet; what a swap holds up; what an old version leaves in memory. Interleaved
//! rounds in one run; ratios of medians.
mod kept;
mod swap;
mod world;

use bursar_builtin as _;
use bursar_interface::Home;
use world::{Fleet, World};

const ROUNDS: usize = 7;
const HOMES: [Home; 3] = [Home::Linked, Home::Inline, Home::Child];
/// Claims in one step, and pairs in one round.
const SIZES: [(usize, usize); 2] = [(1, 2_000), (256, 20_480)];
/// Calls with nothing to place in one round.
const CALLS: usize = 2_000;
/// Machines and claims of the large fleet.
const LARGE: (usize, usize) = (10_000, 1_000);

fn main() {
    let only: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let wanted = |part: &str| only.is_empty() || only.iter().any(|only| only == part);
    if wanted("pairs") {
        pairs();
    }
    if wanted("calls") {
        calls();
    }
    if wanted("large") {
        large();
    }
    if wanted("kept") {
        kept::kept();
    }
    if wanted("swap") {
        swap::swap();
    }
}

/// Asks and releases per second.
fn pairs() {
    for (batch, pairs) in SIZES {
        let mut worlds = HOMES.map(|home| World::new(home, Fleet::SMALL));
        let medians = rounds(&mut worlds, |world| world.rate(batch, pairs) / 1e3);
        told(&medians, &format!("{batch:>3} claims a step"), "k pairs/s");
        println!(
            "goal 2, {batch} a step: inline costs {:.2}× linked (goal ≤ 1.5×); a child {:.1}×",
            medians[0].1 / medians[1].1,
            medians[0].1 / medians[2].1
        );
    }
}

/// A call that places nothing: what is left of it is the way there and back.
fn calls() {
    let mut worlds = HOMES.map(|home| World::new(home, Fleet::SMALL));
    let medians = rounds(&mut worlds, |world| world.call_ns(CALLS));
    told(&medians, "a call with nothing to place", "ns");
}

/// Many claims at once on a large fleet.
fn large() {
    let (nodes, claims) = LARGE;
    let mut worlds = HOMES.map(|home| World::new(home, Fleet { nodes, capacity: 8_000 }));
    let medians = rounds(&mut worlds, |world| world.placed_ms(claims));
    told(&medians, &format!("{claims} claims on {nodes} nodes"), "ms");
    println!(
        "{nodes} nodes × {claims} claims: inline takes {:.2}× linked; a child {:.2}×",
        medians[1].1 / medians[0].1,
        medians[2].1 / medians[0].1
    );
}

/// Rounds in turn: home, median, and the range.
fn rounds(worlds: &mut [World; 3], mut round: impl FnMut(&mut World) -> f64) -> Vec<(Home, f64, [f64; 2])> {
    let mut all = HOMES.map(|_| Vec::new());
    for _ in 0..ROUNDS {
        for (world, all) in worlds.iter_mut().zip(&mut all) {
            all.push(round(world));
        }
    }
    let median = |(home, mut all): (Home, Vec<f64>)| {
        all.sort_by(f64::total_cmp);
        (home, all[ROUNDS / 2], [all[0], all[ROUNDS - 1]])
    };
    HOMES.into_iter().zip(all).map(median).collect()
}

fn told(medians: &[(Home, f64, [f64; 2])], what: &str, unit: &str) {
    for (home, median, [least, most]) in medians {
        println!("{what}, best-fit {home:<8?} {median:>9.1} {unit}  [{least:.1} .. {most:.1}]");
    }
}
