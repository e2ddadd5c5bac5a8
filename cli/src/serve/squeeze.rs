//! Takes the steps of the ladder under pressure, measures what each freed, and has all of it written down.
use super::{
    census::{Census, LeaseSeen},
    enforcer::Note,
    errands::Errand,
    pressure::{Pressure, kept},
};
use bursar_enforce::Cell;
use bursar_interface::{Came, ClaimId, Command, Gauge, Squeeze, Step, Time, bound::FINDING_BYTES_MAX};
use bursar_monitor::{Deed, Share};
use std::{collections::BTreeMap, sync::PoisonError};

/// Samples that are kept per name when the daemon gives back what it keeps: five minutes.
const PURGED_TO: usize = 60;

/// What was seen of each lease.
type Seen = BTreeMap<ClaimId, (Gauge, Share)>;

impl Pressure {
    /// Does what is to be done, and has written down what it came to.
    pub(super) fn act(&mut self, now: Time, census: &Census, seen: &Seen, deeds: Vec<Deed>) {
        let mut told = self.over(seen);
        self.note_gone(census, seen, &mut told);
        for deed in deeds {
            match deed {
                Deed::Take { step, claim: None, .. } => told.push(self.squeeze(step, None, self.take(step))),
                Deed::Take { step, claim: Some(claim), bytes } => {
                    let Some(lease) = census.leases.iter().find(|lease| lease.claim == claim) else {
                        continue;
                    };
                    let used = seen.get(&claim).map_or(0, |(gauge, _)| kept(gauge));
                    if let Some(came) = self.take_of(step, lease, used, bytes) {
                        let to = if step == Step::Ask { bytes } else { 0 };
                        told.push(Squeeze { to, ..self.squeeze(step, Some(claim), came) });
                    }
                }
                Deed::Undo { step, claim } => {
                    if self.undo(step, claim) {
                        told.push(self.squeeze(step, claim, Came::Undone));
                    }
                }
                Deed::Note { step, claim, came } => told.push(self.squeeze(step, claim, came)),
            }
        }
        self.write_down(now, told);
    }

    fn write_down(&self, now: Time, told: Vec<Squeeze>) {
        for squeeze in &told {
            self.parts.gauges.strained.record(now, squeeze.clone());
            tracing::info!(step = squeeze.step.name(), claim = ?squeeze.claim, came = ?squeeze.came, "pressure");
        }
        self.parts.mailbox.tell_all(told.into_iter().map(Command::Squeezed).collect());
    }

    fn squeeze(&self, step: Step, claim: Option<ClaimId>, came: Came) -> Squeeze {
        let (used, there) = self.strain;
        Squeeze { step, claim, came, used, there, to: 0 }
    }

    /// A step that is about all.
    fn take(&self, step: Step) -> Came {
        if step != Step::Purge {
            return Came::Taken;
        }
        let before = own_memory();
        self.parts.rings.lock().unwrap_or_else(PoisonError::into_inner).keep_newest(PURGED_TO);
        let freed = before.zip(own_memory()).map(|(before, after)| before.saturating_sub(after));
        Came::Freed(freed)
    }

    /// A step that is about a lease; `None` where what it came to is known only later.
    fn take_of(&mut self, step: Step, lease: &LeaseSeen, used: u64, bytes: u64) -> Option<Came> {
        let claim = lease.claim;
        let came = |done: std::io::Result<Came>| done.unwrap_or_else(|error| unavailable(&error.to_string()));
        match step {
            Step::Ask => {
                self.parts.edges.send(Note::Ask(claim));
                let errand = self.errand("ask", lease, used, bytes);
                let started = self.callback.clone().map(|command| self.errands.start(&command, errand));
                if let Some(Err(why)) = started {
                    tracing::warn!(%claim, why, "the callback for pressure was not run");
                }
                Some(Came::Taken)
            }
            Step::Reclaim => {
                Some(came(self.cell(lease).drop_files(bytes).map(|freed| Came::Freed(Some(freed)))))
            }
            Step::Slow => Some(came(self.cell(lease).slow_above(Some(bytes)).map(|()| Came::Taken))),
            Step::Freeze => {
                self.parts.edges.send(Note::Still(claim, true));
                Some(Came::Taken)
            }
            Step::Collect => {
                let command = self.collectors[lease.class as usize].clone()?;
                let errand = self.errand("collect", lease, used, 0);
                self.errands.start(&command, errand).err().map(|why| unavailable(&why))
            }
            Step::Evict | Step::Kill => {
                let grace_ns = if step == Step::Kill { 0 } else { self.grace_ns.max(1) };
                self.leaving.insert(claim, (step, used));
                self.parts.mailbox.tell(Command::Evict { claim, grace_ns });
                if step == Step::Kill {
                    self.cell(lease).kill();
                }
                Some(Came::Taken)
            }
            Step::Stop | Step::Purge => Some(Came::Taken),
        }
    }

    fn errand(&self, step: &'static str, lease: &LeaseSeen, used: u64, to: u64) -> Errand {
        let pids = lease.bodies.iter().map(|body| body.pid).collect();
        Errand { step, claim: lease.claim, pids, used, to }
    }

    /// Whether there was anything to undo.
    fn undo(&mut self, step: Step, claim: Option<ClaimId>) -> bool {
        match (step, claim) {
            (Step::Freeze, Some(claim)) => self.parts.edges.send(Note::Still(claim, false)),
            (Step::Slow, Some(claim)) => {
                let soft = self.parts.follower.read(|engine| {
                    let kind = engine.books().resource(super::census::MEMORY)?;
                    engine.soft_limit(claim, kind)
                });
                if let Err(error) = self.parts.hierarchy.cell(claim).slow_above(soft) {
                    tracing::warn!(%claim, %error, "a lease stays slowed down");
                }
            }
            (Step::Evict, Some(claim)) => {
                let told = self.leaving.get(&claim).is_some_and(|(step, _)| *step == Step::Evict);
                if !told {
                    return false;
                }
                self.leaving.remove(&claim);
                self.parts.mailbox.tell(Command::Spare { claim });
            }
            _ => {}
        }
        true
    }

    /// Commands that are over, and what they freed.
    fn over(&mut self, seen: &Seen) -> Vec<Squeeze> {
        let over = self.errands.over().into_iter().filter(|(errand, _)| errand.step == "collect");
        let over: Vec<_> = over.collect();
        let came = |(errand, ended): (Errand, Result<(), String>)| {
            let now = seen.get(&errand.claim).map(|(gauge, _)| kept(gauge));
            let came = match ended {
                Ok(()) => Came::Freed(now.map(|now| errand.used.saturating_sub(now))),
                Err(why) => unavailable(&why),
            };
            self.squeeze(Step::Collect, Some(errand.claim), came)
        };
        over.into_iter().map(came).collect()
    }

    /// Those that had to make room and are gone: what they used last is free.
    fn note_gone(&mut self, census: &Census, seen: &Seen, told: &mut Vec<Squeeze>) {
        for (claim, (_, used)) in &mut self.leaving {
            *used = seen.get(claim).map_or(*used, |(gauge, _)| kept(gauge));
        }
        let there = |claim: &ClaimId| census.leases.iter().any(|lease| lease.claim == *claim);
        let gone: Vec<(ClaimId, (Step, u64))> = self
            .leaving
            .iter()
            .filter(|(claim, _)| !there(claim))
            .map(|(&claim, &left)| (claim, left))
            .collect();
        for (claim, (step, used)) in gone {
            self.leaving.remove(&claim);
            told.push(self.squeeze(step, Some(claim), Came::Freed(Some(used))));
        }
    }

    fn cell(&self, lease: &LeaseSeen) -> Cell {
        let mut cell = self.parts.hierarchy.cell(lease.claim);
        lease.bodies.iter().for_each(|body| cell.remember(body));
        cell
    }
}

/// Why a step could not be taken, no longer than it may be.
fn unavailable(why: &str) -> Came {
    Came::Unavailable(why.chars().take(FINDING_BYTES_MAX / 4).collect())
}

/// Memory of this process, in bytes.
fn own_memory() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/self/statm").ok()?;
    let pages: u64 = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}
