//! What each wait was for, and who held that meanwhile: kept by a reader that folds what an engine did, so that
//! no decision is held up by it.
//!
//! Claims of one shape wait for the same, so they share one record; a claim's own is what that has grown by since
//! it came. A record is a sum of whole nanoseconds, so the parts of a wait add up to it exactly. What they wait
//! for is seen whenever the engine says so, and beside that at every look; who holds it, at every look.
mod account;
mod charge;
mod holdings;
mod tally;

pub use charge::{Cause, Part, Share};
pub use tally::Tallied;

use crate::{Engine, shape::Shape};
use account::{Accounts, Key};
use bursar_interface::{
    Batch, ClaimId, Phase, Row, Time, What,
    bound::{LOOKED_AGAIN_MAX, WAITS_MAX},
    canary,
};
use charge::Shares;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Bound,
    sync::Arc,
};
use tally::Tally;

/// Every wait, and what it is charged to.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Blame {
    waiting: BTreeMap<ClaimId, Waiting>,
    groups: BTreeMap<Shape, Group>,
    accounts: Accounts,
    /// Waits that are over.
    over: BTreeMap<ClaimId, Vec<Part>>,
    tally: Tally,
    /// Of claims up to this one it is not known whether they waited, unless they are here.
    forgotten: ClaimId,
    /// The group up to which it was seen again what they wait for.
    seen_again: Option<Shape>,
    /// Sequence of the next input.
    next_seq: u64,
}

/// A claim that waits.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Waiting {
    shape: Shape,
    scope: Arc<str>,
    /// The record of its group when it came.
    joined: Arc<Vec<Part>>,
    /// How long it had waited before anybody kept a record, in nanoseconds.
    before_ns: u64,
}

/// The record of all claims of one shape.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Group {
    members: BTreeSet<ClaimId>,
    parts: Arc<Vec<Part>>,
    cause: Cause,
    key: Option<Key>,
    /// Since when it waits for that, and what was charged there by then.
    since: Time,
    from: Arc<Shares>,
}

impl Group {
    /// Charges the time up to `now` to what the group waits for.
    fn charge(&mut self, accounts: &mut Accounts, now: Time) {
        if now <= self.since {
            return;
        }
        let charged = self.key.as_ref().map_or_else(Arc::default, |key| accounts.charged(key, now));
        self.charge_with(&charged, now);
        self.from = charged;
    }

    fn charge_with(&mut self, charged: &Shares, now: Time) {
        let ns = now.0.saturating_sub(self.since.0);
        if ns > 0 {
            let parts = Arc::make_mut(&mut self.parts);
            charge::charge(parts, &self.cause, ns, &charged.since(&self.from));
            self.since = now;
        }
    }

    /// The record as it will be at `now`, if nothing changes until then.
    fn by(&self, accounts: &Accounts, now: Time) -> Vec<Part> {
        let Group { parts, cause, since, from, .. } = self;
        let (parts, cause, from) = (parts.clone(), cause.clone(), from.clone());
        let mut group = Group { members: BTreeSet::new(), parts, cause, key: None, since: *since, from };
        let charged = self.key.as_ref().map_or_else(Arc::default, |key| accounts.charged_by(key, now));
        group.charge_with(&charged, now);
        Arc::unwrap_or_clone(group.parts)
    }
}

impl Waiting {
    /// What it waited for, by the record of its group.
    fn parts(&self, record: &[Part]) -> Vec<Part> {
        let mut parts = charge::since(record, &self.joined);
        charge::charge(&mut parts, &Cause::default(), self.before_ns, &Shares::default());
        parts
    }
}

impl Blame {
    /// A record that begins now: of what was before nothing is known.
    pub fn begin(engine: &Engine) -> Blame {
        let (next_seq, forgotten) = (engine.next_seq, ClaimId(engine.claims));
        let mut blame = Blame { next_seq, forgotten, ..Blame::default() };
        let view = engine.view();
        let claims = (0..view.claims.len()).map(|c| ClaimId(view.claims.id[c])).filter(|claim| claim.0 != 0);
        let mut claims: Vec<ClaimId> = claims.collect();
        claims.sort_unstable();
        claims.into_iter().for_each(|claim| blame.join(engine, claim));
        blame.look(engine, BTreeSet::new());
        blame
    }

    /// Sequence of the next input that it is to hear of.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Folds what was done; `engine` has folded it already.
    pub fn fold(&mut self, engine: &Engine, batch: &Batch) {
        self.next_seq = batch.next_seq();
        let mut told = BTreeSet::new();
        for event in &batch.events {
            match event.what {
                What::Granted { claim, .. } | What::Closed { claim, .. } => self.leave(claim, batch.at),
                What::Waiting { claim, .. } if !self.groups.is_empty() => {
                    told.extend(self.waiting.get(&claim).map(|waiting| waiting.shape));
                }
                _ => {}
            }
        }
        for event in &batch.events {
            if let What::Queued { claim, .. } = event.what {
                self.join(engine, claim);
            }
        }
        if !self.groups.is_empty() {
            self.look(engine, told);
        }
    }

    /// A claim waits from now on, if it does.
    fn join(&mut self, engine: &Engine, claim: ClaimId) {
        let Some(row) = engine.books.claim(claim).filter(|&row| engine.books.phase(row) == Phase::Pending)
        else {
            return;
        };
        let now = engine.books.at();
        let mut shape = engine.shape_within(row, engine.shape_of(row));
        if engine.gangs.has(claim) {
            shape = shape.with(claim.0);
        }
        let claims = &engine.books.tables().claims;
        let scope = engine.books.scope_path(claims.scope[row as usize]).clone();
        let before_ns = now.0.saturating_sub(claims.asked_at[row as usize]);
        let group = self.groups.entry(shape).or_insert_with(|| {
            let (cause, key) = engine.cause(row);
            let from = key.as_ref().map_or_else(Arc::default, |key| self.accounts.open(engine, key));
            Group { members: BTreeSet::new(), parts: Arc::default(), cause, key, since: now, from }
        });
        if !canary!("who came later is charged for who came before") {
            group.charge(&mut self.accounts, now);
        }
        group.members.insert(claim);
        self.waiting.insert(claim, Waiting { shape, scope, joined: group.parts.clone(), before_ns });
    }

    /// A claim waits no more.
    fn leave(&mut self, claim: ClaimId, now: Time) {
        let Some(waiting) = self.waiting.remove(&claim) else { return };
        let Some(group) = self.groups.get_mut(&waiting.shape) else { return };
        if !canary!("the last moments of a wait are nobody's") {
            group.charge(&mut self.accounts, now);
        }
        group.members.remove(&claim);
        let parts = waiting.parts(&group.parts);
        if group.members.is_empty() {
            group.key.iter().for_each(|key| self.accounts.close(key));
            self.groups.remove(&waiting.shape);
        }
        self.tally.add(&waiting.scope, &parts, now);
        self.over.insert(claim, parts);
        if self.over.len() > WAITS_MAX
            && let Some((oldest, _)) = self.over.pop_first()
        {
            self.forgotten = self.forgotten.max(oldest);
        }
    }

    /// Looks who holds what is waited for, and what those wait for of whom the engine told, and in turn others.
    fn look(&mut self, engine: &Engine, mut shapes: BTreeSet<Shape>) {
        if self.accounts.look(engine) {
            let after = self.seen_again.map_or(Bound::Unbounded, Bound::Excluded);
            let next = self.groups.range((after, Bound::Unbounded)).chain(&self.groups);
            let next: Vec<Shape> =
                next.map(|(shape, _)| *shape).take(LOOKED_AGAIN_MAX.min(self.groups.len())).collect();
            self.seen_again = next.last().copied();
            shapes.extend(next);
        }
        shapes.into_iter().for_each(|shape| self.see(engine, shape));
    }

    /// What the claims of a shape wait for now.
    fn see(&mut self, engine: &Engine, shape: Shape) {
        let Some(group) = self.groups.get_mut(&shape) else { return };
        let first = group.members.first().copied();
        let Some(row) = first.and_then(|claim| engine.books.claim(claim)) else { return };
        let (cause, key) = engine.cause(row);
        if (&cause, &key) == (&group.cause, &group.key) {
            return;
        }
        let now = engine.books.at();
        group.charge(&mut self.accounts, now);
        if key != group.key {
            group.key.iter().for_each(|key| self.accounts.close(key));
            group.from = key.as_ref().map_or_else(Arc::default, |key| self.accounts.open(engine, key));
        }
        (group.cause, group.key) = (cause, key);
    }

    /// What a claim waited for, or has waited for by `now`: the parts add up to the wait exactly, and there are none
    /// for one that did not wait. `None` where it is not remembered.
    pub fn parts(&self, claim: ClaimId, now: Time) -> Option<Vec<Part>> {
        match self.waiting.get(&claim) {
            Some(waiting) => {
                let record = self.groups.get(&waiting.shape)?.by(&self.accounts, now);
                Some(waiting.parts(&record))
            }
            None => self.over.get(&claim).cloned().or_else(|| (claim > self.forgotten).then(Vec::new)),
        }
    }

    /// What scopes waited for: those waits that are over, by the scope of whoever waited and by kind.
    pub fn tallies(&self) -> impl Iterator<Item = (&Arc<str>, Option<Row>, &Tallied)> {
        self.tally.iter()
    }
}
