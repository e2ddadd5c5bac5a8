//! Badly behaved about sharing and about what is found, beside the round.
use crate::both::Arming;
use bursar_sdk::prelude::*;
use std::process;

macro_rules! beside {
    ($($id:literal, $sharing:ident, $analyzer:ident, |$many:ident| $body:expr;)*) => {$(
        /// Badly behaved about sharing.
        #[derive(Default)]
        pub struct $sharing;

        #[plugin(id = $id)]
        impl Sharing for $sharing {
            fn offer(&mut self, _: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
                let $many = pools.len();
                // Far more than there is, and for certain.
                offers.iter_mut().for_each(|offer| (offer.offered, offer.firm) = (u64::MAX, u64::MAX));
                $body
            }
        }

        /// Badly behaved about what it finds.
        pub struct $analyzer(Arming);

        impl From<Arming> for $analyzer {
            fn from(arming: Arming) -> Self {
                $analyzer(arming)
            }
        }

        #[plugin(id = $id, config = Arming)]
        impl Analyzer for $analyzer {
            fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
                // Every analyzer that is found is asked by a daemon.
                if !self.0.armed {
                    return Ok(());
                }
                let $many = sight.view.pools.len();
                findings.push(Finding::new("nobody", Subject::Claim(Row::MAX), Severity::Notice, "ask nobody"));
                $body
            }
        }
    )*};
}

beside! {
    "chaos-panic", SharesInPanic, FindsInPanic, |many| panic!("{many} pools are too many");
    "chaos-abort", SharesAndAborts, FindsAndAborts, |many| { let _ = many; process::abort() };
    "chaos-hang", SharesAndHangs, FindsAndHangs, |many| { let _ = many; loop { std::hint::spin_loop() } };
    "chaos-fail", SharesNot, FindsNothing, |many| Err(Fault::new(format!("not {many}")));
    "chaos-lie", SharesTooMuch, FindsNobody, |many| { let _ = many; Ok(()) };
}
