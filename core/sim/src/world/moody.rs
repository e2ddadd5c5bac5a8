//! Strategies with moods: they panic, lie, come too late or say nothing, in front of fallbacks that do not.
use super::{
    Strategies,
    fault::{Fault as Wrong, Faults},
};
use crate::Random;
use bursar_engine::{Plugins, Seat};
use bursar_interface::{
    Allocator, Decider, Discipline, Fault, FaultKind, Home, NONE, Plan, Qos, Rank, Row, View,
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU32, Ordering},
};

/// What the strategies of one world have in common: which moods they may have, and which they had.
#[derive(Clone)]
pub(super) struct Mood {
    random: Random,
    faults: Faults,
    calm: Arc<AtomicBool>,
    seen: Arc<AtomicU32>,
}

impl Mood {
    pub(super) fn new(faults: Faults, random: &mut Random) -> Mood {
        let random = Random::new(random.word());
        Mood { random, faults, calm: Arc::default(), seen: Arc::default() }
    }

    /// From here on every strategy does its work.
    pub(super) fn calm_down(&self) {
        self.calm.store(true, Ordering::Relaxed);
    }

    /// The moods since the last look.
    pub(super) fn seen(&self) -> Faults {
        Faults::from_word(self.seen.swap(0, Ordering::Relaxed))
    }

    /// One mood of these now, or none.
    fn strikes(&mut self, moods: &[Wrong]) -> Option<Wrong> {
        let mood = moods.get(self.random.below(3 * moods.len() as u64) as usize).copied()?;
        let strikes = self.faults.has(mood) && !self.calm.load(Ordering::Relaxed);
        strikes.then(|| {
            let mut seen = Faults::default();
            seen.add(mood);
            self.seen.fetch_or(seen.word(), Ordering::Relaxed);
            mood
        })
    }
}

/// A strategy with moods.
struct Moody<T> {
    strategy: T,
    mood: Mood,
}

impl Allocator for Moody<Box<dyn Allocator>> {
    fn place(&mut self, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
        match self.mood.strikes(&[Wrong::Panic, Wrong::Mute, Wrong::Lie, Wrong::Slow]) {
            Some(Wrong::Panic) => Err(Fault::of(FaultKind::Panicked, "a bad day")),
            Some(Wrong::Mute) => Ok(()),
            Some(Wrong::Lie) => {
                lie(&mut self.mood.random, view, queue, plan);
                Ok(())
            }
            Some(_) => {
                self.strategy.place(view, queue, plan)?;
                Err(Fault::of(FaultKind::Overrun, "thinking"))
            }
            None => self.strategy.place(view, queue, plan),
        }
    }
}

/// Proposes what no allocator may.
fn lie(random: &mut Random, view: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) {
    let pools = view.pools.len() as u64;
    for &claim in queue {
        let line = view.claims.first_line[claim as usize];
        let amount = view.lines.amount[line as usize];
        let (pool, node) = (random.below(pools) as Row, random.below(view.nodes.len() as u64 + 2) as Row);
        match random.below(6) {
            // Somewhere, so much: now and then it is right.
            0 => plan.take(claim, line, pool, node, amount),
            1 => plan.take(claim, line, pool, NONE, random.below(5000)),
            // Of somebody who was not offered, of nobody, and on no node.
            2 => plan.take(random.below(view.claims.len() as u64 + 2) as Row, line, pool, node, amount),
            3 => plan.take(claim, Row::MAX, pool, NONE - 1, 1),
            // Twice the same.
            4 => plan.take(claim, line, pool, node, amount) && plan.take(claim, line, pool, node, amount),
            // All of it on one node, whether it takes claims or not.
            _ => view.claims.line_rows(claim).all(|line| {
                let kind = view.lines.resource[line as usize];
                let on = |pool: &Row| {
                    let p = *pool as usize;
                    view.pools.resource[p] == kind && [NONE, node].contains(&view.pools.node[p])
                };
                let of_kind: Vec<Row> = (0..pools as Row).filter(on).collect();
                let pool = if of_kind.is_empty() { pool } else { *random.pick(&of_kind) };
                plan.take(claim, line, pool, node, view.lines.amount[line as usize])
            }),
        };
    }
}

impl Qos for Moody<Box<dyn Qos>> {
    fn discipline(&self) -> Discipline {
        self.strategy.discipline()
    }

    fn rank(&mut self, view: &View<'_>, pending: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
        let random = &mut self.mood.random.clone();
        match self.mood.strikes(&[Wrong::Panic, Wrong::Slow, Wrong::Dice]) {
            Some(Wrong::Panic) => Err(Fault::of(FaultKind::Panicked, "a bad day")),
            Some(Wrong::Dice) => {
                let dice = |rank: &mut Rank| *rank = Rank { tier: random.below(3), share: random.below(3) };
                ranks.iter_mut().for_each(dice);
                Ok(())
            }
            Some(_) => {
                self.strategy.rank(view, pending, ranks)?;
                Err(Fault::of(FaultKind::Overrun, "thinking"))
            }
            None => self.strategy.rank(view, pending, ranks),
        }
    }
}

/// An allocator that is swapped in and out, with its name.
pub(super) type Spare = (String, Box<dyn Allocator>);

/// The strategies of a world, and one to swap in where there are enough.
pub(super) fn plugins(
    mut strategies: Strategies,
    random: &mut Random,
    mood: &Mood,
) -> (Plugins, Option<Spare>) {
    let decider = |plugin: String| Decider { plugin, home: Home::Linked };
    let draw = |random: &mut Random, of: usize| random.below(of as u64) as usize;
    let (id, active) = strategies.allocators.swap_remove(draw(random, strategies.allocators.len()));
    let (fallback_id, fallback) = strategies.allocators.pop().expect("two allocators");
    let moody = |strategy| Box::new(Moody { strategy, mood: mood.clone() }) as Box<dyn Allocator>;
    let spare = strategies.allocators.pop().map(|(id, strategy)| (id, moody(strategy)));
    let allocator = Seat::new(decider(id), moody(active), decider(fallback_id), fallback);
    let (qos_id, ranks) = strategies.qos.swap_remove(draw(random, strategies.qos.len()));
    let (behind_id, behind) = strategies.qos.pop().expect("two qos");
    let ranks = Box::new(Moody { strategy: ranks, mood: mood.clone() });
    (Plugins { allocator, qos: Seat::new(decider(qos_id), ranks, decider(behind_id), behind) }, spare)
}
