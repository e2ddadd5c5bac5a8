//! Whether taking back settles: a small installation in a random state, and then nobody asks for anything new.
//! Whoever is preempted asks for the same again, at once, as a controller does that requeues its work; edges make
//! true what they are told to, or cannot, in time or late. There must come a point from which nothing happens any
//! more, and on the way there the rights of everybody hold, by a second opinion that shares no code with the
//! engine (`rights`).
mod edge;
mod rights;

use crate::{
    Random,
    law::{Broken, Law, broken},
    supply::{kinds, node, told},
    world::Strategies,
};
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::{
    Ask, Batch, Class, Command, Decider, Ending, Home, Input, LineAsk, PreemptionPolicy, QuotaSpec,
    ResourceSpec, Rung, Shape, Time, What, bound::TTL_NS_MAX,
};
use edge::Edge;
use rights::Rights;

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
/// Locks of an installation that has any, and what a lock's pool has.
const LOCKS: [&str; 2] = ["left", "right"];
const WHOLE: u64 = 1 << 20;

/// How it settled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Steps until then.
    pub steps: u64,
    /// Leases that were told to end.
    pub told: u64,
    /// Of these for the sake of a guarantee.
    pub lent: u64,
    /// Leases that were made to hold less.
    pub shrunk: u64,
    /// Leases that were frozen.
    pub suspended: u64,
    /// Of these, leases that went on.
    pub resumed: u64,
    /// Leases that ended.
    pub preempted: u64,
    /// Leases that could go on after all.
    pub spared: u64,
    /// Promises that were kept.
    pub kept: u64,
    /// Promises that were not.
    pub broken: u64,
}

impl Settled {
    /// As many more.
    pub fn add(&mut self, other: &Settled) {
        let Settled { steps, told, lent, shrunk, suspended, resumed, preempted, spared, kept, broken } =
            other;
        for (sum, more) in [
            (&mut self.steps, steps),
            (&mut self.told, told),
            (&mut self.lent, lent),
            (&mut self.shrunk, shrunk),
            (&mut self.suspended, suspended),
            (&mut self.resumed, resumed),
            (&mut self.preempted, preempted),
            (&mut self.spared, spared),
            (&mut self.kept, kept),
            (&mut self.broken, broken),
        ] {
            *sum += more;
        }
    }
}

/// The kind of which each has a name and one holder.
fn locks() -> Command {
    Command::SetResource(ResourceSpec {
        name: "lock".into(),
        shape: Shape::Unit,
        unit: "shares".into(),
        min: 1,
        step: 1,
        piece: 0,
        springs: WHOLE,
        driven: false,
    })
}

struct Room {
    engine: Engine,
    copy: Engine,
    at: u64,
    rights: Rights,
    edge: Edge,
    /// The laws that are looked at; none for all of them.
    laws: Vec<Law>,
    settled: Settled,
    /// Whence asks have locks, in an installation that has any.
    locks: Option<Random>,
}

/// As [`settle`], with `best-fit` and `class` of these strategies.
///
/// # Errors
/// Those of [`settle`], and a strategy that is missing.
pub fn settle_with(seed: u64, strategies: Strategies) -> Result<Settled, String> {
    settle(seed, &mut plugins(strategies)?).map_err(|broken| broken.to_string())
}

/// `best-fit` and `class` of these strategies, as those who decide.
///
/// # Errors
/// When one is missing.
pub fn plugins(strategies: Strategies) -> Result<Plugins, String> {
    let Strategies { mut allocators, mut qos } = strategies;
    let missing = || "best-fit and class are not there, or nothing beside them".to_owned();
    let best_fit = allocators.iter().position(|(id, _)| id == "best-fit").ok_or_else(missing)?;
    let class = qos.iter().position(|(id, _)| id == "class").ok_or_else(missing)?;
    let ((first, allocator), (of, by_class)) = (allocators.swap_remove(best_fit), qos.swap_remove(class));
    let (Some((then, fallback)), Some((or, other))) = (allocators.pop(), qos.pop()) else {
        return Err(missing());
    };
    let decider = |plugin: String| Decider { plugin, home: Home::Linked };
    Ok(Plugins {
        allocator: Seat::new(decider(first), allocator, decider(then), fallback),
        qos: Seat::new(decider(of), by_class, decider(or), other),
    })
}

/// Lets a random state settle.
///
/// # Errors
/// What was wrong on the way, or that it never did.
pub fn settle(seed: u64, plugins: &mut Plugins) -> Result<Settled, Broken> {
    settle_under(seed, &[], plugins)
}

/// As [`settle`], under these laws alone; under all where there are none.
///
/// # Errors
/// Those of [`settle`].
pub fn settle_under(seed: u64, laws: &[Law], plugins: &mut Plugins) -> Result<Settled, Broken> {
    let mut random = Random::new(seed);
    let mut room = Room {
        engine: Engine::new(),
        copy: Engine::new(),
        at: SECOND,
        rights: Rights::default(),
        edge: Edge::new(&mut random),
        laws: laws.to_vec(),
        settled: Settled::default(),
        // Apart from all else that is random, which stays as it was.
        locks: Some(Random::new(seed.wrapping_mul(31))).filter(|_| seed.is_multiple_of(4)),
    };
    room.furnish(&mut random, plugins)?;
    let mut again: Vec<Ask> = Vec::new();
    let mut quiet = 0;
    for _ in 0..STEPS_MAX {
        let mut reports = room.edge.reports();
        if again.is_empty() && reports.is_empty() {
            let idle = room.engine.wake_at().filter(|at| at.0 < room.at + DAY);
            match idle {
                Some(at) => room.at = room.at.max(at.0),
                None if room.edge.owes() => reports = room.edge.all(),
                // But for leases that run out in the end.
                None => return Ok(room.settled),
            }
        }
        let asks: Vec<Ask> = std::mem::take(&mut again);
        let asks = asks.into_iter().map(Command::Ask).chain(reports);
        let inputs = asks.chain([Command::Tick]).map(told).collect();
        let events = room.step(inputs, &mut again, plugins)?;
        let idle = events == 0 && !room.rights.promises_any() && !room.edge.owes();
        quiet = if idle { quiet + 1 } else { 0 };
        if quiet == QUIET {
            return Ok(room.settled);
        }
    }
    broken(Law::Rest, format!("still {:?} after {STEPS_MAX} steps", room.settled))
}

impl Room {
    fn furnish(&mut self, random: &mut Random, plugins: &mut Plugins) -> Result<(), Broken> {
        let mut first = kinds();
        first.extend(self.locks.is_some().then(locks));
        for name in ["n1", "n2"].into_iter().take(1 + random.below(2) as usize) {
            first.extend(node(name, 4 + random.below(12), 1 << 30, 0, ""));
        }
        for scope in SCOPES {
            if random.chance(2, 3) {
                let guaranteed = if random.chance(3, 4) { random.below(9) } else { 0 };
                self.rights.guarantee(scope, guaranteed);
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
            let ask = Command::Ask(self.ask(random));
            let inputs = self.edge.reports().into_iter().chain([ask]).map(told).collect();
            self.step(inputs, &mut again, plugins)?;
        }
        let policy = Self::policy(random);
        self.rights.policy = policy.clone();
        self.step(vec![told(Command::SetPreemption(policy))], &mut again, plugins)?;
        for _ in 0..1 + random.below(6) {
            let asks: Vec<Input> = again.drain(..).map(Command::Ask).map(told).collect();
            let reports = self.edge.reports().into_iter().map(told);
            let ask = told(Command::Ask(self.ask(random)));
            let asks = asks.into_iter().chain(reports).chain([ask]).collect();
            self.at += random.below(3) * SECOND;
            self.step(asks, &mut again, plugins)?;
        }
        // Whoever was preempted up to here is gone.
        Ok(())
    }

    fn policy(random: &mut Random) -> PreemptionPolicy {
        PreemptionPolicy {
            reclaim: random.chance(3, 4),
            by_band: random.chance(3, 4),
            grace_ns: [random.below(4) * SECOND; 3],
            min_runtime_ns: random.below(6) * SECOND,
            bands: if random.chance(1, 2) { vec![2] } else { Vec::new() },
            shrink_ns: random.below(2) * (1 + random.below(4)) * SECOND,
            shrink_to: random.below(101) as u32,
            suspend_ns: random.below(2) * (1 + random.below(60)) * SECOND,
            idle: vec!["cpu".into()],
        }
    }

    fn ask(&mut self, random: &mut Random) -> Ask {
        let line =
            |resource: &str, amount| LineAsk { resource: resource.into(), amount, ..LineAsk::default() };
        let mut lines = vec![line("cpu", 1 + random.below(6)), line("memory", 1 + random.below(100))];
        let lock = self.locks.as_mut().and_then(|locks| locks.chance(1, 3).then(|| *locks.pick(&LOCKS)));
        lines.extend(lock.map(|name| LineAsk {
            pool: Some(name.into()),
            whole: true,
            ..line("lock", WHOLE)
        }));
        Ask {
            scope: (*random.pick(&SCOPES)).into(),
            class: *random.pick(&[Class::Guaranteed, Class::Burstable, Class::BestEffort]),
            priority: random.below(4) as u32,
            wait_ns: TTL_NS_MAX,
            // Some leave by themselves: what they held is room for those who were made to hold less.
            ttl_ns: if random.chance(1, 4) { (1 + random.below(40)) * SECOND } else { TTL_NS_MAX },
            lines,
            ..Ask::default()
        }
    }

    fn step(
        &mut self,
        inputs: Vec<Input>,
        again: &mut Vec<Ask>,
        plugins: &mut Plugins,
    ) -> Result<usize, Broken> {
        let batch = self.engine.step(Time(self.at), inputs, plugins);
        self.copy.fold(&batch);
        if !batch.events.is_empty() && self.engine.digest() != self.copy.digest() {
            return broken(Law::Fold, "the fold of the events is not the state");
        }
        if !self.engine.books().balanced() || !self.engine.books().within_capacity() {
            return broken(Law::Balance, "the books do not add up");
        }
        self.settled.steps += 1;
        self.edge.hear(&batch);
        let heard = self.hear(&batch, again);
        match heard {
            Err(broken) if !self.laws.is_empty() && !self.laws.contains(&broken.law) => {}
            heard => heard?,
        }
        Ok(batch.events.len())
    }

    fn hear(&mut self, batch: &Batch, again: &mut Vec<Ask>) -> Result<(), Broken> {
        let mut first = Ok(());
        for event in &batch.events {
            self.count(&event.what);
            if let What::Closed { claim, ending: Ending::Preempted } = &event.what {
                again.extend(self.rights.ask(*claim));
            }
            let heard = self.rights.hear(&self.engine, batch, event);
            // Later events are heard all the same: the second opinion knows what there is.
            first = first.and(heard);
        }
        first
    }

    fn count(&mut self, what: &What) {
        let settled = &mut self.settled;
        match what {
            What::Granted { claim, .. } => settled.kept += u64::from(self.rights.is_promised(*claim)),
            What::Unpromised(_) => settled.broken += 1,
            What::Preempting { why, .. } => {
                settled.told += 1;
                settled.lent += u64::from(*why == bursar_interface::Claimed::Lent);
            }
            What::Rung { rung: Rung::Shrunk, lines, .. } => settled.shrunk += u64::from(!lines.is_empty()),
            What::Suspended { .. } => settled.suspended += 1,
            What::Resumed { .. } => settled.resumed += 1,
            What::Spared(_) => settled.spared += 1,
            What::Closed { ending: Ending::Preempted, .. } => settled.preempted += 1,
            _ => {}
        }
    }
}
