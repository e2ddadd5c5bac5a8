//! A second opinion on what is spent: written apart from the books, in the other formulation.
//!
//! The rate is the generic cell rate algorithm in its textbook form (a theoretical arrival time, ITU-T
//! I.371), where the books keep a bucket; the budget is a sum per period.
use bursar_interface::{
    Amount, Batch, ClaimId, Command, Event, PoolSpec, QuotaSpec, Refill, ResourceSpec, Shape, Time, What,
};
use std::collections::BTreeMap;

/// A kind that flows back.
pub(crate) const RATE: &str = "tokens";
/// A kind that comes back when its period ends.
pub(crate) const BUDGET: &str = "usd";
/// What may be spent of each in a period.
const CAPACITY: Amount = 100;
/// What may be spent of the rate at once.
const BURST: Amount = 50;
/// The rate's and the budget's periods, in nanoseconds.
const PERIODS: [u64; 2] = [7_000_000_000, 60_000_000_000];

/// The kinds and the pools that the world has of them.
pub(crate) fn kinds() -> Vec<Command> {
    let kinds = [(RATE, Shape::Rate, PERIODS[0], BURST), (BUDGET, Shape::Budget, PERIODS[1], 0)];
    let set = |(name, shape, period_ns, burst): (&str, Shape, u64, Amount)| {
        let (unit, min, step, piece, springs, driven) = ("pieces".into(), 1, 1, 0, 0, false);
        let kind = ResourceSpec { name: name.into(), shape, unit, min, step, piece, springs, driven };
        let refill = Refill { period_ns, burst, due: Time(0) };
        let (resource, capacity) = (name.to_owned(), CAPACITY);
        let pool = PoolSpec { resource, name: "acct".into(), capacity, refill, ..PoolSpec::default() };
        [Command::SetResource(kind), Command::SetPool(pool)]
    };
    kinds.into_iter().flat_map(set).collect()
}

/// What a scope is assured of the rate, and how much of that it lends.
pub(crate) fn assured(scope: &str, guaranteed: Amount, lend_limit: Option<Amount>) -> Command {
    let refill = Refill { period_ns: PERIODS[0], ..Refill::default() };
    let (scope, resource) = (scope.to_owned(), RATE.to_owned());
    Command::SetQuota(QuotaSpec { scope, resource, guaranteed, lend_limit, refill, ..QuotaSpec::default() })
}

/// What a claim asked for and said it used, of each of the two.
#[derive(Clone, Copy, Debug, Default)]
struct Spender {
    asked: [Amount; 2],
    used: [Option<Amount>; 2],
    granted: bool,
}

/// What should be spent, by the events alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opinion {
    spenders: BTreeMap<ClaimId, Spender>,
    /// Theoretical arrival time of the rate, in amounts times nanoseconds.
    arrival: u128,
    /// When the budget's period ends (ns), and what was spent in it and is held for it.
    due: u64,
    spent: Amount,
    held: Amount,
}

impl Opinion {
    /// Time has come to `at`.
    pub(crate) fn at(&mut self, at: u64) {
        if self.due == 0 {
            self.due = at + PERIODS[1];
        }
        while at >= self.due {
            (self.due, self.spent) = (self.due + PERIODS[1], 0);
        }
    }

    /// Checks and counts what an event spends.
    pub(crate) fn hear(&mut self, batch: &Batch, event: &Event) -> Result<(), String> {
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize)).map(|input| &input.body);
        match (&event.what, input) {
            (What::Queued { claim, .. }, Some(Command::Ask(ask))) => {
                let asked = [RATE, BUDGET].map(|kind| {
                    ask.lines.iter().filter(|line| line.resource == kind).map(|line| line.amount).sum()
                });
                self.spenders.insert(*claim, Spender { asked, ..Spender::default() });
            }
            (What::Granted { claim, .. }, _) => return self.granted(batch.at.0, *claim),
            (What::Settled(claim), Some(Command::Settle { used, .. })) => {
                used.iter().for_each(|used| self.settled(batch.at.0, *claim, &used.resource, used.amount));
            }
            (What::Closed { claim, .. }, _) => {
                let spender = self.spenders.remove(claim).unwrap_or_default();
                if spender.granted && spender.used[1].is_none() {
                    self.held -= spender.asked[1];
                    self.spent += spender.asked[1];
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn granted(&mut self, now: u64, claim: ClaimId) -> Result<(), String> {
        let Some(spender) = self.spenders.get_mut(&claim) else { return Ok(()) };
        spender.granted = true;
        let (cells, money) = (spender.asked[0], spender.asked[1]);
        if cells > 0 {
            let now = u128::from(now) * u128::from(CAPACITY);
            let arrival = self.arrival.max(now) + u128::from(cells) * u128::from(PERIODS[0]);
            if arrival - now > u128::from(BURST) * u128::from(PERIODS[0]) {
                return Err(format!("claim {claim} was granted {cells} of a rate before they were back"));
            }
            self.arrival = arrival;
        }
        self.held += money;
        if money > 0 && self.held + self.spent > CAPACITY {
            return Err(format!(
                "claim {claim} was granted {money} of a budget that has {} spent and {} held",
                self.spent,
                self.held - money
            ));
        }
        Ok(())
    }

    fn settled(&mut self, now: u64, claim: ClaimId, resource: &str, used: Amount) {
        let Some(spender) = self.spenders.get_mut(&claim) else { return };
        let kind = match resource {
            RATE if spender.asked[0] > 0 => 0,
            BUDGET if spender.asked[1] > 0 => 1,
            _ => return,
        };
        let before = spender.used[kind].replace(used);
        if kind == 1 {
            match before {
                None => self.held -= spender.asked[1],
                Some(before) => self.spent = self.spent.saturating_sub(before),
            }
            self.spent += used;
        } else {
            let cell = u128::from(PERIODS[0]);
            let now = u128::from(now) * u128::from(CAPACITY);
            let counted = u128::from(before.unwrap_or(spender.asked[0]));
            // What has flowed back already cannot be given back again.
            let without = self.arrival.max(now).saturating_sub(counted * cell).max(now);
            self.arrival = without + u128::from(used) * cell;
        }
    }

    /// What the budget should have free.
    pub(crate) fn budget_left(&self) -> Amount {
        CAPACITY.saturating_sub(self.held + self.spent)
    }
}
