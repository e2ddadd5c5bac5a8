//! The smallest change with which a waiting claim would be granted now: tried, not reckoned.
//!
//! A copy of the engine is stepped with the changed ask in the place of the claim, so that whatever decides
//! about grants decides about this as well. Amounts are found by bisection: each is the most that is granted
//! beside the others, so one unit more of any is not.
use crate::{Engine, Plugins, queue::Queue};
use bursar_interface::{
    Amount, Ask, Batch, ClaimId, Command, Fence, Input, LineAsk, Phase, Principal, Proof, Row, Shape, Time,
    Used, What, bound::RESERVE_AFTER_NS,
};
use std::collections::BTreeSet;

/// The oldest claims that are let into the copy beside the first of each line.
const AHEAD_MAX: usize = 64;
/// Steps of the copy until nobody in it wants another.
const SETTLE_MAX: usize = 256;

/// In which way an ask was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relaxed {
    /// Less of what it asks for.
    Less,
    /// From any pool of the kind, not only from the one it names.
    AnyPool,
    /// With others, not alone.
    Shared,
    /// Of any model.
    AnyModel,
    /// With an estimate of its run time that is this short.
    Shorter,
}

/// A change with which a claim would be granted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// In which way.
    pub how: Relaxed,
    /// The whole ask, changed; its scope is a path from the root of the tree.
    pub ask: Ask,
    /// Which of the sets of lines it is that were asked for, from 0.
    pub set: usize,
}

/// A copy of an engine in which asks are tried.
#[derive(Debug)]
pub struct Trial {
    engine: Engine,
    /// The claim that is changed, if it is one.
    of: Option<ClaimId>,
    /// An ask for each set of lines, with the kinds that it is known to be short of; none where it is not known.
    sets: Vec<(Ask, Vec<Row>)>,
    /// The one that is changed.
    ask: Ask,
    short: Vec<Row>,
    /// Those who wait to be granted together with it.
    gang: Vec<ClaimId>,
}

impl Engine {
    /// A copy in which changes of a waiting claim can be tried; `None` if it does not wait. Without the claim,
    /// others may be granted what was kept for it; they are let into the copy first.
    pub fn trial(&self, claim: ClaimId) -> Option<Trial> {
        let row = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)?;
        let ahead = self.ahead();
        let kept_for = ahead.contains(&claim);
        let mut others = if kept_for { self.waiting_since(0) } else { ahead };
        if !kept_for {
            others.push(claim);
        }
        let short = |set: usize| {
            let why = self.why_in(row, self.books.set_rows(row, set));
            why.short.iter().map(|short| short.resource).collect()
        };
        let asks = self.asked_for(row).into_iter().enumerate();
        let sets = asks.map(|(set, ask)| (ask, short(set))).collect();
        let gang = self.gang(claim).unwrap_or_default();
        let gang = gang.iter().map(|other| other.claim).filter(|&other| other != claim).collect();
        Some(Trial { gang, ..Trial::new(self.copy(others), Some(claim), sets) })
    }

    /// A copy in which changes of an ask can be tried that was refused; its scope is a path from the root.
    pub fn trial_of(&self, ask: Ask) -> Trial {
        let ahead = self.ahead();
        let Ask { lines, alternatives, .. } = ask.clone();
        let set = |lines| Ask { key: None, wait_ns: 0, lines, alternatives: Vec::new(), ..ask.clone() };
        let sets = std::iter::once(lines).chain(alternatives).map(|lines| (set(lines), Vec::new()));
        Trial::new(self.copy(ahead), None, sets.collect())
    }

    /// What is held, and some of those who wait.
    fn copy(&self, waiting: Vec<ClaimId>) -> Engine {
        let (books, deciders, claims) = (self.books.clone(), self.deciders.clone(), self.claims);
        let (epoch, fences) = (self.epoch, self.fences);
        let gangs = self.gangs.clone();
        let (kept_for, resizing) = (self.kept_for.clone(), self.resizing.clone());
        let mut engine =
            Engine { books, epoch, fences, claims, deciders, gangs, kept_for, resizing, ..Engine::default() };
        engine.books.renew_views(0);
        engine.let_in(waiting);
        engine
    }

    /// These wait, and nobody else; with one of a gang all of it does.
    fn let_in(&mut self, waiting: Vec<ClaimId>) {
        self.queue = Queue::default();
        self.fresh.clear();
        self.gangs.forget_ranks();
        let mut all: BTreeSet<ClaimId> = waiting.iter().copied().collect();
        let gangs = waiting.into_iter().filter_map(|claim| self.gang(claim));
        all.extend(gangs.flatten().map(|member| member.claim));
        all.into_iter().for_each(|claim| self.fresh.push(claim));
    }

    /// Those for whom something may be kept.
    fn ahead(&self) -> Vec<ClaimId> {
        let mut ahead = self.waiting_since(RESERVE_AFTER_NS);
        let kept_for = self.kept_for.as_ref().map(|head| head.claim).filter(|head| ahead.contains(head));
        ahead.truncate(AHEAD_MAX);
        let firsts = self.queue.foremost();
        ahead.extend(firsts.into_iter().chain(kept_for));
        ahead.sort_unstable();
        ahead.dedup();
        ahead
    }

    /// Those who have waited for so long, who came first first.
    fn waiting_since(&self, patience_ns: u64) -> Vec<ClaimId> {
        let (claims, now) = (&self.books.tables().claims, self.books.at());
        let waits = |c: &usize| claims.id[*c] != 0 && Phase::of(claims.phase[*c]) == Phase::Pending;
        let mut waiting: Vec<ClaimId> = (0..claims.len())
            .filter(waits)
            .filter(|&c| Time(claims.asked_at[c]).after(patience_ns) <= now)
            .map(|c| ClaimId(claims.id[c]))
            .collect();
        waiting.sort_unstable();
        waiting
    }
}

impl Trial {
    fn new(engine: Engine, of: Option<ClaimId>, sets: Vec<(Ask, Vec<Row>)>) -> Trial {
        Trial { engine, of, sets, ask: Ask::default(), short: Vec::new(), gang: Vec::new() }
    }

    /// The smallest changes, each of which would be granted now in the place of the claim; of several sets of lines
    /// whose that gives up least comes first.
    pub fn changes(&mut self, plugins: &mut Plugins) -> Vec<Change> {
        if let Some(claim) = self.of.take() {
            self.told(vec![Command::Cancel { claim }], plugins);
        }
        self.settle(plugins);
        self.keep_ahead_only();
        // What is kept for them is known only once they were tried: else the first ask would pass them.
        self.settle(plugins);
        let mut changes = Vec::new();
        for (set, (ask, short)) in self.sets.clone().into_iter().enumerate() {
            (self.ask, self.short) = (ask, short);
            let found = self.changes_of_set(plugins);
            changes.extend(found.into_iter().map(|(how, ask)| Change { how, ask, set }));
        }
        if self.sets.len() > 1 {
            changes.sort_by_key(|change| self.given_up(change));
        }
        changes
    }

    /// Steps the copy until nobody in it wants to be tried any more.
    fn settle(&mut self, plugins: &mut Plugins) {
        for _ in 0..SETTLE_MAX {
            if self.engine.fresh.len() == 0 && !self.engine.queue.has_ripe() {
                break;
            }
            self.told(vec![Command::Tick], plugins);
        }
    }

    /// How many sets of lines there are.
    pub fn sets(&self) -> usize {
        self.sets.len()
    }

    fn changes_of_set(&mut self, plugins: &mut Plugins) -> Vec<(Relaxed, Ask)> {
        let kinder = self.kinder();
        let mut changes: Vec<(Relaxed, Ask)> =
            kinder.into_iter().filter(|(_, ask)| self.admits(ask, plugins)).collect();
        changes.extend(self.less(plugins).map(|ask| (Relaxed::Less, ask)));
        changes.extend(self.shorter(plugins).map(|ask| (Relaxed::Shorter, ask)));
        changes
    }

    /// Other terms give up nothing; then counts the largest part of a line that is given up, then time.
    fn given_up(&self, change: &Change) -> (u8, u64) {
        let asked = &self.sets[change.set].0.lines;
        let part = |(was, now): (&LineAsk, &LineAsk)| {
            let given_up = u128::from(was.amount.saturating_sub(now.amount));
            ((given_up << 32) / u128::from(was.amount.max(1))) as u64
        };
        match change.how {
            Relaxed::Less => (1, asked.iter().zip(&change.ask.lines).map(part).max().unwrap_or(0)),
            Relaxed::Shorter => (2, 0),
            Relaxed::AnyPool | Relaxed::Shared | Relaxed::AnyModel => (0, 0),
        }
    }

    /// Whoever waits now could be granted nothing: only those matter for whom something may be kept.
    fn keep_ahead_only(&mut self) {
        let ahead = self.engine.ahead().into_iter().chain(self.gang.iter().copied());
        self.engine.let_in(ahead.collect());
    }

    /// The same amounts on other terms.
    fn kinder(&self) -> Vec<(Relaxed, Ask)> {
        let changed = |change: &dyn Fn(&mut LineAsk)| {
            let mut ask = self.ask.clone();
            ask.lines.iter_mut().for_each(change);
            (ask != self.ask).then_some(ask)
        };
        let springs = |line: &LineAsk| {
            self.engine
                .books
                .resource(&line.resource)
                .is_some_and(|row| self.engine.books.spec(row).springs > 0)
        };
        let any_pool = changed(&|line| line.pool = line.pool.take().filter(|_| springs(line)));
        let any_model = changed(&|line| line.models.clear());
        let shared = changed(&|line| {
            if std::mem::take(&mut line.whole) {
                line.amount = 1;
            }
        });
        let all = [(Relaxed::AnyPool, any_pool), (Relaxed::Shared, shared), (Relaxed::AnyModel, any_model)];
        all.into_iter().filter_map(|(how, ask)| Some((how, ask?))).collect()
    }

    /// The most of each kind it is short of that would be granted.
    fn less(&mut self, plugins: &mut Plugins) -> Option<Ask> {
        let mut ask = self.ask.clone();
        let short: Vec<usize> =
            (0..ask.lines.len()).filter(|&line| self.divisible(&ask.lines[line])).collect();
        let asked: Vec<Amount> = short.iter().map(|&line| ask.lines[line].amount).collect();
        for &line in &short {
            ask.lines[line].amount = self.unit(&ask.lines[line]).1;
        }
        if short.is_empty() || !self.admits(&ask, plugins) {
            return None;
        }
        for (&line, &asked) in short.iter().zip(&asked) {
            let (step, least) = self.unit(&ask.lines[line]);
            // Granted with `low` steps, not with `high`.
            let (mut low, mut high) = (least.div_ceil(step), asked.div_ceil(step));
            ask.lines[line].amount = asked;
            if self.admits(&ask, plugins) {
                continue;
            }
            while high - low > 1 {
                let middle = low + (high - low) / 2;
                ask.lines[line].amount = middle * step;
                match self.admits(&ask, plugins) {
                    true => low = middle,
                    false => high = middle,
                }
            }
            ask.lines[line].amount = low * step;
        }
        (ask != self.ask).then_some(ask)
    }

    /// The longest estimate with which it would be let past whoever something is kept for.
    fn shorter(&mut self, plugins: &mut Plugins) -> Option<Ask> {
        const SECOND: u64 = 1_000_000_000;
        let mut ask = Ask { expect_ns: SECOND, ..self.ask.clone() };
        let most = if self.ask.expect_ns == 0 { self.ask.ttl_ns } else { self.ask.expect_ns } / SECOND;
        if most < 2 || !self.admits(&ask, plugins) {
            return None;
        }
        let (mut low, mut high) = (1, most);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            ask.expect_ns = middle * SECOND;
            match self.admits(&ask, plugins) {
                true => low = middle,
                false => high = middle,
            }
        }
        ask.expect_ns = low * SECOND;
        Some(ask)
    }

    /// Whether a line is short of something of which it could do with less.
    fn divisible(&self, line: &LineAsk) -> bool {
        let Some(row) = self.engine.books.resource(&line.resource) else { return false };
        let concerned = self.short.is_empty() || self.short.contains(&row);
        concerned && !line.whole && line.amount > self.unit(line).1
    }

    /// The step of a line's kind and the least of it that can be claimed, in base units.
    fn unit(&self, line: &LineAsk) -> (Amount, Amount) {
        let spec = self.engine.books.resource(&line.resource).map(|row| self.engine.books.spec(row));
        spec.map_or((1, 1), |spec| {
            let step = spec.step.max(1);
            (step, spec.min.max(1).next_multiple_of(step))
        })
    }

    /// Whether an ask would be granted now, and its gang with it. What they were given is taken back as if they
    /// had used nothing.
    pub fn admits(&mut self, ask: &Ask, plugins: &mut Plugins) -> bool {
        // A gang waits no more once it was granted: that is tried on a copy of the copy.
        let before = (!self.gang.is_empty()).then(|| self.engine.clone());
        let admits = self.try_for(ask, plugins);
        if let Some(before) = before {
            self.engine = before;
        }
        admits
    }

    fn try_for(&mut self, ask: &Ask, plugins: &mut Plugins) -> bool {
        // Who is the head may change by what is granted here; that is taken back as well.
        let head = self.engine.kept_for.clone();
        let batch = self.told(vec![Command::Ask(ask.clone())], plugins);
        let queued = batch.events.iter().find_map(|event| match event.what {
            What::Queued { claim, .. } => Some(claim),
            _ => None,
        });
        let granted: Vec<(ClaimId, Fence)> = { batch.events.iter() }
            .filter_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some((claim, fence)),
                _ => None,
            })
            .collect();
        if !granted.iter().any(|(claim, _)| Some(*claim) == queued) {
            return false;
        }
        let used = self.unused(ask);
        let back = |&(claim, fence): &(ClaimId, Fence)| {
            let settle = (!used.is_empty()).then(|| Command::Settle { claim, fence, used: used.clone() });
            let reclaimed = Command::Reclaimed { claim, proof: Proof::default(), over_limit: false };
            settle.into_iter().chain([Command::Release { claim, fence }, reclaimed])
        };
        self.told(granted.iter().flat_map(back).collect(), plugins);
        self.engine.kept_for = head;
        true
    }

    /// Nothing of what is spent by an ask.
    fn unused(&self, ask: &Ask) -> Vec<Used> {
        let spent = ask.lines.iter().filter(|line| {
            let row = self.engine.books.resource(&line.resource);
            row.is_some_and(|row| matches!(self.engine.books.spec(row).shape, Shape::Rate | Shape::Budget))
        });
        spent
            .map(|line| Used { resource: line.resource.clone(), pool: line.pool.clone(), amount: 0 })
            .collect()
    }

    /// Steps the copy at the time it was taken.
    fn told(&mut self, bodies: Vec<Command>, plugins: &mut Plugins) -> Batch {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        self.engine.step(self.engine.books.at(), inputs, plugins)
    }
}
