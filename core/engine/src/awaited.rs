//! Things that a lease holds and for which somebody waits: ports, locks, devices. Whoever is held still gives none of
//! them back, so nobody is held still while others wait for what only it could give: the middle of a work is no place
//! to stop it (priority inversion, as Lampson and Redell met it, "Experience with processes and monitors", 1980).
use crate::Engine;
use bursar_interface::{Amount, ClaimId, NONE, Phase, Row, Shape};

/// A thing that a lease holds: its pool and its kind.
type Thing = (Row, Row);

impl Engine {
    /// Whether somebody waits for a thing that this lease holds, or one within it, and that is not free elsewhere.
    pub fn is_awaited(&self, lease: ClaimId) -> bool {
        let Some(row) = self.books.claim(lease) else { return false };
        let claims = &self.books.tables().claims;
        let mut things = self.things(row);
        let rows = || (0..claims.len() as Row).filter(|&other| claims.id[other as usize] != 0);
        if self.books.child_count(lease) > 0 {
            let within = |other: &Row| self.lies_within(*other, lease);
            things.extend(rows().filter(within).flat_map(|other| self.things(other)));
        }
        if things.is_empty() {
            return false;
        }
        let waiting = rows().filter(|&other| self.books.phase(other) == Phase::Pending);
        // Whoever asked for a claim within a lease is held still with it.
        let mut others = waiting.filter(|&other| !self.lies_within(other, lease));
        others.any(|other| {
            self.books.all_rows(other).any(|line| self.waits_for_thing(other, line, row, &things))
        })
    }

    /// The things that a lease holds.
    fn things(&self, row: Row) -> Vec<Thing> {
        let is_thing = |kind: Row| self.books.spec(kind).shape == Shape::Unit;
        let lines = self.held_lines(row).filter(|&(_, _, kind, held)| held > 0 && is_thing(kind));
        lines.map(|(_, pool, kind, _)| (pool, kind)).collect()
    }

    fn lies_within(&self, row: Row, lease: ClaimId) -> bool {
        let claim = ClaimId(self.books.tables().claims.id[row as usize]);
        self.books.around(claim).any(|around| around == lease)
    }

    /// Whether a line of one who waits asks for more than is free of what a lease holds, or than there is room for in a
    /// ledger that both are charged to.
    fn waits_for_thing(&self, row: Row, line: Row, lease: Row, things: &[Thing]) -> bool {
        let tables = self.books.tables();
        let (kind, want) = (tables.lines.resource[line as usize], tables.lines.want[line as usize]);
        let asked = tables.lines.amount[line as usize];
        let same = |&(pool, of): &Thing| of == kind && (want == NONE || want == pool);
        if !things.iter().any(same) {
            return false;
        }
        let free = if want == NONE { self.free_of(kind, asked) } else { tables.pools.free(want) };
        let scope = |row: Row| tables.claims.scope[row as usize];
        let charged = |ledger: Row| self.books.quotas_of(scope(lease), kind).any(|other| other == ledger);
        asked > free || self.books.ledgers_short(scope(row), kind, asked).any(|(ledger, _)| charged(ledger))
    }

    /// What is free of a kind for whoever asks for so much: in one pool, or in several where it comes in whole pieces.
    fn free_of(&self, kind: Row, asked: Amount) -> Amount {
        let pools = &self.books.tables().pools;
        let of_kind = (0..pools.len()).filter(|&p| pools.id[p] != 0 && pools.resource[p] == kind);
        let free = of_kind.map(|p| pools.free(p as Row));
        let piece = self.books.spec(kind).piece;
        match piece > 0 && asked > piece {
            true => free.map(|free| free - free % piece).sum(),
            false => free.max().unwrap_or(0),
        }
    }
}
