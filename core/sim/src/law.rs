//! The laws: what must be true after every step, whatever the world does.
use crate::{
    family::Family,
    operator::Closed,
    spent::{self, Opinion},
    world::Report,
};
use bursar_engine::Engine;
use bursar_interface::{Batch, ClaimId, Command, Event, Phase, Row, What};
use std::collections::{BTreeMap, BTreeSet};

/// Watches the events go by, and looks at the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness {
    /// What was seen so far.
    pub(crate) report: Report,
    /// The highest token given out.
    fence: u64,
    /// Where each claim is in its life: it only moves down.
    phases: BTreeMap<ClaimId, u8>,
    /// First claim of each key of each principal, while it lives.
    keys: BTreeMap<(String, String), ClaimId>,
    /// What each pool had in use after the last step.
    used: BTreeMap<u32, u64>,
    /// What each quota was charged after the last step.
    charged: BTreeMap<u32, u64>,
    /// A second opinion on what is spent.
    opinion: Opinion,
    /// A second opinion on nodes that take nobody.
    closed: Closed,
    /// Who draws from whom.
    family: Family,
}

impl Witness {
    /// Checks what was done.
    pub(crate) fn hear(&mut self, batch: &Batch) -> Result<(), String> {
        self.report.events += batch.events.len() as u64;
        self.every_input_is_answered(batch)?;
        self.opinion.at(batch.at.0);
        for event in &batch.events {
            self.hear_one(batch, event)?;
            self.opinion.hear(batch, event)?;
            self.closed.hear(batch, event);
            self.family.hear(batch, event)?;
        }
        Ok(())
    }

    fn every_input_is_answered(&self, batch: &Batch) -> Result<(), String> {
        let answered: BTreeSet<u32> = batch.events.iter().filter_map(|event| event.cause).collect();
        for (index, input) in (0..).zip(&batch.inputs) {
            if !answered.contains(&index) && input.body != Command::Tick {
                return Err(format!("nothing came of {:?}", input.body));
            }
        }
        Ok(())
    }

    fn hear_one(&mut self, batch: &Batch, event: &Event) -> Result<(), String> {
        match &event.what {
            What::Queued { claim, .. } => {
                self.remember_key(batch, event, *claim);
                self.moves(*claim, 0)
            }
            What::Repeated(_) if Self::is_resize(batch, event) => Ok(()),
            What::Repeated(claim) => self.same_answer(batch, event, *claim),
            What::Granted { claim, fence, .. } => {
                self.report.granted += 1;
                if fence.0 <= self.fence {
                    return Err(format!("fence {fence} of claim {claim} does not rise above {}", self.fence));
                }
                self.fence = fence.0;
                self.moves(*claim, 1)
            }
            What::Draining { claim, .. } => self.moves(*claim, 2),
            What::Closed { claim, .. } => {
                self.moves(*claim, 3)?;
                self.phases.remove(claim);
                Ok(())
            }
            What::Refused(_) => {
                self.report.refused += 1;
                Ok(())
            }
            What::PluginFault { .. } => {
                self.report.faults += 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn moves(&mut self, claim: ClaimId, to: u8) -> Result<(), String> {
        match self.phases.insert(claim, to) {
            Some(from) if from >= to => Err(format!("claim {claim} moved from {from} to {to}")),
            None if to > 0 => Err(format!("claim {claim} came from nowhere")),
            _ => Ok(()),
        }
    }

    /// Whether somebody said again what a lease is to hold.
    fn is_resize(batch: &Batch, event: &Event) -> bool {
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        input.is_some_and(|input| matches!(input.body, Command::Extend { .. } | Command::Shrink { .. }))
    }

    fn key_of(batch: &Batch, event: &Event) -> Option<(String, String)> {
        let input = batch.inputs.get(event.cause? as usize)?;
        let Command::Ask(ask) = &input.body else { return None };
        Some((input.by.root.clone(), ask.key.clone()?))
    }

    fn remember_key(&mut self, batch: &Batch, event: &Event, claim: ClaimId) {
        if let Some(key) = Self::key_of(batch, event) {
            self.keys.insert(key, claim);
        }
    }

    fn same_answer(&self, batch: &Batch, event: &Event, claim: ClaimId) -> Result<(), String> {
        let first = Self::key_of(batch, event).and_then(|key| self.keys.get(&key));
        if first == Some(&claim) {
            Ok(())
        } else {
            Err(format!("a repeated ask was answered {claim}, and {first:?} at first"))
        }
    }

    /// Checks what is there.
    pub(crate) fn look(&mut self, engine: &Engine) -> Result<(), String> {
        if !engine.books().balanced() {
            return Err("the books do not add up".into());
        }
        self.nothing_is_promised_twice(engine)?;
        self.nothing_is_spent_twice(engine)?;
        self.nobody_outstays(engine)?;
        self.closed.look(engine)?;
        self.family.look(engine)?;
        self.report.nested = self.report.nested.max(self.family.len() as u64);
        self.bounds_hold(engine)
    }

    /// What is in use never grows beyond what is offered; it may be above after a supply shrank.
    fn nothing_is_promised_twice(&mut self, engine: &Engine) -> Result<(), String> {
        let view = engine.view();
        let mut used = BTreeMap::new();
        for p in (0..view.pools.len()).filter(|&p| view.pools.id[p] != 0) {
            let (id, now) =
                (view.pools.id[p], view.pools.reserved[p] + view.pools.held[p] + view.pools.quarantined[p]);
            if now > view.pools.offered[p].max(self.used.get(&id).copied().unwrap_or(0)) {
                return Err(format!("pool {id} has {now} in use and offers {}", view.pools.offered[p]));
            }
            used.insert(id, now);
        }
        self.used = used;
        Ok(())
    }

    fn nothing_is_spent_twice(&self, engine: &Engine) -> Result<(), String> {
        let books = engine.books();
        let kind = books.resource(spent::BUDGET).ok_or("the budget is gone")?;
        let (free, left) = (engine.view().resources.free[kind as usize], self.opinion.budget_left());
        if free == left { Ok(()) } else { Err(format!("{free} of the budget is free, and should be {left}")) }
    }

    fn nobody_outstays(&self, engine: &Engine) -> Result<(), String> {
        let (view, now) = (engine.view(), engine.books().at().0);
        for c in (0..view.claims.len()).filter(|&c| view.claims.id[c] != 0) {
            let over = match Phase::of(view.claims.phase[c]) {
                Phase::Pending => view.claims.wait_until[c] <= now,
                Phase::Reserved | Phase::Held => engine.lease_end(c as Row).0 <= now,
                Phase::Draining | Phase::Closed => false,
            };
            if over {
                return Err(format!("claim {} outstays its deadline", view.claims.id[c]));
            }
        }
        Ok(())
    }

    /// What a scope holds never grows beyond its limit; it may be above after the limit was lowered.
    fn bounds_hold(&mut self, engine: &Engine) -> Result<(), String> {
        let view = engine.view();
        let mut charged = BTreeMap::new();
        for q in (0..view.quotas.len()).filter(|&q| view.quotas.id[q] != 0) {
            let (id, now) = (view.quotas.id[q], view.quotas.charged[q]);
            // A bound that is new may find more than it allows.
            let before = self.charged.get(&id).copied().unwrap_or(now);
            if now > view.quotas.limit[q].max(before) {
                return Err(format!("quota {id} is charged {now} of {}", view.quotas.limit[q]));
            }
            charged.insert(id, now);
        }
        self.charged = charged;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_interface::{Decider, Ending, Fence, Home, Input, Principal, Time};

    fn batch(inputs: Vec<Command>, whats: Vec<What>) -> Batch {
        let inputs = inputs.into_iter().map(|body| Input { by: Principal::default(), body }).collect();
        let events = whats.into_iter().map(|what| Event { cause: Some(0), what }).collect();
        Batch { inputs, events, ..Batch::default() }
    }

    fn granted(claim: u64, fence: u64) -> What {
        let by = Decider { plugin: "x".into(), home: Home::Linked }.into();
        What::Granted {
            claim: ClaimId(claim),
            fence: Fence(fence),
            pools: Default::default(),
            lease_until: Time(9),
            by,
        }
    }

    fn queued(claim: u64) -> What {
        What::Queued { claim: ClaimId(claim), scope: Default::default() }
    }

    #[test]
    fn each_broken_law_is_named() {
        let closed = What::Closed { claim: ClaimId(1), ending: Ending::Released };
        let drained = What::Draining { claim: ClaimId(1), ending: Ending::Released };
        for (whats, law) in [
            (vec![queued(1), granted(1, 5), queued(2), granted(2, 5)], "does not rise"),
            (vec![granted(1, 5)], "from nowhere"),
            (vec![queued(1), granted(1, 5), granted(1, 6)], "moved from"),
            (vec![queued(1), granted(1, 5), drained, queued(1)], "moved from"),
            (vec![queued(1), closed.clone(), closed], "from nowhere"),
            (vec![What::Repeated(ClaimId(3))], "repeated"),
        ] {
            let told = Witness::default().hear(&batch(vec![Command::Tick], whats)).expect_err(law);
            assert!(told.contains(law), "{told}");
        }
        let silent = batch(vec![Command::Cancel { claim: ClaimId(1) }], Vec::new());
        assert!(Witness::default().hear(&silent).expect_err("no answer").contains("nothing came of"));
    }
}
