//! A second opinion on what is spent: written apart from the books, in the other formulation.
//!
//! The rate is the generic cell rate algorithm in its textbook form (a theoretical arrival time, ITU-T
//! I.371), where the books keep a bucket; the budget is a sum per period.
use bursar_engine::Engine;
use bursar_interface::{
    Amount, Batch, ClaimId, Command, Event, LineAsk, PoolSpec, QuotaSpec, Refill, ResourceSpec, Shape, Time,
    What, bound::SETS_MAX,
};
use std::collections::{BTreeMap, VecDeque};

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
/// The longer of the two, in nanoseconds.
pub(crate) const LONGEST_NS: u64 = PERIODS[1];

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

/// Those of the two that a claim has lines of, its own or out of a lease around it.
pub(crate) fn of(engine: &Engine, claim: ClaimId) -> Vec<&'static str> {
    let books = engine.books();
    let has = |name: &&str| {
        let (row, kind) = (books.claim(claim), books.resource(name));
        row.zip(kind).is_some_and(|(row, kind)| books.holds_some(row, kind, None))
    };
    [RATE, BUDGET].into_iter().filter(has).collect()
}

/// What a claim asked for and said it used, of each of the two.
#[derive(Clone, Copy, Debug, Default)]
struct Spender {
    asked: [Amount; 2],
    used: [Option<Amount>; 2],
    /// What those within it draw from it, and spent of it.
    drawn: [Amount; 2],
    /// The claim that it is within.
    around: Option<ClaimId>,
    /// The claim that it draws from, of each of the two.
    parent: [Option<ClaimId>; 2],
    granted: bool,
    /// What each set of lines asks for.
    sets: [[Amount; 2]; SETS_MAX],
    /// Before a change that an edge has not made true, and what it is to come to.
    resizing: Option<[[Amount; 2]; 2]>,
}

impl Spender {
    /// What it comes to where it draws from.
    fn counted(&self, kind: usize) -> Amount {
        match self.used[kind] {
            None => self.asked[kind].max(self.drawn[kind]),
            Some(used) => used + self.drawn[kind],
        }
    }
}

/// What should be spent, by the events alone.
#[derive(Clone, Debug, Default)]
pub(crate) struct Opinion {
    spenders: BTreeMap<ClaimId, Spender>,
    /// Theoretical arrival time of the rate, in amounts times nanoseconds.
    arrival: u128,
    /// What of the rate is not back yet, and whose it is, in the order in which it comes back.
    owed: VecDeque<(ClaimId, Amount)>,
    /// What each claim was charged of the budget, and when the period of that ends.
    charged: BTreeMap<ClaimId, (u64, Amount)>,
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
        let input = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
        match (&event.what, input.map(|input| &input.body)) {
            (What::Queued { claim, .. }, Some(Command::Ask(ask))) => {
                let of = |set: &Vec<LineAsk>| {
                    let sum =
                        |kind| set.iter().filter(|line| line.resource == kind).map(|line| line.amount).sum();
                    [RATE, BUDGET].map(sum)
                };
                let mut sets = [[0; 2]; SETS_MAX];
                let all = std::iter::once(&ask.lines).chain(&ask.alternatives);
                sets.iter_mut().zip(all).for_each(|(cell, set)| *cell = of(set));
                let around = input.and_then(|input| ask.parent(&input.by));
                let outwards = || {
                    std::iter::successors(around, |claim| self.spenders.get(claim).and_then(|at| at.around))
                };
                let has = |kind: usize| {
                    let asks =
                        |claim: &ClaimId| self.spenders.get(claim).is_some_and(|at| at.asked[kind] > 0);
                    outwards().find(asks)
                };
                let parent = [has(0), has(1)];
                let spender = Spender { asked: sets[0], sets, parent, around, ..Spender::default() };
                self.spenders.insert(*claim, spender);
            }
            (What::Chosen { claim, alternative }, _) => {
                if let Some(spender) = self.spenders.get_mut(claim) {
                    spender.asked = spender.sets[*alternative as usize];
                }
            }
            (What::Resizing { claim, .. }, Some(command)) => {
                let Some((before, to)) = self.sized(*claim, command) else { return Ok(()) };
                if let Command::Shrink { .. } = command {
                    self.shrinks(*claim, to)?;
                }
                if let Some(spender) = self.spenders.get_mut(claim) {
                    spender.resizing = Some([before, to]);
                }
                // Only what is more counts at once.
                return self.resized(batch.at.0, *claim, [0, 1].map(|kind| before[kind].max(to[kind])));
            }
            (What::Resized { claim, .. }, Some(command)) => {
                let pending = self.spenders.get_mut(claim).and_then(|spender| spender.resizing.take());
                let known = self.sized(*claim, command).map(|(_, to)| to);
                if let (Command::Shrink { .. }, Some(to)) = (command, known) {
                    self.shrinks(*claim, to)?;
                }
                if let Some(to) = known.or(pending.map(|[_, to]| to)) {
                    return self.resized(batch.at.0, *claim, to);
                }
            }
            (What::ResizeFailed { claim, .. }, _) => {
                let pending = self.spenders.get_mut(claim).and_then(|spender| spender.resizing.take());
                if let Some([before, _]) = pending {
                    return self.resized(batch.at.0, *claim, before);
                }
            }
            (What::Granted { claim, .. }, _) => return self.granted(batch.at.0, *claim),
            (What::Settled(claim), Some(Command::Settle { used, .. })) => {
                used.iter().for_each(|used| self.settled(batch.at.0, *claim, &used.resource, used.amount));
            }
            (What::Closed { claim, .. }, _) => {
                let spender = self.spenders.remove(claim).unwrap_or_default();
                if spender.granted && spender.used[1].is_none() && spender.parent[1].is_none() {
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
        let (asked, parent) = (spender.asked, spender.parent);
        for kind in [0, 1] {
            let Some(around) = parent[kind].and_then(|parent| self.spenders.get(&parent)) else { continue };
            // What is settled has nothing left: others may have it.
            let left = match around.used[kind] {
                None => around.asked[kind].saturating_sub(around.drawn[kind]),
                Some(_) => 0,
            };
            if asked[kind] > left {
                return Err(format!("claim {claim} was granted {} of a slice that has {left}", asked[kind]));
            }
            self.within(now, parent[kind], kind, 0, asked[kind]);
        }
        let from_pool = |kind: usize| if parent[kind].is_none() { asked[kind] } else { 0 };
        let (cells, money) = (from_pool(0), from_pool(1));
        if cells > 0 {
            let now = u128::from(now) * u128::from(CAPACITY);
            let arrival = self.arrival.max(now) + u128::from(cells) * u128::from(PERIODS[0]);
            if arrival - now > u128::from(BURST) * u128::from(PERIODS[0]) {
                return Err(format!("claim {claim} was granted {cells} of a rate before they were back"));
            }
            self.arrival = arrival;
            self.owed.push_back((claim, cells));
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

    /// What a claim holds of the two, and is to hold by what its holder says.
    fn sized(&self, claim: ClaimId, command: &Command) -> Option<([Amount; 2], [Amount; 2])> {
        let (Command::Extend { to, .. } | Command::Shrink { to, .. }) = command else { return None };
        let before = self.spenders.get(&claim)?.asked;
        let named = |kind: &str| to.iter().find(|size| size.resource == kind).map(|size| size.amount);
        Some((before, [named(RATE).unwrap_or(before[0]), named(BUDGET).unwrap_or(before[1])]))
    }

    /// Nobody says to hold less than was spent within already: that is gone.
    fn shrinks(&self, claim: ClaimId, to: [Amount; 2]) -> Result<(), String> {
        let Some(spender) = self.spenders.get(&claim) else { return Ok(()) };
        let below = |&kind: &usize| {
            let least = spender.asked[kind].min(spender.drawn[kind]);
            spender.used[kind].is_none() && to[kind] < least
        };
        match [0, 1].into_iter().find(below) {
            Some(kind) => Err(format!("claim {claim} shrank below the {} within it", spender.drawn[kind])),
            None => Ok(()),
        }
    }

    /// A lease holds so much of the two from now on; what was spent within above that is counted already.
    fn resized(&mut self, now: u64, claim: ClaimId, to: [Amount; 2]) -> Result<(), String> {
        let Some(spender) = self.spenders.get_mut(&claim) else { return Ok(()) };
        let before = std::mem::replace(&mut spender.asked, to);
        let (used, drawn) = (spender.used, spender.drawn);
        let (was, is) = (before[0].max(drawn[0]), to[0].max(drawn[0]));
        if used[0].is_none() && was != is {
            self.recount(now, 0, claim, was, is);
            if is > was && self.rate_owed(now) > u128::from(BURST) * u128::from(PERIODS[0]) {
                return Err(format!("claim {claim} grew by more of a rate than was back"));
            }
        }
        if used[1].is_none() && to[1] != before[1] {
            let there = self.held + self.spent;
            self.held = self.held + to[1] - before[1];
            let beyond = |asked: Amount| drawn[1].saturating_sub(asked);
            self.recount(now, 1, claim, beyond(before[1]), beyond(to[1]));
            if self.held + self.spent > CAPACITY.max(there) {
                return Err(format!("claim {claim} grew to {} of a budget that has less", to[1]));
            }
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
        let was = spender.counted(kind);
        let before = spender.used[kind].replace(used);
        let (is, asked, parent) = (spender.counted(kind), spender.asked[kind], spender.parent[kind]);
        match (parent, before) {
            (Some(_), _) => self.within(now, parent, kind, was, is),
            (None, Some(before)) => self.recount(now, kind, claim, before, used),
            (None, None) if kind == 0 => self.recount(now, kind, claim, was, is),
            (None, None) => {
                self.held -= asked;
                self.recount(now, kind, claim, was - asked, is);
            }
        }
    }

    /// What a claim comes to has changed for the one that it draws from, and for those around that.
    fn within(&mut self, now: u64, parent: Option<ClaimId>, kind: usize, was: Amount, is: Amount) {
        let Some(around) = parent.and_then(|parent| self.spenders.get_mut(&parent)) else { return };
        let before = around.counted(kind);
        around.drawn[kind] = around.drawn[kind] + is - was;
        let (after, above) = (around.counted(kind), around.parent[kind]);
        match above {
            Some(_) => self.within(now, above, kind, before, after),
            None if before == after => {}
            None => {
                if let Some(outermost) = parent {
                    self.recount(now, kind, outermost, before, after);
                }
            }
        }
    }

    /// What was counted as `before` was `used`: what is more is spent as well, what is less is given back as far
    /// as it is not back by itself.
    fn recount(&mut self, now: u64, kind: usize, claim: ClaimId, before: Amount, used: Amount) {
        let (less, more) = (before.saturating_sub(used), used.saturating_sub(before));
        if kind == 1 {
            let (due, charged) = self.charged.get(&claim).copied().unwrap_or_default();
            let charged = if due == self.due { charged } else { 0 };
            let back = less.min(charged);
            self.spent = self.spent - back + more;
            self.charged.insert(claim, (self.due, charged - back + more));
            return;
        }
        let cell = u128::from(PERIODS[0]);
        let mut flowed = self.owed.iter().map(|(_, owed)| *owed).sum::<Amount>();
        flowed -= self.rate_owed(now).div_ceil(cell) as Amount;
        while let Some((_, owed)) = self.owed.front_mut().filter(|_| flowed > 0) {
            let first = flowed.min(*owed);
            (*owed, flowed) = (*owed - first, flowed - first);
            if *owed == 0 {
                self.owed.pop_front();
            }
        }
        let own: Amount = self.owed.iter().filter(|(of, _)| *of == claim).map(|(_, owed)| *owed).sum();
        let mut back = less.min(own);
        let virtual_now = u128::from(now) * u128::from(CAPACITY);
        let arrival = self.arrival.max(virtual_now);
        self.arrival = arrival.saturating_sub(u128::from(back) * cell).max(virtual_now);
        for (_, owed) in self.owed.iter_mut().rev().filter(|(of, _)| *of == claim) {
            let last = back.min(*owed);
            (*owed, back) = (*owed - last, back - last);
        }
        if used >= before {
            // What it owes still is at the end with what is more.
            self.owed.retain(|(of, _)| *of != claim);
            self.owed.push_back((claim, own + more));
            self.arrival += u128::from(more) * cell;
        }
    }

    /// What is owed of the rate, in amounts times nanoseconds.
    fn rate_owed(&self, now: u64) -> u128 {
        self.arrival.saturating_sub(u128::from(now) * u128::from(CAPACITY))
    }

    /// What the rate should let pass at this moment (ns).
    pub(crate) fn rate_left(&self, now: u64) -> Amount {
        let cell = u128::from(PERIODS[0]);
        ((u128::from(BURST) * cell).saturating_sub(self.rate_owed(now)) / cell) as Amount
    }

    /// What the budget should have free.
    pub(crate) fn budget_left(&self) -> Amount {
        CAPACITY.saturating_sub(self.held + self.spent)
    }
}
