//! The shims of the roles that are asked beside the round: how pools are shared, and what holds work up.
use crate::{
    guard::guard,
    shim::{Gathered, Guarded, answer, question},
};
use abi_stable::std_types::{RResult, RSlice, RSliceMut, RVec};
use bursar_abi::{AnalyzerAbi, RFault, ROffer, RView, SharingAbi};
use bursar_interface::{Analyzer, Flow, Offer, Sample, Sharing, Sight, Tie};

pub(crate) struct SharingShim {
    plugin: Guarded<dyn Sharing>,
    gathered: Gathered,
}
impl SharingShim {
    pub(crate) fn new(who: &'static str, plugin: Box<dyn Sharing>) -> Self {
        SharingShim { plugin: Guarded::new(who, plugin), gathered: Gathered::default() }
    }
}
impl SharingAbi for SharingShim {
    fn offer(
        &mut self,
        view: RView<'_>,
        pools: RSlice<'_, u32>,
        mut out: RSliceMut<'_, ROffer>,
    ) -> RResult<(), RFault> {
        let SharingShim { plugin, gathered } = self;
        guard(plugin.1, || {
            gathered.with(&view, |view| {
                let mut offers: Vec<Offer> = out.iter().map(plain).collect();
                plugin.0.offer(view, pools.as_slice(), &mut offers)?;
                for (raw, offer) in out.as_mut_slice().iter_mut().zip(offers) {
                    let Offer { offered, firm, quantum_ns, holders } = offer;
                    *raw = ROffer { offered, firm, quantum_ns, holders: holders.into() };
                }
                Ok(())
            })
        })
    }
}

/// What the host wrote there before it asked.
fn plain(raw: &ROffer) -> Offer {
    let holders = u32::try_from(raw.holders).unwrap_or(u32::MAX);
    Offer { offered: raw.offered, firm: raw.firm, quantum_ns: raw.quantum_ns, holders }
}

pub(crate) struct AnalyzerShim {
    plugin: Guarded<dyn Analyzer>,
    gathered: Gathered,
}
impl AnalyzerShim {
    pub(crate) fn new(who: &'static str, plugin: Box<dyn Analyzer>) -> Self {
        AnalyzerShim { plugin: Guarded::new(who, plugin), gathered: Gathered::default() }
    }
}
impl AnalyzerAbi for AnalyzerShim {
    fn report(&mut self, view: RView<'_>, told: RSlice<'_, u8>) -> RResult<RVec<u8>, RFault> {
        let AnalyzerShim { plugin, gathered } = self;
        guard(plugin.1, || {
            let told: (Vec<Sample>, Vec<Flow>, Vec<Tie>) = question(told.as_slice())?;
            gathered.with(&view, |view| {
                let (samples, flows, ties) = (&told.0, &told.1, &told.2);
                let mut findings = Vec::new();
                plugin.0.report(&Sight { view: *view, samples, flows, ties }, &mut findings)?;
                answer(&findings).map(RVec::from)
            })
        })
    }
}
