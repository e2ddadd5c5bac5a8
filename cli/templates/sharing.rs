//! Sharing `@NAME@`: half as much again as there is, to so many holders at most.
use bursar_sdk::prelude::*;

/// What an operator may set under `[plugins.config.@NAME@]`.
#[config]
struct Settings {
    /// Leases that may hold some of a pool at once.
    holders: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { holders: 8 }
    }
}

struct @TYPE@(Settings);

impl From<Settings> for @TYPE@ {
    fn from(settings: Settings) -> @TYPE@ {
        @TYPE@(settings)
    }
}

#[plugin(id = "@NAME@", config = Settings)]
impl Sharing for @TYPE@ {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        for (offer, &pool) in offers.iter_mut().zip(pools) {
            let capacity = view.pools.capacity[pool as usize];
            // To guaranteed claims, `firm`, never more than there is.
            *offer = Offer { offered: capacity + capacity / 2, holders: self.0.holders, ..Offer::plain(capacity) };
        }
        Ok(())
    }
}

#[test]
fn it_passes_the_kit() {
    let make = || -> Box<dyn Sharing> { Box::new(@TYPE@::from(Settings::default())) };
    assert_eq!(bursar_conformance::sharing(&make), Ok(()));
}
