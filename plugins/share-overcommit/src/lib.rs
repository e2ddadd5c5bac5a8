//! Sharing plugin `share-overcommit`: more than there is, for whoever does not insist.
#![deny(unsafe_code)]
use bursar_qos::Overcommit;
use bursar_sdk::{bound::OVERCOMMIT_MAX, prelude::*};

/// How much more.
#[config]
pub struct Settings {
    /// What is offered, in percent of what there is: from 100.
    pub percent: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { percent: Overcommit::default().percent }
    }
}

/// More than there is.
pub struct ShareOvercommit(Overcommit);

impl ShareOvercommit {
    fn new(Settings { percent }: Settings) -> Result<ShareOvercommit, Fault> {
        let most = 100 * OVERCOMMIT_MAX;
        match (100..=most).contains(&percent) {
            true => Ok(ShareOvercommit(Overcommit { percent })),
            false => Err(Fault::new(format!("config: percent: {percent} is not from 100 to {most}"))),
        }
    }
}

#[plugin(config = Settings, new = ShareOvercommit::new)]
impl Sharing for ShareOvercommit {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        self.0.offer(view, pools, offers)
    }
}
