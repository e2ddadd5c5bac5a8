//! How much of a machine's memory may be promised: by what is asked for alone, by what there really is beside what runs
//! outside of leases, or by what leases really use.
use crate::{Multiplex, Share};
use bursar_interface::{Offer, bound::OVERCOMMIT_MAX};

/// An offer changes by one part of what there is in so many at least: each change is written down, and has all who
/// wait tried again.
const PARTS: u64 = 64;

/// By what memory is admitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Admission {
    /// What all ask for together is no more than the pool has.
    Asked,
    /// That, and no more than leases use and the machine has left.
    #[default]
    Headroom,
    /// No more than what leases use almost always, together, leaves; guaranteed ones count with all they asked for.
    Measured,
}

/// A pool, its machine, and the leases that hold some of it.
#[derive(Clone, Copy, Debug)]
pub struct Supply<'a> {
    /// What the pool has, in bytes.
    pub capacity: u64,
    /// What the machine could still give without harm, in bytes: free, or held by files that can be dropped. `None`
    /// where that cannot be measured: then what is asked for counts alone.
    pub headroom: Option<u64>,
    /// What leases use that cannot simply be dropped, in bytes; of one that was not measured, all it asked for.
    pub used: u64,
    /// What is promised now, in bytes.
    pub promised: u64,
    /// The leases; guaranteed ones with all that they asked for.
    pub shares: &'a [Share],
    /// Nobody is to be let in.
    pub stopped: bool,
}

impl Supply<'_> {
    /// What there really is for leases: what they use, and what is left.
    pub fn there(&self) -> u64 {
        let there = self.headroom.map_or(self.capacity, |headroom| self.used.saturating_add(headroom));
        there.min(self.capacity)
    }
}

impl Admission {
    /// The rule for a pool; `None` where it is what it would be without one.
    pub fn offer(self, supply: &Supply<'_>, multiplex: &Multiplex) -> Option<Offer> {
        let capacity = supply.capacity;
        let offered = match self {
            _ if supply.stopped => supply.promised,
            Admission::Asked => capacity,
            Admission::Headroom => supply.there(),
            Admission::Measured => multiplex.offer(supply.there(), supply.shares),
        };
        let offered = offered.min(capacity.saturating_mul(OVERCOMMIT_MAX));
        // Guaranteed claims together never have more than there is.
        let offer = Offer { offered, firm: offered.min(capacity), quantum_ns: 0, holders: 0 };
        (offer != Offer::plain(capacity)).then_some(offer)
    }
}

/// Whether a rule is worth being told in the place of another: when it stops, opens, or moves by some.
pub fn worth_telling(capacity: u64, known: Option<&Offer>, next: Option<&Offer>, stopped: bool) -> bool {
    let offered = |offer: Option<&Offer>| offer.map_or(capacity, |offer| offer.offered);
    let (known, next) = (offered(known), offered(next));
    let step = (capacity / PARTS).max(1);
    match stopped {
        true => known != next,
        // All of it is offered again, or it moved.
        false => known != next && (next == capacity || known.abs_diff(next) >= step),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn supply(shares: &[Share]) -> Supply<'_> {
        let (used, promised) = (shares.iter().filter_map(|share| share.mean).sum(), 4000);
        Supply { capacity: 10_000, headroom: Some(20_000), used, promised, shares, stopped: false }
    }

    fn used(mean: u64) -> Share {
        Share { asked: 1000, mean: Some(mean), deviation: 10, peak: mean + 20 }
    }

    #[test]
    fn no_more_is_promised_than_the_machine_has() {
        let (multiplex, shares) = (Multiplex::default(), vec![used(500); 4]);
        let offered = |admission: Admission, supply: Supply<'_>| {
            admission.offer(&supply, &multiplex).map_or(supply.capacity, |offer| offer.offered)
        };
        let plenty = supply(&shares);
        let short = Supply { headroom: Some(3000), ..plenty };
        let unknown = Supply { headroom: None, ..plenty };
        for (admission, supply, most) in [
            (Admission::Headroom, plenty, 10_000),
            (Admission::Headroom, short, 5000),
            (Admission::Headroom, unknown, 10_000),
            (Admission::Asked, short, 10_000),
            (Admission::Measured, plenty, 10_000),
            (Admission::Measured, short, 5000),
        ] {
            assert_eq!(offered(admission, supply), most, "{admission:?} {supply:?}");
            assert_eq!(offered(admission, Supply { stopped: true, ..supply }), 4000);
        }
    }

    #[test]
    fn what_leases_leave_is_promised_again_where_that_is_known_and_wanted() {
        let mut multiplex = Multiplex::default();
        (0..20).for_each(|_| multiplex.learn(used(200)));
        let (loose, firm) =
            (vec![used(200); 4], Share { mean: Some(1000), deviation: 0, peak: 1000, ..used(0) });
        let rule = Admission::Measured.offer(&supply(&loose), &multiplex).expect("more than there is");
        assert!(rule.offered > 30_000 && rule.firm == 10_000 && rule.lawful(10_000).is_ok(), "{rule:?}");
        let guaranteed = Admission::Measured.offer(&supply(&[firm; 4]), &multiplex).expect("more as well");
        assert!(guaranteed.offered < rule.offered, "who insists counts with all of it");
        assert_eq!(Admission::Headroom.offer(&supply(&loose), &multiplex), None);
    }

    #[test]
    fn small_changes_are_not_told_and_opening_is() {
        let plain = |offered| Offer::plain(offered);
        let tell = |known: u64, next: u64, stopped| {
            worth_telling(6400, Some(&plain(known)), Some(&plain(next)), stopped)
        };
        assert!(!tell(5000, 5099, false) && tell(5000, 5100, false) && tell(5000, 4900, false));
        assert!(tell(6399, 6400, false), "all of it is offered again");
        assert!(tell(5000, 4999, true) && !tell(5000, 5000, true), "to stop is exact");
        assert!(!worth_telling(6400, None, Some(&plain(6390)), false));
    }
}
