//! What an ask comes to once its names are looked up: rows and amounts, line by line.
use crate::{Books, SetLens};
use bursar_interface::{
    Amount, Ask, LineAsk, NONE, Row,
    bound::{LINES_MAX, SETS_MAX},
};

/// One line of an ask, resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Row of the kind.
    pub resource: Row,
    /// How much.
    pub amount: Amount,
    /// Row of the pool that was named, or [`NONE`].
    pub want: Row,
    /// Label terms of which the pool must have one; 0 for any pool.
    pub models: u64,
    /// A pool was named that is not there yet: it will spring from its name.
    pub springs: bool,
}

impl Books {
    /// Resolves an ask that has passed admission, over what was in `lines`.
    /// Says in `sets` how many lines each set has; nothing for an ask without alternatives.
    pub fn resolve(&self, ask: &Ask, lines: &mut Vec<Wanted>, sets: &mut SetLens) {
        lines.clear();
        sets.clear();
        self.resolve_set(&ask.lines, lines);
        if ask.alternatives.is_empty() {
            return;
        }
        sets.push(lines.len() as u32);
        for set in ask.alternatives.iter().take(SETS_MAX - 1) {
            let before = lines.len();
            self.resolve_set(set, lines);
            sets.push((lines.len() - before) as u32);
        }
    }

    fn resolve_set(&self, set: &[LineAsk], lines: &mut Vec<Wanted>) {
        for line in set {
            let Some(resource) = self.resource(&line.resource) else { continue };
            let want = line.pool.as_ref().and_then(|name| self.pool_named(resource, name)).unwrap_or(NONE);
            self.split(line, resource, want, lines);
        }
    }

    /// Adds what one line of an ask comes to (amounts above the kind's piece are several); says whether
    /// it is all below [`LINES_MAX`].
    pub fn split(&self, line: &LineAsk, resource: Row, want: Row, lines: &mut Vec<Wanted>) -> bool {
        let models = if line.models.is_empty() { 0 } else { self.known_labels(&line.models) };
        let springs = want == NONE && line.pool.is_some();
        let mut pieces = self.spec(resource).pieces(line);
        pieces.all(|amount| {
            let room = lines.len() < LINES_MAX;
            if room {
                lines.push(Wanted { resource, amount, want, models, springs });
            }
            room
        })
    }
}
