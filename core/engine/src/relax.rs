//! The smallest change with which a waiting claim would be granted now: tried, not reckoned.
//!
//! A copy of the engine is stepped with the changed ask in the place of the claim, so that whatever decides
//! about grants decides about this as well. Amounts are found by bisection: each is the most that is granted
//! beside the others, so one unit more of any is not.
use crate::{Engine, Plugins, queue::Queue};
use bursar_interface::{
    Amount, Ask, ClaimId, Command, Fence, Input, LineAsk, NONE, Phase, Principal, Proof, Row, Shape, Time,
    Used, What, Within, bound::RESERVE_AFTER_NS,
};

/// Claims for which something may be kept, and which are let into the copy for that.
const AHEAD_MAX: usize = crate::sticky::HEADS_MAX;
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
}

/// A copy of an engine in which asks are tried.
#[derive(Debug)]
pub struct Trial {
    engine: Engine,
    /// The claim that is changed, if it is one.
    of: Option<ClaimId>,
    ask: Ask,
    /// Kinds that it is known to be short of; empty where it is not known.
    short: Vec<Row>,
}

impl Engine {
    /// A copy in which changes of a waiting claim can be tried; `None` if it does not wait. Without the claim,
    /// others may be granted what was kept for it; they are let into the copy first.
    pub fn trial(&self, claim: ClaimId) -> Option<Trial> {
        let row = self.books.claim(claim).filter(|&row| self.books.phase(row) == Phase::Pending)?;
        let mut ahead = self.waiting_since(RESERVE_AFTER_NS);
        ahead.truncate(AHEAD_MAX);
        let kept_for = ahead.contains(&claim);
        let mut others = if kept_for { self.waiting_since(0) } else { ahead };
        if !kept_for {
            others.push(claim);
        }
        let short = self.why(row).short.iter().map(|short| short.resource).collect();
        Some(Trial { engine: self.copy(others), of: Some(claim), ask: self.asked_for(row), short })
    }

    /// A copy in which changes of an ask can be tried that was refused; its scope is a path from the root.
    pub fn trial_of(&self, ask: Ask) -> Trial {
        let mut ahead = self.waiting_since(RESERVE_AFTER_NS);
        ahead.truncate(AHEAD_MAX);
        let ask = Ask { key: None, wait_ns: 0, ..ask };
        Trial { engine: self.copy(ahead), of: None, ask, short: Vec::new() }
    }

    /// What is held, and some of those who wait.
    fn copy(&self, waiting: Vec<ClaimId>) -> Engine {
        let (books, deciders, claims) = (self.books.clone(), self.deciders.clone(), self.claims);
        let (epoch, fences) = (self.epoch, self.fences);
        let mut engine = Engine { books, epoch, fences, claims, deciders, ..Engine::default() };
        engine.books.renew_views(0);
        waiting.into_iter().for_each(|claim| engine.fresh.push(claim));
        engine
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

    /// What a claim asked for, as it would be asked again.
    fn asked_for(&self, row: Row) -> Ask {
        let (tables, c) = (self.books.tables(), row as usize);
        let (claims, lines) = (&tables.claims, &tables.lines);
        let terms = |bits: u64| self.books.label_terms(bits).into_iter().map(str::to_owned).collect();
        let mut asked: Vec<LineAsk> = Vec::new();
        let outer = claims.line_rows(row).map(|line| line as usize);
        let outer = outer.map(|l| (lines.resource[l], lines.want[l], lines.models[l], lines.amount[l]));
        let inner = self.books.inner(row).iter();
        let inner = inner.map(|line| (line.resource, line.want, line.models, line.amount));
        for (resource, want, models, amount) in outer.chain(inner) {
            let spec = self.books.spec(resource);
            let pool = (want != NONE).then(|| self.books.pool_name(want).to_owned());
            let line = LineAsk {
                resource: spec.name.clone(),
                amount,
                whole: spec.springs > 0 && amount == spec.springs,
                pool,
                models: terms(models),
            };
            let same = |other: &&mut LineAsk| {
                (&other.resource, &other.pool, &other.models) == (&line.resource, &line.pool, &line.models)
            };
            match asked.iter_mut().find(same) {
                Some(other) => other.amount += line.amount,
                None => asked.push(line),
            }
        }
        let path = |scope: Row| self.books.scope_path(scope).to_string();
        // The scope of a claim within another is a path below that one's.
        let parent = self.books.parent_row(row);
        let root = parent.map_or_else(String::new, |parent| path(claims.scope[parent as usize]));
        let scope = path(claims.scope[c]);
        let below = scope.strip_prefix(root.as_str()).unwrap_or(&scope).trim_start_matches('/');
        let within = parent.map(|parent| Within::Lease(ClaimId(claims.id[parent as usize]), None));
        Ask {
            within: within.unwrap_or_default(),
            scope: below.to_owned(),
            class: bursar_interface::Class::of(claims.class[c]),
            priority: claims.priority[c],
            ttl_ns: claims.ttl[c],
            expect_ns: claims.expect[c],
            lines: asked,
            need: terms(claims.need[c]),
            bar: terms(claims.bar[c]),
            apart: (claims.apart[c] != NONE).then(|| path(claims.apart[c])),
            ..Ask::default()
        }
    }
}

impl Trial {
    /// The smallest changes, each of which would be granted now in the place of the claim.
    pub fn changes(&mut self, plugins: &mut Plugins) -> Vec<Change> {
        if let Some(claim) = self.of.take() {
            self.told(vec![Command::Cancel { claim }], plugins);
        }
        for _ in 0..SETTLE_MAX {
            if self.engine.fresh.len() == 0 && !self.engine.queue.has_ripe() {
                break;
            }
            self.told(vec![Command::Tick], plugins);
        }
        self.keep_ahead_only();
        let mut changes = Vec::new();
        for (how, ask) in self.kinder() {
            if self.admits(&ask, plugins) {
                changes.push(Change { how, ask });
            }
        }
        changes.extend(self.less(plugins).map(|ask| Change { how: Relaxed::Less, ask }));
        changes.extend(self.shorter(plugins).map(|ask| Change { how: Relaxed::Shorter, ask }));
        changes
    }

    /// Whoever waits now could be granted nothing: only those matter for whom something may be kept.
    fn keep_ahead_only(&mut self) {
        let mut ahead = self.engine.waiting_since(RESERVE_AFTER_NS);
        ahead.truncate(AHEAD_MAX);
        self.engine.queue = Queue::default();
        self.engine.fresh.clear();
        ahead.into_iter().for_each(|claim| self.engine.fresh.push(claim));
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

    /// Whether an ask would be granted now. What it was given is taken back as if it had used nothing.
    pub fn admits(&mut self, ask: &Ask, plugins: &mut Plugins) -> bool {
        let batch = self.told(vec![Command::Ask(ask.clone())], plugins);
        let Some((claim, fence)) = batch else { return false };
        let spent = ask.lines.iter().filter(|line| {
            let row = self.engine.books.resource(&line.resource);
            row.is_some_and(|row| matches!(self.engine.books.spec(row).shape, Shape::Rate | Shape::Budget))
        });
        let used =
            spent.map(|line| Used { resource: line.resource.clone(), pool: line.pool.clone(), amount: 0 });
        let used: Vec<Used> = used.collect();
        let mut back = vec![Command::Release { claim, fence }];
        if !used.is_empty() {
            back.insert(0, Command::Settle { claim, fence, used });
        }
        back.push(Command::Reclaimed { claim, proof: Proof::default(), over_limit: false });
        self.told(back, plugins);
        true
    }

    /// Steps the copy at the time it was taken; says what was granted.
    fn told(&mut self, bodies: Vec<Command>, plugins: &mut Plugins) -> Option<(ClaimId, Fence)> {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        let batch = self.engine.step(self.engine.books.at(), inputs, plugins);
        let queued = batch.events.iter().find_map(|event| match event.what {
            What::Queued { claim, .. } => Some(claim),
            _ => None,
        })?;
        batch.events.iter().find_map(|event| match event.what {
            What::Granted { claim, fence, .. } if claim == queued => Some((claim, fence)),
            _ => None,
        })
    }
}
