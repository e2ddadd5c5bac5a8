//! What was measured: medians with their ranges, and goals that are met or missed.
use std::fmt::{Display, Formatter, Result};

/// A median and its range.
pub(crate) struct Figure {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Figure {
    /// Of one measurement per round.
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Figure {
        let mut rounds: Vec<f64> = rounds.into_iter().collect();
        rounds.sort_by(f64::total_cmp);
        let (least, most) = (rounds[0], rounds[rounds.len() - 1]);
        Figure { median: rounds[rounds.len() / 2], least, most }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:>9.0} [{:.0} .. {:.0}]", self.median, self.least, self.most)
    }
}

/// Says a goal, what came out, and whether that is enough.
pub(crate) fn goal(number: u32, what: &str, got: f64, unit: &str, least: bool, bound: f64) {
    let met = if least { got >= bound } else { got <= bound };
    let (sign, verdict) = (if least { '≥' } else { '≤' }, if met { "met" } else { "missed" });
    println!("goal {number:>2}: {what}: {got:.2} {unit} (goal {sign} {bound} {unit}): {verdict}");
}
