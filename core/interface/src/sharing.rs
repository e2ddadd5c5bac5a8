//! The sharing interface: under which rules more than one lease may hold some of a pool.
use crate::{
    Amount, Fault, Row, View,
    bound::{HOLDERS_MAX, OVERCOMMIT_MAX, QUANTUM_NS},
};
use serde::{Deserialize, Serialize};

/// How a pool may be shared.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Offer {
    /// What may be promised of it in all, in base units.
    pub offered: Amount,
    /// What guaranteed claims may hold of it together: never more than there is.
    pub firm: Amount,
    /// How long a holder's turn is, in nanoseconds, where they take turns; 0 where all go on at once.
    pub quantum_ns: u64,
    /// Leases that may hold some of it at once; 0 for as many as fit.
    pub holders: u32,
}

impl Offer {
    /// As if nobody had been asked: what there is, to as many as fit.
    pub fn plain(capacity: Amount) -> Offer {
        Offer { offered: capacity, firm: capacity, quantum_ns: 0, holders: 0 }
    }

    /// The same rules for a pool that has become larger or smaller.
    #[must_use]
    pub fn scaled(&self, from: Amount, to: Amount) -> Offer {
        let scale = |amount: Amount| match from {
            0 => to,
            from => {
                u64::try_from(u128::from(amount) * u128::from(to) / u128::from(from)).unwrap_or(Amount::MAX)
            }
        };
        let firm = if self.quantum_ns > 0 { 0 } else { scale(self.firm).min(to) };
        Offer { offered: scale(self.offered), firm, ..*self }
    }

    /// Whether a pool of this capacity may be shared so. Nothing more than `OVERCOMMIT_MAX` times what there is
    /// is promised, to guaranteed claims never more than there is, and who takes turns is counted.
    ///
    /// # Errors
    /// In words what is wrong.
    pub fn lawful(&self, capacity: Amount) -> Result<(), String> {
        let most = capacity.saturating_mul(OVERCOMMIT_MAX);
        if self.offered > most {
            return Err(format!("{} of {capacity} is offered; at most {most} can be", self.offered));
        }
        if self.firm > capacity.min(self.offered) {
            return Err(format!("{} of {capacity} is promised for certain", self.firm));
        }
        if self.holders > HOLDERS_MAX {
            return Err(format!("{} holders at once; at most {HOLDERS_MAX}", self.holders));
        }
        let turns = self.quantum_ns > 0;
        if turns && !(QUANTUM_NS.0..=QUANTUM_NS.1).contains(&self.quantum_ns) {
            return Err(format!(
                "turns of {} ns; from {} to {}",
                self.quantum_ns, QUANTUM_NS.0, QUANTUM_NS.1
            ));
        }
        if turns && (self.holders < 2 || self.firm > 0) {
            return Err(
                "those who take turns are two at least, and none of them is certain of its share".into()
            );
        }
        Ok(())
    }
}

/// Decides under which rules a pool is shared. Asked when the daemon starts, not for each claim: the rules are
/// written down, and grow and shrink with the pool.
pub trait Sharing: Send {
    /// Gives `offers[i]` for the pool `pools[i]`; what stands there is [`Offer::plain`]. The books check each offer,
    /// and one that is not lawful is a fault.
    ///
    /// # Errors
    /// A [`Fault`] costs a strike; the linked-in default decides in its stead.
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offer_keeps_to_what_there_is() {
        let plain = Offer::plain(100);
        let turns = Offer { offered: 400, firm: 0, quantum_ns: QUANTUM_NS.0, holders: 4 };
        assert_eq!((plain.lawful(100), turns.lawful(100)), (Ok(()), Ok(())));
        for (wrong, word) in [
            (Offer { offered: 100 * OVERCOMMIT_MAX + 1, ..plain }, "offered"),
            (Offer { firm: 101, offered: 200, ..plain }, "for certain"),
            (Offer { offered: 50, ..plain }, "for certain"),
            (Offer { holders: HOLDERS_MAX + 1, ..plain }, "holders"),
            (Offer { quantum_ns: 1, ..turns }, "turns of"),
            (Offer { holders: 1, ..turns }, "two at least"),
            (Offer { firm: 1, ..turns }, "two at least"),
        ] {
            assert!(wrong.lawful(100).expect_err("wrong").contains(word), "{wrong:?}");
        }
    }
}
