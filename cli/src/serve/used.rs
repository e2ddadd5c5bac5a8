//! What leases use, as it is shown: of each, and of a scope with all below it.
use super::present::Present;
use bursar_interface::{ClaimId, Row, Spent};
use bursar_wire::{SpentRow, UsageRow};

impl Present<'_> {
    /// What a living lease uses; `None` before the first look at it.
    pub fn usage(&self, id: ClaimId) -> Option<UsageRow> {
        let (followed, usage) = self.gauges.used(id, self.clock.now())?;
        Some(UsageRow::live(&usage, followed.newest()?, followed.cpu_milli(), followed.leaks()))
    }

    /// What the leases of a scope use and used, with all below it.
    pub fn spent(&self, scope: Row) -> SpentRow {
        let (books, view) = (self.engine.books(), self.engine.view());
        let mut spent: Spent = self.engine.used_below(books.scope_path(scope));
        for (claim, usage) in self.gauges.all_used(self.clock.now()) {
            let of = books.claim(claim).map(|row| view.claims.scope[row as usize]);
            if of.is_some_and(|of| books.chain(of).any(|at| at == scope)) {
                spent.add(&usage);
            }
        }
        SpentRow::from(&spent)
    }
}
