//! What scopes waited for in all, by kind, and who held it meanwhile.
use super::charge::{Part, Share, Shares};
use bursar_interface::{Row, Time, bound::TALLIES_MAX};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};

/// What the claims of one scope waited for of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tallied {
    /// How long, in nanoseconds, all claims added up.
    pub ns: u64,
    shares: Shares,
    last: Time,
}

impl Tallied {
    /// Who held it meanwhile; the rest is that of nobody by name.
    pub fn holders(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter()
    }
}

/// The waits of all scopes; whoever did not wait for longest makes room.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    waits: BTreeMap<(Arc<str>, Option<Row>), Tallied>,
}

impl Tally {
    pub(crate) fn add(&mut self, scope: &Arc<str>, parts: &[Part], at: Time) {
        for part in parts {
            let key = (scope.clone(), part.cause.resource);
            if !self.waits.contains_key(&key) && self.waits.len() >= TALLIES_MAX {
                let quietest = self.waits.iter().min_by_key(|(_, tallied)| tallied.last);
                let quietest = quietest.map(|(key, _)| key.clone());
                quietest.and_then(|key| self.waits.remove(&key));
            }
            let tallied = self.waits.entry(key).or_default();
            tallied.ns = tallied.ns.saturating_add(part.ns);
            tallied.shares.add_all(&part.shares);
            tallied.last = at;
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, Option<Row>, &Tallied)> {
        self.waits.iter().map(|((scope, resource), tallied)| (scope, *resource, tallied))
    }
}
