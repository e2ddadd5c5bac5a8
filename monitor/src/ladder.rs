//! The ladder under pressure: what is done when memory runs short, before the kernel does something. Rung by rung, the
//! mild ones at once, each harsher one only when those before it had their time and were not enough; and down again
//! when there is room. It decides and remembers; whoever asks it measures and acts.
//!
//! The order is that of oomd and of the squeeze in ALGORITHMS.md 5.4: nobody more is let in; holders are asked to use
//! less; what can be dropped is dropped; who grows is slowed down or held still; one ends with a grace; one ends at
//! once. Guaranteed leases are only ever asked by their own limit, never for others: no rung touches them here.
use crate::{
    Level, Levels, Thresholds,
    standing::{standing, worst_first},
};
use bursar_interface::{Came, ClaimId, Class, Step, Time};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Deeds of one kind in one look.
const DEEDS_MAX: usize = 64;
/// Leases of which the kernel is made to drop files in one look: each may take it some time.
const RECLAIMS_MAX: usize = 8;
/// A lease is worth a rung if it uses one part of what there is in so many.
const WORTH: u64 = 256;
/// How long the mild rungs are given, in nanoseconds (3 s); each time that they are taken again in one strain twice as
/// long, until it is so many times that: what does not help is not done, and written down, for ever.
const MILD_NS: u64 = 3_000_000_000;
const PATIENCE_MAX: u64 = 128;
/// When a holder is asked again, in nanoseconds (5 minutes).
const ASK_AGAIN_NS: u64 = 300_000_000_000;
/// How long a lease is given that was held still or told to end before the next one is, in nanoseconds (2 s).
const HARSH_NS: u64 = 2_000_000_000;
/// How long a lease is held still while it is not clear that there is room, in nanoseconds (30 s).
const STILL_NS: u64 = 30_000_000_000;
/// In which kills are counted, in nanoseconds (a minute).
const RATE_NS: u64 = 60_000_000_000;

/// A lease as it is seen under pressure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Which.
    pub claim: ClaimId,
    /// How firmly it was promised.
    pub class: Class,
    /// Larger goes first within the class.
    pub priority: u32,
    /// Since when it is held.
    pub granted_at: Time,
    /// What it may use without being slowed down, in bytes, where it said so.
    pub soft: Option<u64>,
    /// What it uses that cannot simply be dropped, in bytes.
    pub used: u64,
    /// What else is kept in memory for it, in bytes: files.
    pub files: u64,
    /// Somebody waits for a thing that it holds: a lock, a port, a device. It is not held still.
    pub waited_for: bool,
}

/// All of it at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Strain<'a> {
    /// When.
    pub at: Time,
    /// What is in use and cannot simply be dropped, in bytes.
    pub used: u64,
    /// What there is, in bytes.
    pub there: u64,
    /// Outermost leases with processes.
    pub holders: &'a [Holder],
}

/// What whoever asks can do, and how much of it.
#[derive(Clone, Debug)]
pub struct Means {
    /// Steps that cannot be taken here, and why.
    pub missing: BTreeMap<Step, String>,
    /// Whether there is a command for a class that has processes give back what they do not need.
    pub collects: [bool; 3],
    /// Leases that may end at once in a minute.
    pub kills_per_minute: usize,
    /// How long a lease has that is told to end, in nanoseconds.
    pub grace_ns: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A step is taken; what it came to is written down by whoever takes it.
    Take {
        /// Which.
        step: Step,
        /// Of which lease; `None` for one that is about all.
        claim: Option<ClaimId>,
        /// Asked to use less: what it is to use at most. Slowed down: from where on. Else what may come of it. Bytes.
        bytes: u64,
    },
    /// A step is undone.
    Undo {
        /// Which.
        step: Step,
        /// Of which lease.
        claim: Option<ClaimId>,
    },
    /// Something is to be written down.
    Note {
        /// Of which step.
        step: Step,
        /// Of which lease.
        claim: Option<ClaimId>,
        /// What it came to.
        came: Came,
    },
}

/// The ladder of one machine.
#[derive(Clone, Debug)]
pub struct Ladder {
    levels: Levels,
    means: Means,
    /// What is to be reached: well below where it began, in thousandths.
    goal: u64,
    /// From where on leases have to make room, in thousandths.
    critical: u64,
    before: Option<u64>,
    used: BTreeMap<ClaimId, u64>,
    stopped: bool,
    /// When the mild rungs were last taken, and how many times [`MILD_NS`] they are given.
    mild: Option<(Time, u64)>,
    /// When a harsh one was.
    harsh: Option<Time>,
    /// Who was asked, when, what it used then, and whether it was noted what came of it.
    asked: BTreeMap<ClaimId, (Time, u64, bool)>,
    /// Who is slowed down or held still, how, and since when.
    still: BTreeMap<ClaimId, (Step, Time)>,
    /// Who was told to end, and when.
    leaving: BTreeMap<ClaimId, Time>,
    kills: VecDeque<Time>,
    /// What was noted in this strain to be missing.
    noted: BTreeSet<Step>,
}

impl Ladder {
    /// A ladder whose rungs begin at these thresholds.
    pub fn new(thresholds: Thresholds, means: Means) -> Ladder {
        Ladder {
            levels: Levels::new(thresholds),
            means,
            goal: thresholds.pressed.saturating_sub(thresholds.slack),
            critical: thresholds.critical,
            before: None,
            used: BTreeMap::new(),
            stopped: false,
            mild: None,
            harsh: None,
            asked: BTreeMap::new(),
            still: BTreeMap::new(),
            leaving: BTreeMap::new(),
            kills: VecDeque::new(),
            noted: BTreeSet::new(),
        }
    }

    /// How short it is.
    pub fn level(&self) -> Level {
        self.levels.level()
    }

    /// Whether nobody more is to be let in.
    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// What is to be done now, in order.
    pub fn look(&mut self, strain: &Strain<'_>) -> Vec<Deed> {
        let milli = |bytes: u64| (u128::from(bytes) * 1000 / u128::from(strain.there.max(1))) as u64;
        let grown = strain.used.saturating_sub(self.before.replace(strain.used).unwrap_or(strain.used));
        let soon = milli(strain.used.saturating_add(grown));
        let level = self.levels.look(strain.at, milli(strain.used), soon);
        let mut deeds = Vec::new();
        self.forget(strain);
        self.note_asked(strain, &mut deeds);
        let now = milli(strain.used) >= self.critical;
        self.go_down(level, now, strain, &mut deeds);
        if level >= Level::Pressed {
            self.go_mild(level, strain, &mut deeds);
        }
        if level == Level::Critical {
            // What is only foreseen is met by holding still, which can be undone.
            self.go_harsh(soon >= 1000, now, strain, &mut deeds);
        }
        self.used = strain.holders.iter().map(|holder| (holder.claim, holder.used)).collect();
        deeds
    }

    /// Those that are gone.
    fn forget(&mut self, strain: &Strain<'_>) {
        let there: BTreeSet<ClaimId> = strain.holders.iter().map(|holder| holder.claim).collect();
        self.asked.retain(|claim, _| there.contains(claim));
        self.still.retain(|claim, _| there.contains(claim));
        // Whoever was told long ago and is there still may be told again.
        self.leaving.retain(|claim, since| there.contains(claim) && !since.is_past(STILL_NS, strain.at));
        while self.kills.front().is_some_and(|kill| kill.is_past(RATE_NS, strain.at)) {
            self.kills.pop_front();
        }
    }

    /// What came of asking.
    fn note_asked(&mut self, strain: &Strain<'_>, deeds: &mut Vec<Deed>) {
        for holder in strain.holders {
            let Some((since, used, noted)) = self.asked.get_mut(&holder.claim) else { continue };
            if !*noted && since.is_past(MILD_NS, strain.at) {
                *noted = true;
                let freed = used.saturating_sub(holder.used);
                let came = Came::Freed(Some(freed));
                deeds.push(Deed::Note { step: Step::Ask, claim: Some(holder.claim), came });
            }
        }
    }

    /// Undoes what is not needed any more: one who was held still at a time, the best first; and at once whoever keeps
    /// others waiting for what it holds.
    fn go_down(&mut self, level: Level, now: bool, strain: &Strain<'_>, deeds: &mut Vec<Deed>) {
        for holder in strain.holders.iter().filter(|holder| holder.waited_for) {
            if let Some((step, _)) = self.still.remove(&holder.claim) {
                deeds.push(Deed::Undo { step, claim: Some(holder.claim) });
            }
        }
        let moves =
            |holder: &Holder| holder.class != Class::Guaranteed && !self.still.contains_key(&holder.claim);
        // Where all who could make room stand still nothing would ever move.
        let while_short_ns = if strain.holders.iter().any(moves) { STILL_NS } else { HARSH_NS };
        let goes_on = |since: Time| match level {
            Level::Calm | Level::Pressed => true,
            Level::Short | Level::Critical => !now && since.is_past(while_short_ns, strain.at),
        };
        let able = strain
            .holders
            .iter()
            .filter(|holder| self.still.get(&holder.claim).is_some_and(|&(_, since)| goes_on(since)));
        if let Some(claim) = able.min_by_key(|holder| standing(holder)).map(|holder| holder.claim)
            && let Some((step, _)) = self.still.remove(&claim)
        {
            deeds.push(Deed::Undo { step, claim: Some(claim) });
        }
        if level <= Level::Pressed {
            let spared = std::mem::take(&mut self.leaving).into_keys();
            deeds.extend(spared.map(|claim| Deed::Undo { step: Step::Evict, claim: Some(claim) }));
        }
        if level == Level::Calm {
            if std::mem::take(&mut self.stopped) {
                deeds.push(Deed::Undo { step: Step::Stop, claim: None });
            }
            (self.mild, self.harsh) = (None, None);
            let asked = std::mem::take(&mut self.asked).into_keys();
            deeds.extend(asked.map(|claim| Deed::Undo { step: Step::Ask, claim: Some(claim) }));
            self.noted.clear();
        }
    }

    /// Nobody more is let in, holders are asked, and what can be dropped is.
    fn go_mild(&mut self, level: Level, strain: &Strain<'_>, deeds: &mut Vec<Deed>) {
        if !std::mem::replace(&mut self.stopped, true) {
            deeds.push(Deed::Take { step: Step::Stop, claim: None, bytes: 0 });
        }
        self.ask(strain, deeds);
        let rested = self.mild.is_none_or(|(at, times)| at.is_past(times * MILD_NS, strain.at));
        if level < Level::Short || !rested {
            return;
        }
        let times = self.mild.map_or(1, |(_, times)| (2 * times).min(PATIENCE_MAX));
        self.mild = Some((strain.at, times));
        if self.can(Step::Purge, deeds) {
            deeds.push(Deed::Take { step: Step::Purge, claim: None, bytes: 0 });
        }
        if self.can(Step::Reclaim, deeds) {
            let mut with_files: Vec<&Holder> =
                strain.holders.iter().filter(|holder| self.worth(holder, holder.files, strain)).collect();
            with_files.sort_by_key(|holder| (std::cmp::Reverse(holder.files), holder.claim));
            deeds.extend(with_files.iter().take(RECLAIMS_MAX).map(|holder| Deed::Take {
                step: Step::Reclaim,
                claim: Some(holder.claim),
                bytes: holder.files,
            }));
        }
        let collects = |holder: &&Holder| self.means.collects[holder.class as usize];
        let collect = worst_first(strain.holders).into_iter().filter(collects).take(DEEDS_MAX);
        deeds.extend(collect.map(|holder| Deed::Take {
            step: Step::Collect,
            claim: Some(holder.claim),
            bytes: holder.used,
        }));
    }

    /// Asks those above their soft limit, if that would be enough; else all, for a part of what is too much.
    fn ask(&mut self, strain: &Strain<'_>, deeds: &mut Vec<Deed>) {
        let goal = (u128::from(strain.there) * u128::from(self.goal) / 1000) as u64;
        let over = strain.used.saturating_sub(goal);
        let above = |holder: &Holder| holder.soft.map_or(0, |soft| holder.used.saturating_sub(soft));
        let may = |holder: &&Holder| self.worth(holder, holder.used, strain);
        let able: Vec<&Holder> = worst_first(strain.holders).into_iter().filter(may).collect();
        let enough = able.iter().map(|holder| above(holder)).sum::<u64>() >= over;
        let all: u64 = able.iter().map(|holder| holder.used).sum();
        for holder in able.into_iter().filter(|holder| !enough || above(holder) > 0).take(DEEDS_MAX) {
            let known = self.asked.get(&holder.claim);
            if known.is_some_and(|&(since, ..)| !since.is_past(ASK_AGAIN_NS, strain.at)) {
                continue;
            }
            let part = u128::from(over.min(all)) * u128::from(holder.used) / u128::from(all.max(1));
            let to = if enough { holder.soft.unwrap_or(0) } else { holder.used - part as u64 };
            self.asked.insert(holder.claim, (strain.at, holder.used, false));
            deeds.push(Deed::Take { step: Step::Ask, claim: Some(holder.claim), bytes: to });
        }
    }

    /// Who grows is held still; then one is told to end; then one ends. `soon` nothing would be left: then there is no
    /// time for graces, if it is critical `now` already.
    fn go_harsh(&mut self, soon: bool, now: bool, strain: &Strain<'_>, deeds: &mut Vec<Deed>) {
        let at_once = soon && now;
        let held = self.hold_still(at_once, strain, deeds);
        let rested = self.harsh.is_some_and(|at| at.is_past(HARSH_NS, strain.at));
        if held > 0 || self.harsh.is_none() {
            self.harsh = Some(strain.at);
        }
        // What was just held still is worth a look first, unless there is no time for that.
        if !now || !(rested || at_once) || held > 0 && !at_once {
            return;
        }
        // Whoever uses next to nothing makes no room.
        let able: Vec<&Holder> =
            strain.holders.iter().filter(|holder| self.worth(holder, holder.used, strain)).collect();
        let mean = able.iter().map(|holder| holder.used).sum::<u64>() / able.len().max(1) as u64;
        let worst = worst_first(strain.holders);
        let may = |holder: &&&Holder| {
            self.worth(holder, holder.used, strain) && holder.used.saturating_mul(2) >= mean
        };
        let staying = worst.iter().filter(may).find(|holder| !self.leaving.contains_key(&holder.claim));
        let told = worst.iter().filter(may).find(|holder| self.leaving.contains_key(&holder.claim));
        let had_grace = |holder: &&&Holder| {
            let grace_ns = self.means.grace_ns.max(HARSH_NS);
            at_once || self.leaving.get(&holder.claim).is_some_and(|at| at.is_past(grace_ns, strain.at))
        };
        // Whoever was told and is still there ends before another one is told.
        let (step, holder) = match (told.filter(had_grace), staying) {
            (Some(told), _) => (Step::Kill, **told),
            (None, Some(staying)) if at_once => (Step::Kill, **staying),
            (None, Some(staying)) if told.is_none() => (Step::Evict, **staying),
            _ => return,
        };
        self.harsh = Some(strain.at);
        if step == Step::Kill {
            if self.kills.len() >= self.means.kills_per_minute {
                return self.note(
                    Step::Kill,
                    format!("{} leases ended at once within a minute, as many as may", self.kills.len()),
                    deeds,
                );
            }
            self.kills.push_back(strain.at);
        }
        self.leaving.insert(holder.claim, strain.at);
        deeds.push(Deed::Take { step, claim: Some(holder.claim), bytes: holder.used });
    }

    /// Holds those still that grow, all but the one that stands best and those who keep others waiting by it; says how
    /// many.
    fn hold_still(&mut self, at_once: bool, strain: &Strain<'_>, deeds: &mut Vec<Deed>) -> usize {
        let slow = !self.means.missing.contains_key(&Step::Slow);
        let step = if slow { Step::Slow } else { Step::Freeze };
        if !self.can(Step::Slow, deeds) && !self.can(Step::Freeze, deeds) {
            return 0;
        }
        let grows = |holder: &&Holder| {
            let before = self.used.get(&holder.claim).copied().unwrap_or(0);
            holder.used > before && !self.leaving.contains_key(&holder.claim)
        };
        let may = |holder: &&Holder| !holder.waited_for && self.worth(holder, holder.used, strain);
        let mut growing: Vec<&Holder> =
            worst_first(strain.holders).into_iter().filter(may).filter(grows).collect();
        let best = strain.holders.iter().filter(|holder| holder.class != Class::Guaranteed);
        let best = best.min_by_key(|holder| standing(holder)).map(|holder| holder.claim);
        growing.retain(|holder| at_once || Some(holder.claim) != best);
        growing.retain(|holder| !self.still.contains_key(&holder.claim));
        for holder in growing.iter().take(DEEDS_MAX) {
            self.still.insert(holder.claim, (step, strain.at));
            deeds.push(Deed::Take { step, claim: Some(holder.claim), bytes: holder.used });
        }
        growing.len().min(DEEDS_MAX)
    }

    /// Whether so much of a lease is worth a rung at all.
    fn worth(&self, holder: &Holder, bytes: u64, strain: &Strain<'_>) -> bool {
        holder.class != Class::Guaranteed && bytes > 0 && bytes >= strain.there / WORTH
    }

    /// Whether a step can be taken here; notes once that it cannot.
    fn can(&mut self, step: Step, deeds: &mut Vec<Deed>) -> bool {
        match self.means.missing.get(&step).cloned() {
            Some(why) => {
                self.note(step, why, deeds);
                false
            }
            None => true,
        }
    }

    /// Notes once in a strain that a step cannot be taken.
    fn note(&mut self, step: Step, why: String, deeds: &mut Vec<Deed>) {
        if self.noted.insert(step) {
            deeds.push(Deed::Note { step, claim: None, came: Came::Unavailable(why) });
        }
    }
}

/// Whether a time is over.
trait Past {
    fn is_past(&self, ns: u64, now: Time) -> bool;
}

impl Past for Time {
    fn is_past(&self, ns: u64, now: Time) -> bool {
        self.after(ns) <= now
    }
}
