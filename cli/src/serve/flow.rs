//! What goes by of each kind, counted where it is folded: what analyzers reckon rates from.
use bursar_engine::Engine;
use bursar_interface::{Amount, ClaimId, Flow, Row, Time, What};

/// Counts by kind since the daemon started.
#[derive(Clone, Debug, Default)]
pub struct Flows(Vec<Flow>);

impl Flows {
    /// The counts, by row of the kind.
    pub fn all(&self) -> &[Flow] {
        &self.0
    }

    /// Counts one event that was folded; `granted` is when the claim was granted, if it was seen.
    pub fn see(&mut self, engine: &Engine, at: Time, what: &What, granted: Option<Time>) {
        match what {
            What::Queued { claim, .. } => self.each(engine, *claim, |flow, _| flow.asked += 1),
            What::Granted { claim, .. } => {
                let asked = asked_at(engine, *claim);
                self.each(engine, *claim, |flow, amount| {
                    flow.granted += 1;
                    flow.amount = flow.amount.saturating_add(amount);
                    flow.waited_ns =
                        flow.waited_ns.saturating_add(asked.map_or(0, |asked| at.0.saturating_sub(asked.0)));
                });
            }
            What::Closed { claim, .. } => {
                let was_granted = engine.closed(*claim).is_some_and(|closed| closed.fence.0 != 0);
                self.each(engine, *claim, |flow, _| match (was_granted, granted) {
                    (false, _) => flow.given_up += 1,
                    (true, Some(granted)) => {
                        flow.ended += 1;
                        flow.held_ns = flow.held_ns.saturating_add(at.0.saturating_sub(granted.0));
                    }
                    // It was granted before this daemon started: how long ago, nobody saw.
                    (true, None) => {}
                });
            }
            _ => {}
        }
    }

    /// Every line of a claim, alive or just gone.
    fn each(&mut self, engine: &Engine, claim: ClaimId, mut count: impl FnMut(&mut Flow, Amount)) {
        let mut line = |resource: Row, amount: Amount| {
            let index = resource as usize;
            while self.0.len() <= index {
                self.0.push(Flow { resource: self.0.len() as Row, ..Flow::default() });
            }
            count(&mut self.0[index], amount);
        };
        let view = engine.view();
        match (engine.books().claim(claim), engine.closed(claim)) {
            (Some(row), _) => {
                let lines = view.claims.line_rows(row).map(|row| row as usize);
                lines.for_each(|l| line(view.lines.resource[l], view.lines.amount[l]));
            }
            (None, Some(closed)) => closed.lines.iter().for_each(|one| line(one.resource, one.amount)),
            (None, None) => {}
        }
    }
}

fn asked_at(engine: &Engine, claim: ClaimId) -> Option<Time> {
    match engine.books().claim(claim) {
        Some(row) => Some(Time(engine.view().claims.asked_at[row as usize])),
        None => engine.closed(claim).map(|closed| closed.asked_at),
    }
}
