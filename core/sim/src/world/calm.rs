//! The faults have stopped: whoever can be granted is, nobody waits for ever, and all that was lent comes
//! back in bounded time.
use super::{CPU_MILLI, Faults, NODES, SECOND, World, ask::TTL_S};
use crate::{
    law::{Broken, Law, broken, fits},
    spent,
    supply::{node, reclaimed, told},
};
use bursar_interface::{
    ClaimId, Command, Input, Phase, Row,
    bound::{STARVED_NS, TTL_NS_MAX},
};

/// Steps in which clients go on asking, politely.
const POLITE: usize = 40;
/// Steps after which everything must have come back, once nobody asks for more.
const DRAINING: usize = 4000;

impl World {
    /// First clients go on politely; then nobody asks any more.
    pub(super) fn calm_down(&mut self) -> Result<(), Broken> {
        self.faults = Faults::default();
        self.disk.full = 0;
        self.mood.calm_down();
        let fleet = NODES.iter().flat_map(|name| node(name, CPU_MILLI, 16_384, 2, "T4")).map(told).collect();
        self.restart(false, fleet, Faults::default())?;
        self.witness.calm = true;
        for _ in 0..POLITE {
            self.at += self.random.below(5 * SECOND);
            let mut inputs = self.duties();
            (0..self.random.below(3)).for_each(|_| self.politely(&mut inputs));
            self.step(inputs, Faults::default())?;
        }
        self.drain()
    }

    /// Somebody asks, or gives back what is theirs.
    fn politely(&mut self, inputs: &mut Vec<Input>) {
        let held: Vec<_> = self.live().into_iter().filter(|to| to.phase == Phase::Held).collect();
        let body = match held.is_empty() || self.random.chance(1, 2) {
            true => Command::Ask(self.ask()),
            false => {
                let to = *self.random.pick(&held);
                Command::Release { claim: to.claim, fence: to.fence }
            }
        };
        inputs.push(told(body));
    }

    /// What edges that work report of every lease.
    fn duties(&self) -> Vec<Input> {
        let books = self.engine.books();
        let report = |claim: ClaimId, row: Row| match books.phase(row) {
            Phase::Draining => Some(reclaimed(claim)),
            Phase::Reserved | Phase::Held if books.becoming(row) => {
                Some(Command::Enforced { claim, processes: self.engine.bodies(claim).len() as u32 })
            }
            _ => None,
        };
        let live = self.live().into_iter();
        live.filter_map(|to| books.claim(to.claim).and_then(|row| report(to.claim, row))).map(told).collect()
    }

    /// Nobody asks: everything must come back, and whoever waits must have an answer in time. A claim that
    /// fits alone waits at most for each of those that are alive now (their leases, and a period of what is
    /// spent), and until it starves.
    fn drain(&mut self) -> Result<(), Broken> {
        let each = TTL_S * SECOND + spent::LONGEST_NS;
        let latest = self.at + self.engine.books().live() as u64 * each + STARVED_NS;
        for _ in 0..DRAINING {
            let due = self.engine.wake_at().map_or(self.at + 1, |due| due.0);
            self.at = due.clamp(self.at + 1, self.at + TTL_NS_MAX);
            let inputs = self.duties();
            self.step(inputs, Faults::default())?;
            if self.at > latest {
                self.nobody_waits_too_long(latest)?;
            }
            if self.engine.books().live() == 0 {
                return self.all_is_back();
            }
        }
        broken(Law::Return, format!("{} claims never came back", self.engine.books().live()))
    }

    fn nobody_waits_too_long(&self, latest: u64) -> Result<(), Broken> {
        let (books, view) = (self.engine.books(), self.engine.view());
        let waiting = (0..view.claims.len() as Row)
            .filter(|&row| view.claims.id[row as usize] != 0 && books.phase(row) == Phase::Pending);
        match waiting.into_iter().find(|&row| fits::now(&self.engine, row)) {
            None => Ok(()),
            Some(row) => broken(
                Law::Wait,
                format!("claim {} fits and waits beyond {latest} ns", view.claims.id[row as usize]),
            ),
        }
    }

    fn all_is_back(&self) -> Result<(), Broken> {
        let pools = self.engine.view().pools;
        let kept = |p: &usize| pools.reserved[*p] + pools.held[*p] + pools.quarantined[*p] > 0;
        match (0..pools.len()).find(kept) {
            None => Ok(()),
            Some(p) => broken(Law::Return, format!("pool {} is in use by nobody", pools.id[p])),
        }
    }
}
