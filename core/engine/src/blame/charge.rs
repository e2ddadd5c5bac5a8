//! Time that is charged: to what somebody waited for, and of that to those who held it, in whole nanoseconds.
use bursar_interface::{
    Reason, Row, Time,
    bound::{BLAMED_MAX, CAUSES_MAX},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What somebody waits for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In a word; `None` where it is not known.
    pub reason: Option<Reason>,
    /// Row of the kind that binds; `None` where it is none of them, as for who stands behind another.
    pub resource: Option<Row>,
    /// Path of the scope whose ledger binds; `None` where what there is does.
    pub ledger: Option<Arc<str>>,
}

/// Time that is charged to one scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Path of a scope in the top-level scope of the waiting one; of others their top-level scope.
    pub scope: Arc<str>,
    /// How long, in nanoseconds.
    pub ns: u64,
    /// It is in the top-level scope of the waiting one.
    own: bool,
    /// When it was last charged.
    last: Time,
}

/// Time by scope, in order of their paths: at most [`BLAMED_MAX`] of one's own top-level scope, and as many others.
/// Who was not charged for longest makes room, and its time is nobody's by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shares(Vec<Share>);

impl Shares {
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Share> {
        self.0.iter()
    }

    pub(crate) fn add(&mut self, scope: &Arc<str>, own: bool, ns: u64, last: Time) {
        match self.0.binary_search_by(|share| share.scope.as_ref().cmp(scope)) {
            _ if ns == 0 => {}
            Ok(at) => {
                self.0[at].ns += ns;
                self.0[at].last = last;
            }
            Err(at) => {
                self.0.insert(at, Share { scope: scope.clone(), ns, own, last });
                self.make_room(own);
            }
        }
    }

    fn make_room(&mut self, own: bool) {
        if self.0.iter().filter(|share| share.own == own).count() > BLAMED_MAX {
            let of_kind = (0..self.0.len()).filter(|&at| self.0[at].own == own);
            let quietest = of_kind.min_by_key(|&at| (self.0[at].last, self.0[at].ns));
            quietest.map(|at| self.0.remove(at));
        }
    }

    pub(crate) fn add_all(&mut self, others: &Shares) {
        others.iter().for_each(|other| self.add(&other.scope, other.own, other.ns, other.last));
    }

    /// What was charged since these were as `earlier`. Who made room meanwhile and came back is charged too
    /// little, and never too much.
    pub(crate) fn since(&self, earlier: &Shares) -> Shares {
        let before = |share: &Share| {
            let found = earlier.0.binary_search_by(|other| other.scope.cmp(&share.scope));
            found.map_or(0, |at| earlier.0[at].ns)
        };
        let grown = |share: &Share| Share { ns: share.ns.saturating_sub(before(share)), ..share.clone() };
        Shares(self.0.iter().map(grown).filter(|share| share.ns > 0).collect())
    }
}

/// A part of a wait.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// What for.
    pub cause: Cause,
    /// How long, in nanoseconds.
    pub ns: u64,
    pub(crate) shares: Shares,
}

impl Part {
    /// Who held it meanwhile. What they are charged never adds up to more than the part; the rest is that of
    /// nobody by name.
    pub fn holders(&self) -> impl Iterator<Item = &Share> {
        self.shares.iter()
    }
}

/// Charges time to a cause. Beyond [`CAUSES_MAX`] of them it is charged to what is not known.
pub(crate) fn charge(parts: &mut Vec<Part>, cause: &Cause, ns: u64, shares: &Shares) {
    if ns == 0 {
        return;
    }
    let known = parts.iter().position(|part| part.cause == *cause);
    let (at, named) = match known {
        Some(at) => (at, true),
        None if parts.len() < CAUSES_MAX => {
            parts.push(Part { cause: cause.clone(), ..Part::default() });
            (parts.len() - 1, true)
        }
        None => (unknown(parts), false),
    };
    parts[at].ns += ns;
    if named {
        parts[at].shares.add_all(shares);
    }
}

/// The part of what is not known; beside it there are no more than [`CAUSES_MAX`].
fn unknown(parts: &mut Vec<Part>) -> usize {
    let known = parts.iter().position(|part| part.cause == Cause::default());
    known.unwrap_or_else(|| {
        parts.push(Part::default());
        parts.len() - 1
    })
}

/// What was charged since the parts were as `earlier`.
pub(crate) fn since(parts: &[Part], earlier: &[Part]) -> Vec<Part> {
    let grown = |part: &Part| match earlier.iter().find(|before| before.cause == part.cause) {
        None => part.clone(),
        Some(before) => Part {
            cause: part.cause.clone(),
            ns: part.ns - before.ns,
            shares: part.shares.since(&before.shares),
        },
    };
    parts.iter().map(grown).filter(|part| part.ns > 0).collect()
}
