//! Who waits, and who need not be tried: claims of one shape are a group, and a group that did not fit is
//! parked by what it was short of. What comes back wakes a line of parked groups as a whole; the groups in
//! it are tried in order, one by one, for as long as there is something to give.
use crate::{
    line::{Key, Line, Place, Stand, Stands},
    shape::Shape,
};
use bursar_interface::{Amount, ClaimId, NONE, Row, Time, bound::RESOURCES_MAX};
use bursar_pool::Spread;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasherDefault,
};

/// What a group was short of, and how much of it, rounded to a power of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lack {
    /// Nothing yet: it is to be tried.
    Nothing,
    /// Of a kind, so much.
    Kind(Row, u32),
    /// Of room in a ledger, so much.
    Ledger(Row, u32),
    /// Enough is there of all, and still it does not fit.
    Together,
    /// It would fit, but for what is kept for the head.
    Behind,
    /// It was tried in this round, and is parked when that ends.
    Tried,
}

impl Lack {
    /// Short of `asked` of a kind.
    pub(crate) fn kind(resource: Row, asked: Amount) -> Lack {
        Lack::Kind(resource, asked.max(1).ilog2())
    }

    /// Short of room for `asked` in a ledger.
    pub(crate) fn ledger(quota: Row, asked: Amount) -> Lack {
        Lack::Ledger(quota, asked.max(1).ilog2())
    }
}

/// The hint of a group that any freed claim may help (it is kept apart from others).
pub(crate) const ANYTHING: u32 = RESOURCES_MAX as u32;

/// A claim taken out of the queue for a try.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) shape: Shape,
}

#[derive(Clone, Debug)]
struct Group {
    scope: Row,
    members: BTreeSet<Place>,
    lack: Lack,
    /// Kinds that its claims ask for, and [`ANYTHING`] where it cannot be told what helps.
    hints: Box<[u32]>,
    due: Option<Time>,
}

/// Waiting claims that have a rank.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    groups: BTreeMap<Shape, Group>,
    lines: BTreeMap<Lack, Line>,
    /// Lines that may have somebody who fits now.
    awake: BTreeSet<Lack>,
    /// Groups that do not fit together, or beside what is kept, by what may help them.
    stuck: BTreeMap<u32, BTreeSet<Shape>>,
    /// When what a group lacks will have come back by itself.
    due: BTreeSet<(Time, Shape)>,
    /// Where the scopes of groups, and those above them, stand; and of how many groups each.
    stands: Stands,
    counts: BTreeMap<Row, u32>,
    places: HashMap<ClaimId, (Place, Shape), BuildHasherDefault<Spread>>,
    /// Everyone, by who came first; and those of them who do not starve.
    oldest: BTreeSet<ClaimId>,
    patient: BTreeSet<ClaimId>,
}

impl Queue {
    /// Whether some group is worth a try.
    pub(crate) fn has_ripe(&self) -> bool {
        !self.awake.is_empty()
    }

    /// Whether nobody is known not to fit.
    pub(crate) fn all_ripe(&self) -> bool {
        self.lines.keys().all(|lack| *lack == Lack::Nothing)
    }

    /// Whether nobody waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many claims wait here.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Those who wait, who came first first.
    pub(crate) fn by_age(&self) -> impl Iterator<Item = ClaimId> + '_ {
        self.oldest.iter().copied()
    }

    /// Those who do not starve, who came first first.
    pub(crate) fn patient(&self) -> impl Iterator<Item = ClaimId> + '_ {
        self.patient.iter().copied()
    }

    /// Adds a claim to the group of its shape; a new group is to be tried. `chain` is its scope and those
    /// above it, from below.
    pub(crate) fn insert(
        &mut self,
        place: Place,
        shape: Shape,
        chain: impl Iterator<Item = (Row, Stand)>,
        hints: &[u32],
    ) {
        if !self.groups.contains_key(&shape) {
            self.add_group(shape, chain, hints);
        }
        let Some(group) = self.groups.get_mut(&shape) else { return };
        let scope = group.scope;
        let (lack, first) = (group.lack, group.members.first().copied());
        group.members.insert(place);
        self.places.insert(place.claim, (place, shape));
        self.oldest.insert(place.claim);
        if place.patience > 0 {
            self.patient.insert(place.claim);
        }
        if first.is_none_or(|first| place < first) {
            self.restand(lack, scope, shape, first, Some(place));
        }
        if first.is_none() && lack == Lack::Nothing {
            self.awake.insert(Lack::Nothing);
        }
    }

    fn add_group(&mut self, shape: Shape, chain: impl Iterator<Item = (Row, Stand)>, hints: &[u32]) {
        let mut scope = NONE;
        for (at, stand) in chain {
            scope = if scope == NONE { at } else { scope };
            *self.counts.entry(at).or_default() += 1;
            self.set_stand(at, stand);
        }
        let (members, lack, hints, due) = (BTreeSet::new(), Lack::Nothing, hints.into(), None);
        self.groups.insert(shape, Group { scope, members, lack, hints, due });
    }

    /// Takes a claim out, wherever it stands; says whether it stood here.
    pub(crate) fn remove(&mut self, claim: ClaimId) -> bool {
        if self.places.is_empty() {
            return false;
        }
        let Some((place, shape)) = self.places.remove(&claim) else { return false };
        self.oldest.remove(&claim);
        self.patient.remove(&claim);
        let Some(group) = self.groups.get_mut(&shape) else { return true };
        let first = group.members.first().copied();
        group.members.remove(&place);
        let (lack, scope, next) = (group.lack, group.scope, group.members.first().copied());
        if first == Some(place) {
            self.restand(lack, scope, shape, first, next);
        }
        if next.is_none() {
            self.drop_group(shape);
        }
        true
    }

    /// The first of all who are worth a try. `room` says how much there is of what a line lacks; lines for
    /// which there is none fall asleep, unless it is only `promised` away.
    pub(crate) fn first(&mut self, promised: bool, room: impl Fn(Lack) -> Amount) -> Option<Candidate> {
        let mut best: Option<(Key, Shape)> = None;
        let mut asleep = Vec::new();
        for &lack in &self.awake {
            let least = match lack {
                Lack::Kind(_, bits) | Lack::Ledger(_, bits) => 1 << bits,
                Lack::Nothing | Lack::Together | Lack::Behind | Lack::Tried => 0,
            };
            match self.lines.get(&lack).and_then(|line| line.first(&self.stands)) {
                Some(first) if room(lack) >= least => best = Some(best.map_or(first, |best| best.min(first))),
                Some(_) if promised => {}
                _ => asleep.push(lack),
            }
        }
        asleep.iter().for_each(|lack| {
            self.awake.remove(lack);
        });
        let (_, shape) = best?;
        let group = self.groups.get(&shape)?;
        Some(Candidate { place: *group.members.first()?, shape })
    }

    /// A waiting claim as a candidate, unless its like was tried in this round already.
    pub(crate) fn candidate(&self, claim: ClaimId) -> Option<Candidate> {
        let &(place, shape) = self.places.get(&claim)?;
        self.groups.get(&shape).filter(|group| group.lack != Lack::Tried)?;
        Some(Candidate { place, shape })
    }

    /// The tier of a waiting claim.
    pub(crate) fn tier(&self, claim: ClaimId) -> u64 {
        self.places.get(&claim).map_or(0, |(place, _)| place.tier)
    }

    /// As [`Queue::park`], for a group that was tried in this round, unless it is worth a try again.
    pub(crate) fn park_tried(&mut self, shape: Shape, lack: Lack, due: Option<Time>) {
        if self.groups.get(&shape).is_some_and(|group| group.lack == Lack::Tried) {
            self.park(shape, lack, due);
        }
    }

    /// A group did not fit for want of `lack`: none of its shape is tried until that changes, or until
    /// it will have come back by itself.
    pub(crate) fn park(&mut self, shape: Shape, lack: Lack, due: Option<Time>) {
        self.move_group(shape, lack);
        self.set_due(shape, due);
        if let (Lack::Together | Lack::Behind, Some(group)) = (lack, self.groups.get(&shape)) {
            for &hint in &group.hints {
                self.stuck.entry(hint).or_default().insert(shape);
            }
        }
    }

    /// Something of this kind came back.
    pub(crate) fn wake(&mut self, hint: u32) {
        if self.lines.is_empty() {
            return;
        }
        let of_kind = Lack::Kind(hint, 0)..=Lack::Kind(hint, u32::MAX);
        self.awake.extend(self.lines.range(of_kind).map(|(lack, _)| *lack));
        for shape in self.stuck.remove(&hint).unwrap_or_default() {
            self.move_group(shape, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    /// What is kept for the head is not what it was.
    pub(crate) fn wake_behind(&mut self) {
        if self.lines.contains_key(&Lack::Behind) {
            self.awake.insert(Lack::Behind);
        }
    }

    /// There is more room in a ledger.
    pub(crate) fn wake_ledger(&mut self, quota: Row) {
        let of_ledger = Lack::Ledger(quota, 0)..=Lack::Ledger(quota, u32::MAX);
        self.awake.extend(self.lines.range(of_ledger).map(|(lack, _)| *lack));
    }

    fn set_due(&mut self, shape: Shape, due: Option<Time>) {
        let Some(group) = self.groups.get_mut(&shape) else { return };
        if let Some(before) = std::mem::replace(&mut group.due, due) {
            self.due.remove(&(before, shape));
        }
        self.due.extend(due.map(|due| (due, shape)));
    }

    /// When the first group is worth a try again though nothing happens.
    pub(crate) fn first_due(&self) -> Option<Time> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Groups whose lack has come back by itself are to be tried.
    pub(crate) fn wake_due(&mut self, now: Time) {
        while let Some(&(due, shape)) = self.due.first().filter(|(due, _)| *due <= now) {
            self.due.remove(&(due, shape));
            self.set_due(shape, None);
            self.move_group(shape, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    /// A claim's group is worth a try.
    pub(crate) fn wake_claim(&mut self, claim: ClaimId) {
        if let Some(&(_, shape)) = self.places.get(&claim) {
            self.move_group(shape, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    /// Who stands behind a claim in its group.
    pub(crate) fn next_alike(&self, claim: ClaimId) -> Option<ClaimId> {
        let (place, shape) = self.places.get(&claim)?;
        let behind = (std::ops::Bound::Excluded(*place), std::ops::Bound::Unbounded);
        self.groups.get(shape)?.members.range(behind).next().map(|place| place.claim)
    }

    /// Anything may have changed: every group is worth a try.
    pub(crate) fn wake_all(&mut self) {
        let shapes: Vec<Shape> = self.groups.keys().copied().collect();
        shapes.into_iter().for_each(|shape| self.move_group(shape, Lack::Nothing));
        if !self.groups.is_empty() {
            self.awake.insert(Lack::Nothing);
        }
    }

    /// Whether some claim of the scope, or of one below it, waits here.
    pub(crate) fn stands(&self, scope: Row) -> bool {
        self.stands.contains_key(&scope)
    }

    /// Where a scope stands from now on.
    pub(crate) fn set_stand(&mut self, scope: Row, stand: Stand) {
        if self.stands.insert(scope, stand) != Some(stand) {
            let stands = &self.stands;
            self.lines.values_mut().for_each(|line| line.refresh(stands, scope));
        }
    }

    /// A claim has waited too long: it goes before others of its tier.
    pub(crate) fn starve(&mut self, claim: ClaimId) {
        self.patient.remove(&claim);
        let Some(&(place, shape)) = self.places.get(&claim) else { return };
        let Some(group) = self.groups.get_mut(&shape) else { return };
        let first = group.members.first().copied();
        group.members.remove(&place);
        let starved = Place { patience: 0, ..place };
        group.members.insert(starved);
        let (lack, scope, next) = (group.lack, group.scope, group.members.first().copied());
        self.places.insert(claim, (starved, shape));
        if first != next {
            self.restand(lack, scope, shape, first, next);
        }
    }

    fn move_group(&mut self, shape: Shape, to: Lack) {
        let Some(group) = self.groups.get_mut(&shape) else { return };
        let from = std::mem::replace(&mut group.lack, to);
        if from == to {
            return;
        }
        let (scope, first) = (group.scope, group.members.first().copied());
        if to != Lack::Tried {
            self.set_due(shape, None);
        }
        if matches!(from, Lack::Together | Lack::Behind) {
            self.unstick(shape);
        }
        self.restand(from, scope, shape, first, None);
        self.restand(to, scope, shape, None, first);
    }

    /// A group stands in its line with another claim than before.
    fn restand(&mut self, lack: Lack, scope: Row, shape: Shape, before: Option<Place>, now: Option<Place>) {
        let line = self.lines.entry(lack).or_default();
        if let Some(place) = before {
            line.leave(&self.stands, scope, place, shape);
        }
        if let Some(place) = now {
            line.enter(&self.stands, scope, place, shape);
        }
        if line.is_empty() {
            self.lines.remove(&lack);
            self.awake.remove(&lack);
        }
    }

    fn unstick(&mut self, shape: Shape) {
        let Some(group) = self.groups.get(&shape) else { return };
        for hint in &group.hints {
            if let Some(shapes) = self.stuck.get_mut(hint) {
                shapes.remove(&shape);
                if shapes.is_empty() {
                    self.stuck.remove(hint);
                }
            }
        }
    }

    fn drop_group(&mut self, shape: Shape) {
        self.unstick(shape);
        self.set_due(shape, None);
        let Some(group) = self.groups.remove(&shape) else { return };
        let mut at = group.scope;
        while let (Some(count), Some(stand)) = (self.counts.get_mut(&at), self.stands.get(&at).copied()) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&at);
                self.stands.remove(&at);
            }
            at = stand.parent;
        }
    }
}
