//! Qos plugin `class`: class, then priority, then who came first.
#![deny(unsafe_code)]
use bursar_qos::class;
use bursar_sdk::prelude::*;

/// By class.
#[derive(Default)]
pub struct ByClass(class::ByClass);

#[plugin(id = "class")]
impl Qos for ByClass {
    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        self.0.rank(view, pending, ranks)
    }
}
