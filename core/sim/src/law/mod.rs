//! The laws: what must be true after every step, whatever the world does. Each has a name, and the letters in
//! brackets are those of the house's list of invariants: no overcommit (I1), one owner (I2), token order (I3),
//! fencing (I4), return (I5), conservation (I6), durability (I7), time (I8), budget (I9), bounded wait (I10),
//! idempotence (I13), determinism (I15), no wait cycle (I11), honest admission (I16), one epoch (I18), contained plugins (I19: all
//! of these in spite of them), and that giving back always works (I20).
mod blame;
mod broken;
pub(crate) mod fits;
mod life;
mod line;
mod measured;
mod place;
mod supply;

pub(crate) use broken::broken;
pub use broken::{Broken, Law};

use crate::{
    circled::Circled,
    family::Family,
    ganged::Gangs,
    operator::Closed,
    spent::{self, Opinion},
    world::{Fault, Faults, Report},
};
use blame::Blamed;
use bursar_engine::Engine;
use bursar_interface::{Batch, ClaimId, Command, What};
use life::Lives;
use line::Head;
use measured::Measured;
use std::collections::BTreeSet;
use supply::Before;

/// Watches the events go by, and looks at the state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Witness {
    /// What was seen so far.
    pub(crate) report: Report,
    /// The faults have stopped.
    pub(crate) calm: bool,
    /// What can go wrong until then.
    faults: Faults,
    /// Whether the qos ranks by class, priority and age alone.
    by_class: bool,
    lives: Lives,
    /// What was in use after the last step.
    before: Before,
    /// Who had waited longest after the last step.
    head: Option<Head>,
    /// What the batch that was heard last was made of.
    heard: Heard,
    /// A second opinion on what is spent.
    opinion: Opinion,
    /// A second opinion on what was used.
    measured: Measured,
    /// A second opinion on gangs.
    gangs: Gangs,
    /// A second opinion on nodes that take nobody.
    closed: Closed,
    /// Who draws from whom.
    family: Family,
    /// What waits are charged to.
    blamed: Blamed,
    /// A second opinion on circles.
    circled: Circled,
}

/// What some laws depend on.
#[derive(Clone, Debug, Default)]
struct Heard {
    /// Supplies and bounds are what they were.
    settled: bool,
    /// Nobody came or went but by waiting and being granted.
    only_grants: bool,
    granted: Vec<ClaimId>,
    queued: Vec<ClaimId>,
}

impl Witness {
    /// A witness of a world in which this can go wrong.
    pub(crate) fn new(faults: Faults, by_class: bool) -> Witness {
        Witness { faults, by_class, ..Witness::default() }
    }

    /// Checks what was done.
    pub(crate) fn hear(&mut self, batch: &Batch) -> Result<(), Broken> {
        self.report.events += batch.events.len() as u64;
        every_input_is_answered(batch)?;
        self.report.ganged += self.gangs.hear(batch).or_else(|why| broken(Law::Gang, why))?;
        self.report.circles += self.circled.hear(batch).or_else(|why| broken(Law::Circle, why))?;
        self.opinion.at(batch.at.0);
        let sets = |body: &Command| {
            matches!(
                body,
                Command::SetNode(_)
                    | Command::SetPool(_)
                    | Command::SetQuota(_)
                    | Command::SetScope(_)
                    | Command::SetResource(_)
                    | Command::Apply(_)
                    | Command::Share { .. }
                    | Command::Start { .. }
            )
        };
        self.heard.settled = !batch.inputs.iter().any(|input| sets(&input.body));
        self.heard.only_grants = self.heard.settled;
        self.heard.granted.clear();
        self.heard.queued.clear();
        for event in &batch.events {
            match &event.what {
                What::Granted { claim, .. } => {
                    self.report.granted += 1;
                    self.heard.granted.push(*claim);
                }
                What::Refused(_) => self.report.refused += 1,
                What::PluginFault { .. } => self.report.faults += 1,
                What::Queued { claim, .. } => self.heard.queued.push(*claim),
                What::Waiting { .. } | What::Repeated(_) | What::PoolSprang { .. } => {}
                _ => self.heard.only_grants = false,
            }
            self.lives.hear(batch, event)?;
            self.measured.hear(batch, event)?;
            self.opinion.hear(batch, event).or_else(|why| broken(Law::Budget, why))?;
            self.closed.hear(batch, event);
            self.family.hear(batch, event).or_else(|why| broken(Law::Slice, why))?;
        }
        Ok(())
    }

    /// Checks what waits are charged to; `engine` has folded the batch.
    pub(crate) fn weigh(&mut self, engine: &Engine, batch: &Batch) -> Result<(), Broken> {
        self.blamed.hear(engine, batch).or_else(|why| broken(Law::Blame, why))
    }

    /// What waits are charged to is read back from where it was written.
    pub(crate) fn restart(&mut self) -> Result<(), Broken> {
        self.blamed.restart().or_else(|why| broken(Law::Blame, why))
    }

    /// Checks what is there.
    pub(crate) fn look(&mut self, engine: &mut Engine) -> Result<(), Broken> {
        if !engine.books().balanced() {
            return broken(Law::Balance, "the books do not add up");
        }
        self.lives.are(engine)?;
        self.lives.nobody_outstays(engine.books().at().0)?;
        self.before.look(engine, self.heard.settled)?;
        // What nodes were told says more than what they are.
        self.closed.look(engine).or_else(|why| broken(Law::Drain, why))?;
        place::all_are_lawful(engine, &self.heard.granted, self.heard.settled)?;
        if self.heard.settled {
            place::all_can_fit(engine, &self.heard.queued)?;
        }
        self.nothing_is_spent_twice(engine)?;
        self.measured.look(engine)?;
        self.family.look(engine).or_else(|why| broken(Law::Slice, why))?;
        self.circled.look(engine).or_else(|why| broken(Law::Circle, why))?;
        self.report.heirs += self.circled.heirs(engine).or_else(|why| broken(Law::Heir, why))?;
        self.report.nested = self.report.nested.max(self.family.len() as u64);
        let truthful = self.calm || !self.faults.any(&[Fault::Lie, Fault::Mute]);
        if truthful && engine.wake_at().is_none_or(|at| at > engine.books().at()) {
            line::nobody_is_forgotten(engine)?;
        }
        let ordered = !self.faults.any(&[Fault::Lie, Fault::Mute, Fault::Slow, Fault::Panic, Fault::Dice]);
        let head = Head::of(engine);
        if let (true, Some(before), Some(now)) = (ordered && self.heard.only_grants, &self.head, &head) {
            // Who holds what others wait for goes before the head.
            let granted = &self.heard.granted;
            if !granted.iter().any(|&claim| self.circled.is_incremental(engine, claim)) {
                before.is_not_delayed(now, engine, granted, self.by_class)?;
            }
        }
        self.head = head;
        Ok(())
    }

    fn nothing_is_spent_twice(&self, engine: &Engine) -> Result<(), Broken> {
        let now = engine.books().at().0;
        for (name, left) in
            [(spent::BUDGET, self.opinion.budget_left()), (spent::RATE, self.opinion.rate_left(now))]
        {
            let kind = engine.books().resource(name);
            let free = kind.map_or(0, |kind| engine.view().resources.free[kind as usize]);
            if free != left {
                return broken(Law::Budget, format!("{free} of {name} is free, and should be {left}"));
            }
        }
        Ok(())
    }
}

fn every_input_is_answered(batch: &Batch) -> Result<(), Broken> {
    let answered: BTreeSet<u32> = batch.events.iter().filter_map(|event| event.cause).collect();
    for (index, input) in (0..).zip(&batch.inputs) {
        if !answered.contains(&index) && input.body != Command::Tick {
            return broken(Law::Answer, format!("nothing came of {:?}", input.body));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
