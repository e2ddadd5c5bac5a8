//! What it costs to check a history of a million operations by 50 clients, right and wrong, beside the least
//! that any check by order must do: sort its entries once.
#[allow(dead_code)]
#[path = "../tests/witness/mod.rs"]
mod witness;

use bursar_sim::history::{Op, check};
use std::{hint::black_box, time::Instant};

const OPS: usize = 1_000_000;
const CLIENTS: usize = 50;
const ROUNDS: usize = 5;

fn main() {
    let right = witness::history(1, OPS, CLIENTS).ops;
    let mut wrong = right.clone();
    // Given twice, in the middle: a lease of all there is while another one lasts.
    let at = wrong.iter().position(|op| op.seq > right[OPS / 2].seq && op.fence > 0 && op.amount > 0);
    let Op { resource, seq, fence, .. } = wrong[at.expect("a lease")];
    let amount = witness::CAPACITIES[resource as usize];
    let twice = Op {
        amount,
        claim: u64::MAX,
        fence: fence + 1,
        seq: seq.map(|seq| seq + 1),
        ..wrong[at.expect("a lease")]
    };
    wrong.push(twice);
    let mut best = [f64::MAX; 3];
    for _ in 0..ROUNDS {
        let mut timed = |which: usize, act: &mut dyn FnMut()| {
            let since = Instant::now();
            act();
            best[which] = best[which].min(since.elapsed().as_secs_f64());
        };
        let mut places: Vec<(u64, usize)> = right.iter().map(|op| op.seq.unwrap_or(0)).zip(0..).collect();
        timed(0, &mut || places.sort_unstable());
        black_box(&places);
        timed(1, &mut || assert_eq!(check(&witness::CAPACITIES, &right), Ok(())));
        timed(2, &mut || assert!(check(&witness::CAPACITIES, &wrong).is_err()));
    }
    let [sort, valid, planted] = best;
    println!(
        "history: {OPS} operations, {CLIENTS} clients: {:.3} s, with one given twice {:.3} s; sorting them once {:.3} s",
        valid, planted, sort
    );
}
