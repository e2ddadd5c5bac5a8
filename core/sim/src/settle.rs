//! Whether taking back settles: a small installation in a random state, and then nobody asks for anything new.
//! Whoever is preempted asks for the same again, at once, as a controller does that requeues its work. There
//! must come a point from which nothing happens any more, and on the way there the rights of everybody hold,
//! by a second opinion that shares no code with the engine.
use crate::{
    Random,
    supply::{kinds, node, told},
    world::Strategies,
};
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::{
    Amount, Ask, Batch, ClaimId, Claimed, Class, Command, Decider, Ending, Home, Input, LineAsk,
    PreemptionPolicy, QuotaSpec, Time, What, bound::TTL_NS_MAX,
};
use std::collections::{BTreeMap, BTreeSet};

/// Nanoseconds in a second.
const SECOND: u64 = 1_000_000_000;
/// Nanoseconds in a day.
const DAY: u64 = 86_400 * SECOND;
/// Scopes of the installation.
const SCOPES: [&str; 6] = ["a", "a/x", "a/y", "b", "b/z", "c"];
/// Steps after which a run that has not settled never will.
const STEPS_MAX: usize = 4000;
/// Steps in a row in which nothing happened, after which nothing will.
const QUIET: usize = 12;

/// How it settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Steps until then.
    pub steps: u64,
    /// Leases that were told to end.
    pub told: u64,
    /// Of these for the sake of a guarantee.
    pub lent: u64,
    /// Leases that ended.
    pub preempted: u64,
    /// Leases that could go on after all.
    pub spared: u64,
    /// Promises that were kept.
    pub kept: u64,
    /// Promises that were not.
    pub broken: u64,
}

/// What one asked for, and whether it has it.
#[derive(Clone, Debug)]
struct Work {
    ask: Ask,
    held: bool,
}

struct Room {
    engine: Engine,
    copy: Engine,
    at: u64,
    work: BTreeMap<ClaimId, Work>,
    guaranteed: BTreeMap<&'static str, Amount>,
    policy: PreemptionPolicy,
    /// For whom something is kept.
    promised: BTreeSet<ClaimId>,
    /// For whom each lease is to end.
    takers: BTreeMap<ClaimId, ClaimId>,
    settled: Settled,
}

/// As [`settle`], with `best-fit` and `class` of these strategies.
///
/// # Errors
/// Those of [`settle`], and a strategy that is missing.
pub fn settle_with(seed: u64, strategies: Strategies) -> Result<Settled, String> {
    let Strategies { mut allocators, mut qos } = strategies;
    let missing = || "best-fit and class are not there, or nothing beside them".to_owned();
    let best_fit = allocators.iter().position(|(id, _)| id == "best-fit").ok_or_else(missing)?;
    let class = qos.iter().position(|(id, _)| id == "class").ok_or_else(missing)?;
    let ((first, allocator), (of, by_class)) = (allocators.swap_remove(best_fit), qos.swap_remove(class));
    let (Some((then, fallback)), Some((or, other))) = (allocators.pop(), qos.pop()) else {
        return Err(missing());
    };
    let decider = |plugin: String| Decider { plugin, home: Home::Linked };
    let mut plugins = Plugins {
        allocator: Seat::new(decider(first), allocator, decider(then), fallback),
        qos: Seat::new(decider(of), by_class, decider(or), other),
    };
    settle(seed, &mut plugins)
}

/// Lets a random state settle.
///
/// # Errors
/// What was wrong on the way, or that it never did.
pub fn settle(seed: u64, plugins: &mut Plugins) -> Result<Settled, String> {
    let mut random = Random::new(seed);
    let mut room = Room {
        engine: Engine::new(),
        copy: Engine::new(),
        at: SECOND,
        work: BTreeMap::new(),
        guaranteed: BTreeMap::new(),
        policy: PreemptionPolicy::default(),
        promised: BTreeSet::new(),
        takers: BTreeMap::new(),
        settled: Settled::default(),
    };
    room.furnish(&mut random, plugins)?;
    let mut again: Vec<Ask> = Vec::new();
    let mut quiet = 0;
    for _ in 0..STEPS_MAX {
        if again.is_empty() {
            let idle = room.engine.wake_at().filter(|at| at.0 < room.at + DAY);
            match idle {
                Some(at) => room.at = room.at.max(at.0),
                // But for leases that run out in the end.
                None => return Ok(room.settled),
            }
        }
        let asks: Vec<Ask> = std::mem::take(&mut again);
        let inputs = asks.iter().cloned().map(Command::Ask).chain([Command::Tick]).map(told).collect();
        let events = room.step(inputs, &mut again, plugins)?;
        quiet = if events == 0 && room.promised.is_empty() { quiet + 1 } else { 0 };
        if quiet == QUIET {
            return Ok(room.settled);
        }
    }
    Err(format!("still {:?} after {STEPS_MAX} steps", room.settled))
}

impl Room {
    fn furnish(&mut self, random: &mut Random, plugins: &mut Plugins) -> Result<(), String> {
        let mut first = kinds();
        for name in ["n1", "n2"].into_iter().take(1 + random.below(2) as usize) {
            first.extend(node(name, 4 + random.below(12), 1 << 30, 0, ""));
        }
        for scope in SCOPES {
            if random.chance(2, 3) {
                let guaranteed = if random.chance(3, 4) { random.below(9) } else { 0 };
                self.guaranteed.insert(scope, guaranteed);
                first.push(Command::SetQuota(QuotaSpec {
                    scope: scope.into(),
                    resource: "cpu".into(),
                    guaranteed,
                    limit: random.chance(1, 4).then(|| guaranteed + random.below(8)),
                    borrow_limit: random.chance(1, 4).then(|| random.below(8)),
                    lend_limit: random.chance(1, 6).then(|| random.below(8)),
                    ..QuotaSpec::default()
                }));
            }
        }
        let mut again = Vec::new();
        self.step(first.into_iter().map(told).collect(), &mut again, plugins)?;
        for _ in 0..2 + random.below(12) {
            self.at += random.below(3) * SECOND;
            let ask = Self::ask(random);
            self.step(vec![told(Command::Ask(ask))], &mut again, plugins)?;
        }
        self.policy = PreemptionPolicy {
            reclaim: random.chance(3, 4),
            by_band: random.chance(3, 4),
            grace_ns: [random.below(4) * SECOND; 3],
            min_runtime_ns: random.below(6) * SECOND,
            bands: if random.chance(1, 2) { vec![2] } else { Vec::new() },
        };
        self.step(vec![told(Command::SetPreemption(self.policy.clone()))], &mut again, plugins)?;
        for _ in 0..1 + random.below(6) {
            let asks: Vec<Input> = again.drain(..).map(Command::Ask).map(told).collect();
            let asks = asks.into_iter().chain([told(Command::Ask(Self::ask(random)))]).collect();
            self.at += random.below(3) * SECOND;
            self.step(asks, &mut again, plugins)?;
        }
        // Whoever was preempted up to here is gone.
        Ok(())
    }

    fn ask(random: &mut Random) -> Ask {
        let line =
            |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
        let lines = vec![line("cpu", 1 + random.below(6)), line("memory", 1 + random.below(100))];
        Ask {
            scope: (*random.pick(&SCOPES)).into(),
            class: *random.pick(&[Class::Guaranteed, Class::Burstable, Class::BestEffort]),
            priority: random.below(4) as u32,
            wait_ns: TTL_NS_MAX,
            ttl_ns: TTL_NS_MAX,
            lines,
            ..Ask::default()
        }
    }

    fn step(
        &mut self,
        inputs: Vec<Input>,
        again: &mut Vec<Ask>,
        plugins: &mut Plugins,
    ) -> Result<usize, String> {
        let batch = self.engine.step(Time(self.at), inputs, plugins);
        self.copy.fold(&batch);
        if !batch.events.is_empty() && self.engine.digest() != self.copy.digest() {
            return Err("the fold of the events is not the state".into());
        }
        if !self.engine.books().balanced() || !self.engine.books().within_capacity() {
            return Err("the books do not add up".into());
        }
        self.settled.steps += 1;
        self.hear(&batch, again)?;
        Ok(batch.events.len())
    }

    fn hear(&mut self, batch: &Batch, again: &mut Vec<Ask>) -> Result<(), String> {
        for event in &batch.events {
            match &event.what {
                What::Queued { claim, .. } => {
                    let cause = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
                    if let Some(Input { body: Command::Ask(ask), .. }) = cause {
                        self.work.insert(*claim, Work { ask: ask.clone(), held: false });
                    }
                }
                What::Granted { claim, .. } => {
                    self.settled.kept += u64::from(self.promised.remove(claim));
                    self.work.get_mut(claim).ok_or("granted from nowhere")?.held = true;
                }
                What::Promised(promise) => {
                    self.promised.insert(promise.claim);
                }
                What::Unpromised(claim) => {
                    self.promised.remove(claim);
                    self.settled.broken += 1;
                }
                What::Preempting { claim, by, why, .. } => {
                    self.settled.told += 1;
                    self.settled.lent += u64::from(*why == Claimed::Lent);
                    self.takers.insert(*claim, *by);
                    self.rightful(*claim, *by, *why)?;
                }
                What::Spared(_) => self.settled.spared += 1,
                What::LoopBroken { claim, from } => return Err(format!("{claim} and {from} take turns")),
                What::Closed { claim, ending } => {
                    if *ending == Ending::Preempted {
                        self.nobody_falls_below(*claim)?;
                        self.settled.preempted += 1;
                        again.extend(self.work.get(claim).map(|work| work.ask.clone()));
                    }
                    self.work.remove(claim);
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What the work below a scope holds.
    fn held(&self, scope: &str) -> Amount {
        let below = |path: &str| {
            path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let held = self.work.values().filter(|work| work.held && below(&work.ask.scope));
        held.map(|work| work.ask.lines[0].amount).sum()
    }

    /// The scopes of a path that are not of another, from above.
    fn apart<'a>(path: &'a str, other: &str) -> Vec<&'a str> {
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        let above = |scope: &str| {
            other.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        ends.map(|end| &path[..end]).filter(|scope| !above(scope)).collect()
    }

    fn band(&self, ask: &Ask) -> (Class, bool) {
        (ask.class, self.policy.bands.iter().any(|&from| ask.priority < from))
    }

    /// Whether one may take from the other: by a guarantee that covers all that it asks for, or by its band.
    fn rightful(&self, victim: ClaimId, by: ClaimId, why: Claimed) -> Result<(), String> {
        let (Some(theirs), Some(mine)) = (self.work.get(&victim), self.work.get(&by)) else {
            return Err(format!("{by} takes from {victim}, and one of them is not there"));
        };
        match why {
            Claimed::Band if self.band(&mine.ask) < self.band(&theirs.ask) => Ok(()),
            Claimed::Band => Err(format!("{by} takes from {victim} of its own band or a better one")),
            Claimed::Lent => {
                let own = Self::apart(&mine.ask.scope, &theirs.ask.scope);
                let top = own.into_iter().find(|scope| self.guaranteed.get(scope).is_some_and(|&g| g > 0));
                let covered = top.is_some_and(|scope| {
                    self.held(scope) + mine.ask.lines[0].amount <= self.guaranteed[scope]
                });
                if covered { Ok(()) } else { Err(format!("{by} takes from {victim} without a guarantee")) }
            }
        }
    }

    /// Whether each scope that a preempted lease was of borrowed, at the moment when the lease ends.
    fn nobody_falls_below(&self, victim: ClaimId) -> Result<(), String> {
        let by = self.takers.get(&victim).and_then(|by| self.work.get(by));
        let (Some(work), Some(by)) = (self.work.get(&victim), by) else {
            return Err(format!("{victim} ended for nobody who waits"));
        };
        for scope in Self::apart(&work.ask.scope, &by.ask.scope) {
            let guaranteed = self.guaranteed.get(scope).copied().unwrap_or(0);
            if guaranteed > 0 && self.held(scope) <= guaranteed {
                return Err(format!(
                    "{victim} was taken from {scope}, which held no more than its guarantee"
                ));
            }
        }
        Ok(())
    }
}
