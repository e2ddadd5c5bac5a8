//! By class, then priority, then who came first.
use bursar_interface::{Fault, Qos, Rank, Row, View};

/// Guaranteed before burstable before best-effort; within a class, larger priorities first; within
/// those, the engine serves in the order of asking.
#[derive(Clone, Copy, Debug, Default)]
pub struct ByClass;

impl Qos for ByClass {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        for (rank, &row) in ranks.iter_mut().zip(pending) {
            let (class, priority) = (view.claims.class[row as usize], view.claims.priority[row as usize]);
            *rank = Rank { tier: u64::from(class), share: u64::from(u32::MAX - priority) };
        }
        Ok(())
    }
}
