//! Sharing plugin `share-exclusive`: one holder at a time.
#![deny(unsafe_code)]
use bursar_qos::Exclusive;
use bursar_sdk::prelude::*;

/// One holder at a time.
#[derive(Default)]
pub struct ShareExclusive(Exclusive);

#[plugin]
impl Sharing for ShareExclusive {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        self.0.offer(view, pools, offers)
    }
}
