//! The laws of claims within claims: written apart from the books, by the events and by plain sums.
use bursar_engine::Engine;
use bursar_interface::{Amount, Batch, ClaimId, Command, Event, Phase, Row, Shape, What};
use std::collections::BTreeMap;

/// Who draws from whom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Family {
    parents: BTreeMap<ClaimId, ClaimId>,
}

impl Family {
    /// Checks that nobody closes, or is granted, out of turn.
    pub(crate) fn hear(&mut self, batch: &Batch, event: &Event) -> Result<(), String> {
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        match (&event.what, input.map(|input| (&input.by, &input.body))) {
            (What::Queued { claim, .. }, Some((by, Command::Ask(ask)))) => {
                self.parents.extend(ask.parent(by).map(|parent| (*claim, parent)));
            }
            (What::Closed { claim, .. }, _) => {
                if let Some((child, _)) = self.parents.iter().find(|(_, parent)| *parent == claim) {
                    return Err(format!("claim {claim} closed before claim {child} within it"));
                }
                self.parents.remove(claim);
            }
            _ => {}
        }
        Ok(())
    }

    /// Checks that children have no more than their parents, and live no longer.
    pub(crate) fn look(&self, engine: &Engine) -> Result<(), String> {
        let books = engine.books();
        let mut drawn: BTreeMap<(ClaimId, Row), Amount> = BTreeMap::new();
        for (&child, &parent) in &self.parents {
            let row = books.claim(child).ok_or_else(|| format!("claim {child} is gone unheard"))?;
            let around = books.claim(parent).ok_or_else(|| format!("claim {child} outlives {parent}"))?;
            let phases = (books.phase(around), books.phase(row));
            if phases.0 == Phase::Pending || phases.0 == Phase::Draining && phases.1 < Phase::Draining {
                return Err(format!("claim {child} is {:?} within {parent}, {:?}", phases.1, phases.0));
            }
            if phases.1 > Phase::Pending {
                let lines = books.inner(row);
                lines
                    .iter()
                    .for_each(|line| *drawn.entry((line.of, line.resource)).or_default() += line.amount);
            }
        }
        for (&(parent, kind), &sum) in &drawn {
            let row = books.claim(parent).ok_or("the parent is gone")?;
            let (shape, has) = (books.spec(kind).shape, books.asked_in_all(row, kind));
            if matches!(shape, Shape::Capacity | Shape::Unit) && sum > has {
                return Err(format!("{sum} of kind {kind} are drawn from {has} of claim {parent}"));
            }
        }
        Ok(())
    }

    /// How many draw from others now.
    pub(crate) fn len(&self) -> usize {
        self.parents.len()
    }
}
