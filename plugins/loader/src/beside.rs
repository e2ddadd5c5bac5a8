//! The roles that are asked beside the round, in both homes: how pools are shared, and what holds work up. What
//! comes back is checked before it is used.
use crate::{
    child::{Child, shown},
    columns::cross,
    frame::{Question, Reply},
    hosted::{offer, offered},
    inline::{Watched, answered},
};
use bursar_abi::{AnalyzerBox, ROffer, SharingBox};
use bursar_interface::{
    Analyzer, Fault, FaultKind, Finding, Offer, Row, Sharing, Sight, View, findings_lawful,
};

fn nonsense(why: impl ToString) -> Fault {
    Fault::of(FaultKind::Nonsense, why.to_string())
}

fn raw(offer: &Offer) -> ROffer {
    let Offer { offered, firm, quantum_ns, holders } = *offer;
    ROffer { offered, firm, quantum_ns, holders: holders.into() }
}

/// Takes over what was offered; more holders than can be counted are no offer.
fn take_over(told: impl IntoIterator<Item = ROffer>, offers: &mut [Offer]) -> Result<(), Fault> {
    for (offer, ROffer { offered, firm, quantum_ns, holders }) in offers.iter_mut().zip(told) {
        let holders = u32::try_from(holders).map_err(|_| nonsense(format!("{holders} holders")))?;
        *offer = Offer { offered, firm, quantum_ns, holders };
    }
    Ok(())
}

/// A sharing in this process.
pub(crate) struct InlineSharing {
    pub(crate) plugin: SharingBox,
    pub(crate) watched: Watched,
}

impl Sharing for InlineSharing {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        let InlineSharing { plugin, watched } = self;
        let mut told: Vec<ROffer> = offers.iter().map(raw).collect();
        watched.call(|| cross(view, |view| plugin.offer(view, pools.into(), told.as_mut_slice().into())))?;
        take_over(told, offers).map_err(|fault| watched.health.count(fault))
    }
}

/// A sharing in a child.
pub(crate) struct ChildSharing(pub(crate) Child);

impl Sharing for ChildSharing {
    fn offer(&mut self, view: &View<'_>, pools: &[Row], offers: &mut [Offer]) -> Result<(), Fault> {
        let plain: Vec<_> = offers.iter().map(|offer| offered(&raw(offer))).collect();
        match self.0.ask(|mirror| Ok(Question::Offer(shown(mirror, view)?, pools.into(), plain)))? {
            Reply::Offers(told) if told.len() == offers.len() => {
                take_over(told.into_iter().map(offer), offers).map_err(|fault| self.0.health.count(fault))
            }
            other => Err(self.0.nonsense(&other)),
        }
    }
}

/// What an analyzer is told beside the tables.
fn told(sight: &Sight<'_>) -> Result<Vec<u8>, Fault> {
    serde_json::to_vec(&(sight.samples, sight.flows, sight.ties)).map_err(nonsense)
}

/// What it found, if that keeps to the bounds.
fn found(sight: &Sight<'_>, bytes: &[u8], findings: &mut Vec<Finding>) -> Result<(), Fault> {
    let found: Vec<Finding> = serde_json::from_slice(bytes).map_err(nonsense)?;
    findings_lawful(&found, &sight.view).map_err(nonsense)?;
    findings.extend(found);
    Ok(())
}

/// An analyzer in this process. It has a thread of its own, so the watchdog, which watches the engine's, is not
/// for it.
pub(crate) struct InlineAnalyzer {
    pub(crate) plugin: AnalyzerBox,
    pub(crate) health: std::sync::Arc<crate::Health>,
}

impl Analyzer for InlineAnalyzer {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let InlineAnalyzer { plugin, health } = self;
        health.admit()?;
        let told = told(sight)?;
        let bytes = answered(health, cross(&sight.view, |view| plugin.report(view, told.as_slice().into())))?;
        found(sight, &bytes, findings).map_err(|fault| health.count(fault))
    }
}

/// An analyzer in a child.
pub(crate) struct ChildAnalyzer(pub(crate) Child);

impl Analyzer for ChildAnalyzer {
    fn report(&mut self, sight: &Sight<'_>, findings: &mut Vec<Finding>) -> Result<(), Fault> {
        let told = told(sight)?;
        match self.0.ask(|mirror| Ok(Question::Report(shown(mirror, &sight.view)?, told)))? {
            Reply::Bytes(bytes) => found(sight, &bytes, findings).map_err(|fault| self.0.health.count(fault)),
            other => Err(self.0.nonsense(&other)),
        }
    }
}
