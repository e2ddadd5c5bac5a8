//! How things are shared: by one holder at a time, by more than there is, by turns.
use bursar_interface::{
    Fault, Offer, Row, Sharing, View,
    bound::{HOLDERS_MAX, OVERCOMMIT_MAX},
};

/// What there is, to one holder at a time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Exclusive;

impl Sharing for Exclusive {
    fn offer(&mut self, _: &View<'_>, _: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        offers.iter_mut().for_each(|offer| offer.holders = 1);
        Ok(())
    }
}

/// More than there is, to whoever does not insist: guaranteed claims hold together no more than there is.
#[derive(Clone, Copy, Debug)]
pub struct Overcommit {
    /// What is offered, in percent of what there is; what is above what there is may be wanted at once by all who
    /// hold it, and then they have to wait for each other (Waldspurger, OSDI 2002, for memory).
    pub percent: u64,
}

impl Default for Overcommit {
    fn default() -> Overcommit {
        Overcommit { percent: 150 }
    }
}

impl Sharing for Overcommit {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        let percent = self.percent.clamp(100, 100 * OVERCOMMIT_MAX);
        for (offer, &pool) in offers.iter_mut().zip(pools) {
            let capacity = view.pools.capacity[pool as usize];
            offer.offered = capacity.saturating_mul(percent) / 100;
            offer.firm = capacity;
        }
        Ok(())
    }
}

/// All of it to each of so many holders, by turns (round robin).
#[derive(Clone, Copy, Debug)]
pub struct Timeslice {
    /// Holders at once.
    pub holders: u32,
    /// How long a turn is, in nanoseconds.
    pub quantum_ns: u64,
}

impl Default for Timeslice {
    fn default() -> Timeslice {
        Timeslice { holders: 4, quantum_ns: 1_000_000_000 }
    }
}

impl Sharing for Timeslice {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        let holders = self.holders.clamp(2, HOLDERS_MAX);
        for (offer, &pool) in offers.iter_mut().zip(pools) {
            let capacity = view.pools.capacity[pool as usize];
            let offered = capacity.saturating_mul(u64::from(holders));
            *offer = Offer { offered, firm: 0, quantum_ns: self.quantum_ns, holders };
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Tables, Time};

    fn offered(sharing: &mut dyn Sharing) -> Offer {
        let mut tables = Tables::default();
        tables.pools.push();
        tables.pools.capacity[0] = 1000;
        let mut offers = [Offer::plain(1000)];
        sharing.offer(&tables.view(Time(0), 1), &[0], &mut offers).expect("no fault");
        assert_eq!(offers[0].lawful(1000), Ok(()));
        offers[0]
    }

    #[test]
    fn each_is_what_it_is_called() {
        assert_eq!(offered(&mut Exclusive), Offer { holders: 1, ..Offer::plain(1000) });
        let more = Offer { offered: 1500, ..Offer::plain(1000) };
        assert_eq!(offered(&mut Overcommit::default()), more);
        let turns = Offer { offered: 4000, firm: 0, quantum_ns: 1_000_000_000, holders: 4 };
        assert_eq!(offered(&mut Timeslice::default()), turns);
    }

    #[test]
    fn what_cannot_be_is_brought_within_bounds() {
        assert_eq!(offered(&mut Overcommit { percent: 1 }).offered, 1000);
        assert_eq!(offered(&mut Overcommit { percent: u64::MAX }).offered, 1000 * OVERCOMMIT_MAX);
        let turns = Timeslice::default();
        assert_eq!(offered(&mut Timeslice { holders: 0, ..turns }).holders, 2);
        assert_eq!(offered(&mut Timeslice { holders: 9999, ..turns }).holders, HOLDERS_MAX);
    }
}
