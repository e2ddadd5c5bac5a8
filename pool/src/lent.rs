//! What is held and never there for others: what scopes are guaranteed and do not lend, whoever holds what.
use crate::{Books, quota::ROOT};
use bursar_interface::{Amount, Row};

impl Books {
    /// The most that somebody in a scope can have of a ledger on its way up, of a kind that is held, while nobody
    /// else holds any. [`Amount::MAX`] where nobody keeps any from it.
    pub(crate) fn most_lent(&self, scope: Row, quota: Row) -> Amount {
        let (quotas, kind) = (&self.tables.quotas, self.tables.quotas.resource[quota as usize]);
        let of_kind = |&row: &Row| quotas.id[row as usize] != 0 && quotas.resource[row as usize] == kind;
        let all = (0..quotas.len() as Row).filter(of_kind);
        let firm: Vec<Row> = all.filter(|&row| self.kept_itself(row, 0) > 0).collect();
        if firm.is_empty() {
            return Amount::MAX;
        }
        let (mut below, mut kept) = (None, 0 as Amount);
        for ledger in self.quotas_of(scope, kind) {
            kept = kept.saturating_add(self.never_lent(ledger, below.replace(ledger), &firm));
            if ledger == quota {
                break;
            }
        }
        match kept {
            0 => Amount::MAX,
            kept if quotas.scope[quota as usize] == ROOT => {
                self.cap(quota).min(self.ever_of(kind)).saturating_sub(kept)
            }
            kept => self.cap(quota).saturating_sub(kept),
        }
    }

    /// What the children of a ledger, but for `but`, never lend: each its own, or what those below it do not lend
    /// where that is more; `firm` are all ledgers that do not lend all.
    fn never_lent(&self, quota: Row, but: Option<Row>, firm: &[Row]) -> Amount {
        let mut children: Vec<Row> = firm.iter().filter_map(|&row| self.child_towards(quota, row)).collect();
        children.sort_unstable();
        children.dedup();
        let kept = |child: Row| self.kept_itself(child, 0).max(self.never_lent(child, None, firm));
        let others = children.into_iter().filter(|&child| Some(child) != but);
        others.map(kept).fold(0, Amount::saturating_add)
    }

    /// What all pools of a kind ever have.
    fn ever_of(&self, kind: Row) -> Amount {
        if self.spec(kind).springs > 0 {
            return Amount::MAX;
        }
        let pools = &self.tables.pools;
        let of_kind = |&p: &Row| pools.id[p as usize] != 0 && pools.resource[p as usize] == kind;
        (0..pools.len() as Row).filter(of_kind).map(|pool| self.ever(pool)).fold(0, Amount::saturating_add)
    }
}
