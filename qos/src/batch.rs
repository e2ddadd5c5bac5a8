//! The orders of batch systems: who came first, the shortest first, and F1. All of them are functions of
//! the claim alone, so a rank given once stays right. Everybody is of one tier: nobody stands above a head
//! that waits.
use bursar_interface::{Fault, Qos, Rank, Row, View, tag};

/// The share of a claim without an estimate: behind everybody who has one, in order of asking.
const UNKNOWN: u64 = u64::MAX;

/// First come, first served.
#[derive(Clone, Copy, Debug, Default)]
pub struct Fcfs;

impl Qos for Fcfs {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &row) in ranks.iter_mut().zip(pending) {
            *rank = Rank { tier: 0, share: view.claims.asked_at[row as usize] };
        }
        Ok(())
    }
}

/// Shortest job first, by the asker's own estimate; those without one come last.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sjf;

impl Qos for Sjf {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &row) in ranks.iter_mut().zip(pending) {
            let expect = view.claims.expect[row as usize];
            *rank = Rank { tier: 0, share: if expect == 0 { UNKNOWN } else { expect } };
        }
        Ok(())
    }
}

/// F1 of "Obtaining Dynamic Scheduling Policies with Simulation and Machine Learning" (Carastan-Santos
/// and de Camargo, SC'17): log10(estimate in s) · processors + 870 · log10(asked at in s), smaller first.
/// Processors are the claim's cpu in cores. Claims without an estimate come last, in order of asking.
#[derive(Clone, Copy, Debug, Default)]
pub struct F1;

/// What the point of asking weighs against a claim's area.
const ASKED_WEIGHT: f64 = 870.0;
/// Times below this count as this many seconds, so that a logarithm is there.
const SHORTEST_S: f64 = 0.1;
/// Millicores of one processor.
const PROCESSOR: f64 = 1000.0;

impl Qos for F1 {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &row) in ranks.iter_mut().zip(pending) {
            let (expect, asked_at) = (view.claims.expect[row as usize], view.claims.asked_at[row as usize]);
            let share =
                if expect == 0 { UNKNOWN } else { ordered(f1(expect, cpu_milli(view, row), asked_at)) };
            *rank = Rank { tier: 0, share };
        }
        Ok(())
    }
}

fn f1(expect_ns: u64, cpu_milli: u64, asked_at_ns: u64) -> f64 {
    let log10 = |ns: u64| (ns as f64 / 1e9).max(SHORTEST_S).log10();
    log10(expect_ns) * (cpu_milli as f64 / PROCESSOR) + ASKED_WEIGHT * log10(asked_at_ns)
}

/// The claim's cpu over all of its lines, in millicores.
fn cpu_milli(view: &View<'_>, claim: Row) -> u64 {
    let lines = view.claims.line_rows(claim).map(|line| line as usize);
    let cpu = |&line: &usize| view.resources.tag[view.lines.resource[line] as usize] == tag("cpu");
    lines.filter(cpu).map(|line| view.lines.amount[line]).sum()
}

/// A number as an integer that is in the same order for every finite number, with nothing rounded: the
/// bits of a float are in order of magnitude, so the sign is all there is to mend.
fn ordered(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Tables, Time};

    /// Claims of (asked at in s, estimate in ms, millicores), as a view has them.
    fn ranks(qos: &mut dyn Qos, claims: &[(u64, u64, u64)]) -> Vec<Rank> {
        let mut tables = Tables::default();
        for kind in ["memory", "cpu"] {
            let row = tables.resources.push();
            tables.resources.tag[row as usize] = tag(kind);
        }
        let mut rows = Vec::new();
        for &(asked_s, expect_ms, cpu) in claims {
            let row = tables.claims.push();
            let c = row as usize;
            tables.claims.asked_at[c] = asked_s * 1_000_000_000;
            tables.claims.expect[c] = expect_ms * 1_000_000;
            tables.claims.first_line[c] = tables.lines.len() as Row;
            tables.claims.lines[c] = 2;
            for (resource, amount) in [(0, 1 << 40), (1, cpu)] {
                let line = tables.lines.push() as usize;
                (tables.lines.resource[line], tables.lines.amount[line]) = (resource, amount);
            }
            rows.push(row);
        }
        let mut ranks = vec![Rank::default(); rows.len()];
        qos.rank(&tables.view(Time(1), 1), &rows, &mut ranks).expect("ranks");
        ranks
    }

    fn order(qos: &mut dyn Qos, claims: &[(u64, u64, u64)]) -> Vec<usize> {
        let ranks = ranks(qos, claims);
        let mut order: Vec<usize> = (0..claims.len()).collect();
        // Equal ones are served in the order in which they were asked.
        order.sort_by_key(|&i| (ranks[i], claims[i].0));
        order
    }

    #[test]
    fn each_order_is_its_own() {
        let claims =
            [(100, 60_000, 4000), (50, 600_000, 1000), (70, 0, 1000), (70, 60_000, 64_000), (99, 50, 1)];
        assert_eq!(order(&mut Fcfs, &claims), [1, 2, 3, 4, 0]);
        assert_eq!(order(&mut Sjf, &claims), [4, 3, 0, 1, 2]);
        assert_eq!(order(&mut F1, &claims), [1, 3, 4, 0, 2]);
    }

    #[test]
    fn f1_is_the_formula_and_memory_is_no_processor() {
        // 870·log10(100) + 8·log10(1000) = 1764, 870·log10(10) + 299·log10(1000) = 1767.
        assert_eq!(order(&mut F1, &[(10, 1_000_000, 299_000), (100, 1_000_000, 8000)]), [1, 0]);
        assert_eq!(order(&mut F1, &[(10, 1_000_000, 297_000), (100, 1_000_000, 8000)]), [0, 1]);
        let same = ranks(&mut F1, &[(7, 90_000, 3000), (7, 90_000, 3000)]);
        assert_eq!(same[0], same[1]);
    }

    #[test]
    fn integers_are_in_the_order_of_the_numbers_that_they_stand_for() {
        let numbers = [f64::MIN, -870.0, -1e-300, -0.0, 0.0, 1e-300, 0.1, 870.0, 870.000_000_000_1, f64::MAX];
        for pair in numbers.windows(2) {
            assert_eq!(ordered(pair[0]) < ordered(pair[1]), pair[0] < pair[1], "{pair:?}");
        }
    }
}
