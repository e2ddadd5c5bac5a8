//! Why a claim waits, as each asker may see it: what it is short of, set by set of its lines, and who holds that.
use super::{
    circle,
    present::{Present, may_see},
};
use bursar_engine::{Short, Why};
use bursar_interface::{ClaimId, Principal, Row};
use bursar_wire as wire;

impl Present<'_> {
    /// Why a claim waits, if the principal may see it; holders that it may not see are left out.
    pub fn explain(&self, by: &Principal, id: ClaimId) -> Option<wire::Explain> {
        let claim = self.claim(by, id)?;
        let sees = |row: Row| may_see(by, self.scope_of(row));
        let whys = self.engine.explain_to(id, &sees).unwrap_or_default();
        let waiting_on = |set: usize, why: &Why| {
            why.short.iter().map(|short| self.waiting_on(id, set, short)).collect::<Vec<_>>()
        };
        let others = whys.iter().enumerate().skip(1).map(|(set, why)| wire::ExplainSet {
            alternative: set as u32,
            reason: why.reason.name().into(),
            waiting_on: waiting_on(set, why),
        });
        Some(wire::Explain {
            claim: id.0,
            phase: claim.phase,
            reason: whys.first().map(|why| why.reason.name().to_owned()),
            position: self.follower.position(self.engine, id),
            waiting_on: whys.first().map_or_else(Vec::new, |why| waiting_on(0, why)),
            eta_ms: self.follower.eta(self.engine, id, &whys, &sees),
            would_admit: Vec::new(),
            alternatives: others.collect(),
            pressure: self.gauges.strained.strain(id, self.clock),
            circle: { self.engine.closed(id) }
                .map_or_else(Vec::new, |closed| circle::shown(self.engine, by, closed)),
        })
    }

    /// The scope whose ledger binds on a kind.
    fn quota_scope(&self, id: ClaimId, set: usize, resource: Row) -> Option<String> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let row = books.claim(id).filter(|&row| books.slice_short(row).is_none())?;
        let quota = self.engine.binding_ledger(row, books.set_rows(row, set))?;
        (view.quotas.resource[quota as usize] == resource)
            .then(|| books.scope_path(view.quotas.scope[quota as usize]).to_string())
    }

    fn waiting_on(&self, id: ClaimId, set: usize, short: &Short) -> wire::WaitingOn {
        let (books, view) = (self.engine.books(), self.engine.view());
        let holder = |id: &ClaimId| {
            let row = books.claim(*id)?;
            Some(wire::Holder {
                claim: id.0,
                scope: self.scope_of(row).to_owned(),
                amount: books.asked_in_all(row, short.resource),
                until: self.time(view.claims.lease_until[row as usize]),
                preempting: self.preempting(*id),
            })
        };
        wire::WaitingOn {
            resource: books.spec(short.resource).name.clone(),
            short_by: short.by,
            quota: self.quota_scope(id, set, short.resource),
            holders: short.holders.iter().filter_map(holder).collect(),
        }
    }
}
