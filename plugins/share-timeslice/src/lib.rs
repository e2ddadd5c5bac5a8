//! Sharing plugin `share-timeslice`: all of it to each of a few holders, by turns.
#![deny(unsafe_code)]
use bursar_qos::Timeslice;
use bursar_sdk::{
    bound::{HOLDERS_MAX, QUANTUM_NS},
    prelude::*,
};

/// How many, and how long.
#[config]
pub struct Settings {
    /// Holders at once: from 2.
    pub holders: u32,
    /// How long a turn is, in milliseconds.
    pub quantum_ms: u64,
}

impl Default for Settings {
    fn default() -> Settings {
        let Timeslice { holders, quantum_ns } = Timeslice::default();
        Settings { holders, quantum_ms: quantum_ns / 1_000_000 }
    }
}

/// By turns.
pub struct ShareTimeslice(Timeslice);

impl ShareTimeslice {
    fn new(Settings { holders, quantum_ms }: Settings) -> Result<ShareTimeslice, Fault> {
        let wrong = |why: String| Err(Fault::new(format!("config: {why}")));
        let quantum_ns = quantum_ms.saturating_mul(1_000_000);
        let (least, most) = (QUANTUM_NS.0 / 1_000_000, QUANTUM_NS.1 / 1_000_000);
        if !(2..=HOLDERS_MAX).contains(&holders) {
            return wrong(format!("holders: {holders} is not from 2 to {HOLDERS_MAX}"));
        }
        if !(QUANTUM_NS.0..=QUANTUM_NS.1).contains(&quantum_ns) {
            return wrong(format!("quantum-ms: {quantum_ms} is not from {least} to {most}"));
        }
        Ok(ShareTimeslice(Timeslice { holders, quantum_ns }))
    }
}

#[plugin(config = Settings, new = ShareTimeslice::new)]
impl Sharing for ShareTimeslice {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        self.0.offer(view, pools, offers)
    }
}
