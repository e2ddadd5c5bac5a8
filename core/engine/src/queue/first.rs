//! Who stands before whom, and who is first in each line: what is kept is kept for them.
use super::Queue;
use crate::lack::Lack;
use bursar_interface::{ClaimId, Row};

impl Queue {
    /// The first of each line of those whose bounds may let them go.
    pub(crate) fn foremost(&self) -> Vec<ClaimId> {
        let bounded = |lack: &Lack| matches!(lack, Lack::Ledger(..) | Lack::Within);
        let lines = self.lacks.iter().filter(|(lack, _)| !bounded(lack) || self.awake.contains(lack));
        lines.filter_map(|(_, &line)| self.first_of(line)).collect()
    }

    fn first_of(&self, line: u32) -> Option<ClaimId> {
        Some(self.groups[self.lines.first(line)?.1 as usize].first?.claim)
    }

    /// Those who are first to be served of those who are short of room in a ledger: by how much, one each.
    pub(crate) fn short_of_room(&self, ledger: Row) -> Vec<ClaimId> {
        let lacks = self.lacks.range(Lack::Ledger(ledger, 0)..=Lack::Ledger(ledger, u32::MAX));
        lacks.filter_map(|(_, &line)| self.first_of(line)).collect()
    }

    /// Whether a claim would be served before another, if there were enough for both. Who moved must have been
    /// settled.
    pub(crate) fn stands_before(&self, claim: ClaimId, other: ClaimId) -> bool {
        let stands = |claim: ClaimId| {
            let &(place, number) = self.places.get(&claim)?;
            Some((self.groups[number as usize].scope, place))
        };
        matches!((stands(claim), stands(other)), (Some(one), Some(other)) if self.lines.before(one, other))
    }
}
