//! The rights of everybody, by a second opinion: it hears the events alone and shares no code with the engine.
//! Who may take from whom, what nobody is left with less than, how long everybody is left alone, and that what is
//! freed for somebody goes to nobody else who stands no better.
use crate::law::{Broken, Law, broken};
use bursar_engine::Engine;
use bursar_interface::{
    Amount, Ask, Batch, ClaimId, Claimed, Class, Command, Ending, Event, Input, LineSize, PoolId,
    PreemptionPolicy, Promise, Rung, What,
};
use std::collections::{BTreeMap, BTreeSet};

/// What somebody asked for, and what it has of it.
#[derive(Clone, Debug)]
struct Work {
    ask: Ask,
    granted_at: Option<u64>,
    /// Where its processor time comes from.
    pool: PoolId,
    /// Processor time that it holds, and that it will hold once what is under way is true.
    cpu: Amount,
    soon: Amount,
    /// It is being taken back already.
    leaves: bool,
    frozen: bool,
    /// It is to be frozen, and nothing was heard of that yet.
    freezing: bool,
}

/// Everybody's work and rights.
#[derive(Clone, Debug, Default)]
pub(super) struct Rights {
    pub(super) policy: PreemptionPolicy,
    work: BTreeMap<ClaimId, Work>,
    guaranteed: BTreeMap<&'static str, Amount>,
    /// What is kept for whom.
    promised: BTreeMap<ClaimId, Promise>,
    /// For whom each lease is to end.
    takers: BTreeMap<ClaimId, ClaimId>,
    /// Who was told and not spared since.
    told: BTreeSet<ClaimId>,
}

impl Rights {
    pub(super) fn guarantee(&mut self, scope: &'static str, amount: Amount) {
        self.guaranteed.insert(scope, amount);
    }

    pub(super) fn promises_any(&self) -> bool {
        !self.promised.is_empty()
    }

    pub(super) fn is_promised(&self, claim: ClaimId) -> bool {
        self.promised.contains_key(&claim)
    }

    pub(super) fn ask(&self, claim: ClaimId) -> Option<Ask> {
        self.work.get(&claim).map(|work| work.ask.clone())
    }

    /// Hears of one event, and says what is wrong with it.
    pub(super) fn hear(&mut self, engine: &Engine, batch: &Batch, event: &Event) -> Result<(), Broken> {
        match &event.what {
            What::Queued { claim, .. } => {
                let cause = event.cause.and_then(|cause| batch.inputs.get(cause as usize));
                if let Some(Input { body: Command::Ask(ask), .. }) = cause {
                    let (ask, pool) = (ask.clone(), PoolId::default());
                    let (granted_at, cpu, soon, leaves) = (None, 0, 0, false);
                    let (frozen, freezing) = (false, false);
                    let work = Work { ask, granted_at, pool, cpu, soon, leaves, frozen, freezing };
                    self.work.insert(*claim, work);
                }
            }
            What::Granted { claim, pools, .. } => {
                self.promised.remove(claim);
                if let Some(work) = self.work.get_mut(claim) {
                    let cpu = work.ask.lines[0].amount;
                    (work.cpu, work.soon, work.granted_at) = (cpu, cpu, Some(batch.at.0));
                    work.pool = pools.first().copied().unwrap_or_default();
                }
                return self.keeps_away(engine, *claim);
            }
            What::Promised(promise) => {
                self.promised.insert(promise.claim, promise.clone());
            }
            What::Unpromised(claim) => {
                self.promised.remove(claim);
            }
            What::Preempting { claim, by, why, .. } => {
                self.takers.insert(*claim, *by);
                self.told.insert(*claim);
                self.is_of_age(*claim, batch.at.0)?;
                return self.rightful(*claim, *by, *why);
            }
            What::Spared(claim) => {
                self.told.remove(claim);
                // A freeze that nobody heard of again is none.
                if let Some(work) = self.work.get_mut(claim).filter(|work| work.freezing) {
                    (work.freezing, work.soon) = (false, work.cpu);
                }
            }
            What::LoopBroken { claim, from } => {
                return broken(Law::Turns, format!("{claim} and {from} take turns"));
            }
            what => return self.hear_of_lease(engine, what),
        }
        Ok(())
    }

    /// What becomes of a lease.
    fn hear_of_lease(&mut self, engine: &Engine, what: &What) -> Result<(), Broken> {
        match what {
            What::Rung { claim, rung, lines, .. } if !lines.is_empty() => {
                let lawful = self.nobody_falls_below(*claim);
                self.will_hold(*claim, lines);
                if let Some(work) = self.work.get_mut(claim) {
                    work.freezing = *rung == Rung::Suspended;
                }
                let lawful = lawful.and_then(|()| self.keeps_nobody_waiting(*claim, *rung));
                lawful.and_then(|()| match (rung, self.told.contains(claim)) {
                    (Rung::Told, _) | (_, false) => {
                        broken(Law::Right, format!("{claim} takes a rung, and nobody told it why"))
                    }
                    _ => Ok(()),
                })
            }
            What::Resizing { claim, lines } => {
                self.will_hold(*claim, lines);
                let grows = self.work.get(claim).is_some_and(|work| work.soon > work.cpu);
                if grows { self.holds(engine, *claim, lines) } else { Ok(()) }
            }
            What::Resized { claim, lines }
            | What::Suspended { claim, lines, .. }
            | What::Resumed { claim, lines } => {
                if let Some(work) = self.work.get_mut(claim) {
                    work.frozen = matches!(what, What::Suspended { .. });
                    work.freezing = false;
                }
                self.holds(engine, *claim, lines)
            }
            What::ResizeFailed { claim, .. } | What::RungFailed { claim, .. } => {
                if let (Some(work), Some(row)) = (self.work.get_mut(claim), engine.books().claim(*claim)) {
                    let view = engine.view();
                    // The books are what says what it held before.
                    work.cpu = view.lines.amount[view.claims.first_line[row as usize] as usize];
                    (work.soon, work.freezing) = (work.cpu, false);
                }
                Ok(())
            }
            What::Draining { claim, ending } => self.leaves(*claim, *ending),
            What::Closed { claim, ending } => {
                let lawful = self.leaves(*claim, *ending);
                self.work.remove(claim);
                self.takers.remove(claim);
                self.told.remove(claim);
                lawful
            }
            _ => Ok(()),
        }
    }

    /// A lease ends; that of whoever waits only goes.
    fn leaves(&mut self, claim: ClaimId, ending: Ending) -> Result<(), Broken> {
        let Some(work) = self.work.get(&claim) else { return Ok(()) };
        // One that was frozen for too long ends for nobody.
        let taken = ending == Ending::Preempted && !work.leaves;
        let lawful = match taken && (!work.frozen || self.told.contains(&claim)) {
            true => self.nobody_falls_below(claim),
            false => Ok(()),
        };
        if let Some(work) = self.work.get_mut(&claim) {
            (work.leaves, work.soon) = (true, 0);
        }
        lawful
    }

    fn will_hold(&mut self, claim: ClaimId, lines: &[LineSize]) {
        let cpu = lines.iter().find(|size| size.line == 0);
        if let (Some(work), Some(cpu)) = (self.work.get_mut(&claim), cpu) {
            work.soon = cpu.amount;
        }
    }

    fn holds(&mut self, engine: &Engine, claim: ClaimId, lines: &[LineSize]) -> Result<(), Broken> {
        self.will_hold(claim, lines);
        let Some(work) = self.work.get_mut(&claim) else { return Ok(()) };
        let grew = work.soon > work.cpu;
        work.cpu = work.soon;
        if grew { self.keeps_away(engine, claim) } else { Ok(()) }
    }

    /// What the work below a scope holds, less what it gives back already.
    fn held(&self, scope: &str) -> Amount {
        let below = |path: &str| {
            path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let held = self.work.values().filter(|work| below(&work.ask.scope));
        held.map(|work| work.soon.min(work.cpu)).sum()
    }

    /// What it is charged for: also what comes back, until it has.
    fn charged(&self, scope: &str) -> Amount {
        let below = |path: &str| {
            path.strip_prefix(scope).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.work.values().filter(|work| below(&work.ask.scope)).map(|work| work.cpu).sum()
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
    fn rightful(&self, victim: ClaimId, by: ClaimId, why: Claimed) -> Result<(), Broken> {
        let (Some(theirs), Some(mine)) = (self.work.get(&victim), self.work.get(&by)) else {
            return broken(Law::Right, format!("{by} takes from {victim}, and one of them is not there"));
        };
        match why {
            Claimed::Band if self.band(&mine.ask) < self.band(&theirs.ask) => Ok(()),
            Claimed::Band => {
                broken(Law::Right, format!("{by} takes from {victim} of its own band or a better one"))
            }
            Claimed::Short => broken(Law::Right, format!("{victim} makes room where nothing is short")),
            Claimed::Lent => {
                let own = Self::apart(&mine.ask.scope, &theirs.ask.scope);
                let top = own.into_iter().find(|scope| self.guaranteed.get(scope).is_some_and(|&g| g > 0));
                let covered = top.is_some_and(|scope| {
                    self.charged(scope) + mine.ask.lines[0].amount <= self.guaranteed[scope]
                });
                match covered {
                    true => Ok(()),
                    false => broken(Law::Right, format!("{by} takes from {victim} without a guarantee")),
                }
            }
        }
    }

    /// Whether a lease has run for as long as everybody may.
    fn is_of_age(&self, victim: ClaimId, now: u64) -> Result<(), Broken> {
        let since = self.work.get(&victim).and_then(|work| work.granted_at);
        match since.is_some_and(|since| since + self.policy.min_runtime_ns <= now) {
            true => Ok(()),
            false => broken(Law::Age, format!("{victim} has not run for as long as everybody may")),
        }
    }

    /// Whether each scope that a lease is of borrowed, at the moment when something of it is taken.
    fn nobody_falls_below(&self, victim: ClaimId) -> Result<(), Broken> {
        let by = self.takers.get(&victim).and_then(|by| self.work.get(by));
        let (Some(work), Some(by)) = (self.work.get(&victim), by) else {
            return broken(Law::Right, format!("{victim} ends for nobody who waits"));
        };
        for scope in Self::apart(&work.ask.scope, &by.ask.scope) {
            let guaranteed = self.guaranteed.get(scope).copied().unwrap_or(0);
            if guaranteed > 0 && self.held(scope) <= guaranteed {
                let what = format!("{victim} is taken from {scope}, which holds no more than its guarantee");
                return broken(Law::Guarantee, what);
            }
        }
        Ok(())
    }

    /// Whether nobody waits for a lock of a lease that is to be frozen.
    fn keeps_nobody_waiting(&self, claim: ClaimId, rung: Rung) -> Result<(), Broken> {
        let lock = |work: &Work| work.ask.lines.get(2).and_then(|line| line.pool.clone());
        let held = self.work.get(&claim).and_then(lock);
        let mut waiting = self.work.iter().filter(|(_, work)| work.granted_at.is_none());
        match waiting.find(|(_, work)| held.is_some() && lock(work) == held) {
            Some((waits, _)) if rung == Rung::Suspended => {
                broken(Law::Right, format!("{claim} is frozen while {waits} waits for its lock"))
            }
            _ => Ok(()),
        }
    }

    /// Whether one who just got something left alone what is kept for those who stand no worse.
    fn keeps_away(&self, engine: &Engine, claim: ClaimId) -> Result<(), Broken> {
        let Some(work) = self.work.get(&claim) else { return Ok(()) };
        let guaranteed = |scope: &str| self.guaranteed.get(scope).is_some_and(|&amount| amount > 0);
        let (class, low) = self.band(&work.ask);
        let standing = match Self::apart(&work.ask.scope, "").into_iter().any(guaranteed) {
            // It may be within its guarantee: then only what is kept for others who are binds it.
            true => 0,
            false => class as u32 * (self.policy.bands.len() as u32 + 1) + u32::from(low) + 1,
        };
        let binding = self.promised.values().filter(|p| p.claim != claim && p.standing <= standing);
        let kept = binding.filter(|p| p.pools.first() == Some(&work.pool));
        let kept: Amount =
            kept.filter_map(|p| self.work.get(&p.claim)).map(|waits| waits.ask.lines[0].amount).sum();
        let used: Amount =
            self.work.values().filter(|other| other.pool == work.pool).map(|other| other.cpu).sum();
        let Some(pool) = engine.books().pool(work.pool) else { return Ok(()) };
        let capacity = engine.view().pools.capacity[pool as usize];
        match kept > 0 && used + kept > capacity {
            true => broken(Law::Kept, format!("{claim} got some of the {kept} that are kept for others")),
            false => Ok(()),
        }
    }
}
