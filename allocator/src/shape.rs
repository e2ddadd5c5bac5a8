//! What of a claim decides where it fits, as one comparable value.
use bursar_interface::{NONE, Row, View};

/// The lines and constraints of a claim, written out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape(Vec<u64>);

impl Shape {
    /// Writes the shape of a claim over this one, reusing its memory.
    pub(crate) fn read(&mut self, view: &View<'_>, claim: Row) {
        let (c, claims, lines) = (claim as usize, view.claims, view.lines);
        self.0.clear();
        let certain = u64::from(claims.class[c] == 0) << 32;
        self.0.extend([claims.need[c], claims.bar[c], u64::from(claims.apart[c]) | certain]);
        for l in claims.line_rows(claim).map(|line| line as usize) {
            let kind = u64::from(lines.resource[l]) | u64::from(lines.want[l]) << 32;
            self.0.extend([kind, lines.amount[l], lines.models[l]]);
        }
    }
}

/// The node that a claim names through one of its pools, or [`NONE`].
pub(crate) fn named_node(view: &View<'_>, claim: Row) -> Row {
    let wants =
        view.claims.line_rows(claim).map(|line| view.lines.want[line as usize]).filter(|&want| want != NONE);
    wants.map(|want| view.pools.node[want as usize]).find(|&node| node != NONE).unwrap_or(NONE)
}
