//! Who waits, and who need not be tried: claims of one shape are a group, and a group that did not fit is
//! parked by what it was short of. What comes back wakes a line of parked groups as a whole; the groups in
//! it are tried in order, one by one, for as long as there is something to give.
mod first;

use crate::{
    lack::Lack,
    line::{Key, Lines, Place, Stand},
    shape::Shape,
};
use bursar_interface::{Amount, ClaimId, NONE, Row, Time, bound::RESOURCES_MAX};
use bursar_pool::Spread;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasherDefault,
};

type Quick<K, V> = HashMap<K, V, BuildHasherDefault<Spread>>;

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
    shape: Shape,
    scope: Row,
    members: BTreeSet<Place>,
    lack: Lack,
    /// Its line, and where it stands there with its first claim.
    line: u32,
    at: u32,
    first: Option<Place>,
    /// Kinds that its claims ask for, and [`ANYTHING`] where it cannot be told what helps.
    hints: Vec<u32>,
    due: Option<Time>,
}

/// Waiting claims that have a rank.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    groups: Vec<Group>,
    spare_groups: Vec<u32>,
    numbers: Quick<Shape, u32>,
    lines: Lines,
    /// The number of the line of each lack that somebody has.
    lacks: BTreeMap<Lack, u32>,
    spare_lines: Vec<u32>,
    used_lines: u32,
    /// Lines that may have somebody who fits now.
    awake: BTreeSet<Lack>,
    /// Groups that do not fit together, or beside what is kept, by what may help them.
    stuck: BTreeMap<u32, BTreeSet<u32>>,
    /// When what a group lacks will have come back by itself.
    due: BTreeSet<(Time, u32)>,
    /// Of how many groups each scope is, or one of those above them.
    counts: Vec<u32>,
    /// How many groups are of the root itself.
    of_root: u32,
    /// Scopes that may stand elsewhere since [`Queue::settle`].
    moved: Vec<Row>,
    is_moved: Vec<bool>,
    places: Quick<ClaimId, (Place, u32)>,
    /// Everyone, by who came first.
    oldest: BTreeSet<ClaimId>,
    /// Whoever came up to this one starves.
    starved: ClaimId,
}

impl Queue {
    /// Whether some group is worth a try.
    pub(crate) fn has_ripe(&self) -> bool {
        !self.awake.is_empty()
    }

    /// Whether nobody is known not to fit.
    pub(crate) fn all_ripe(&self) -> bool {
        // In order of the enumeration, `Nothing` is first.
        self.lacks.last_key_value().is_none_or(|(lack, _)| *lack == Lack::Nothing)
    }

    /// Whether all who are worth a try were short of such kinds.
    pub(crate) fn all_lack(&self, of: impl Fn(Row) -> bool) -> bool {
        self.awake.iter().all(|lack| matches!(lack, Lack::Kind(kind, _) if of(*kind)))
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
        self.oldest.range(ClaimId(self.starved.0 + 1)..).copied()
    }

    /// Adds a claim to the group of its shape; a new group is to be tried. `chain` is its scope and those
    /// above it, from below, each with the row above it; `hints` says what may help it.
    pub(crate) fn insert(
        &mut self,
        place: Place,
        shape: Shape,
        chain: impl Iterator<Item = (Row, Row)>,
        hints: impl FnOnce(&mut Vec<u32>),
    ) {
        let number = match self.numbers.get(&shape) {
            Some(&number) => number,
            None => self.add_group(shape, chain, hints),
        };
        let group = &mut self.groups[number as usize];
        group.members.insert(place);
        self.places.insert(place.claim, (place, number));
        self.oldest.insert(place.claim);
        if place.patience > 0 && place.claim <= self.starved {
            self.starved = ClaimId(place.claim.0 - 1);
        }
        let new = group.first.is_none();
        self.restand(number);
        if new {
            self.awake.insert(Lack::Nothing);
        }
    }

    fn add_group(
        &mut self,
        shape: Shape,
        chain: impl Iterator<Item = (Row, Row)>,
        hints: impl FnOnce(&mut Vec<u32>),
    ) -> u32 {
        let mut scope = NONE;
        for (at, parent) in chain {
            scope = if scope == NONE { at } else { scope };
            if self.counts.len() <= at as usize {
                self.counts.resize(at as usize + 1, 0);
                self.is_moved.resize(at as usize + 1, false);
            }
            self.counts[at as usize] += 1;
            if self.counts[at as usize] == 1 {
                self.lines.set_stand(at, Stand { parent, share: 0, own: 0 });
                self.moves(at);
            }
        }
        if scope != NONE && self.lines.parent(scope) == NONE {
            self.of_root += 1;
            self.moves(scope);
        }
        let number = self.spare_groups.pop().unwrap_or(self.groups.len() as u32);
        if number as usize == self.groups.len() {
            let (members, hints) = (BTreeSet::new(), Vec::new());
            let (lack, line, at, first, due) = (Lack::Nothing, NONE, NONE, None, None);
            self.groups.push(Group { shape, scope, members, lack, line, at, first, hints, due });
        }
        let group = &mut self.groups[number as usize];
        (group.shape, group.scope, group.lack) = (shape, scope, Lack::Nothing);
        hints(&mut group.hints);
        self.numbers.insert(shape, number);
        number
    }

    /// Takes a claim out, wherever it stands; says whether it stood here.
    pub(crate) fn remove(&mut self, claim: ClaimId) -> bool {
        if self.places.is_empty() {
            return false;
        }
        let Some((place, number)) = self.places.remove(&claim) else { return false };
        self.oldest.remove(&claim);
        let group = &mut self.groups[number as usize];
        group.members.remove(&place);
        if group.first == Some(place) {
            self.restand(number);
            if self.groups[number as usize].first.is_none() {
                self.drop_group(number);
            }
        }
        true
    }

    /// The first of all who are worth a try. `room` says how much there is of what a line lacks; lines for
    /// which there is none fall asleep, unless it is only `promised` away. Who moved must have been settled.
    pub(crate) fn first(&mut self, promised: bool, room: impl Fn(Lack) -> Amount) -> Option<Candidate> {
        let mut best: Option<(Key, u32)> = None;
        let Queue { awake, lacks, lines, .. } = self;
        awake.retain(|&lack| {
            let least = match lack {
                Lack::Kind(_, bits) | Lack::Ledger(_, bits) => 1 << bits,
                Lack::Nothing | Lack::Together | Lack::Within | Lack::Behind | Lack::Tried => 0,
            };
            let first = lacks.get(&lack).and_then(|&line| lines.first(line));
            match first {
                Some(first) if room(lack) >= least => best = Some(best.map_or(first, |best| best.min(first))),
                Some(_) => return promised,
                None => return false,
            }
            true
        });
        let group = &self.groups[best?.1 as usize];
        Some(Candidate { place: group.first?, shape: group.shape })
    }

    /// A waiting claim as a candidate, unless its like was tried in this round already.
    pub(crate) fn candidate(&self, claim: ClaimId) -> Option<Candidate> {
        let &(place, number) = self.places.get(&claim)?;
        let group = &self.groups[number as usize];
        (group.lack != Lack::Tried).then_some(Candidate { place, shape: group.shape })
    }

    /// As [`Queue::park`], for a group that was tried in this round, unless it is worth a try again.
    pub(crate) fn park_tried(&mut self, shape: Shape, lack: Lack, due: Option<Time>) {
        let number = self.numbers.get(&shape);
        if number.is_some_and(|&number| self.groups[number as usize].lack == Lack::Tried) {
            self.park(shape, lack, due);
        }
    }

    /// A group did not fit for want of `lack`: none of its shape is tried until that changes, or until
    /// it will have come back by itself.
    pub(crate) fn park(&mut self, shape: Shape, lack: Lack, due: Option<Time>) {
        let Some(&number) = self.numbers.get(&shape) else { return };
        self.move_group(number, lack);
        self.set_due(number, due);
        if let Lack::Together | Lack::Within | Lack::Behind = lack {
            for &hint in &self.groups[number as usize].hints {
                self.stuck.entry(hint).or_default().insert(number);
            }
        }
    }

    /// Something of this kind came back.
    pub(crate) fn wake(&mut self, hint: u32) {
        if self.lacks.is_empty() {
            return;
        }
        self.wake_lines(Lack::Kind(hint, 0)..=Lack::Kind(hint, u32::MAX));
        if self.stuck.is_empty() {
            return;
        }
        for number in self.stuck.remove(&hint).unwrap_or_default() {
            self.move_group(number, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    fn wake_lines(&mut self, lacks: std::ops::RangeInclusive<Lack>) {
        if self.awake.len() < self.lacks.len() {
            self.awake.extend(self.lacks.range(lacks).map(|(lack, _)| *lack));
        }
    }

    /// What is kept for the head is not what it was.
    pub(crate) fn wake_behind(&mut self) {
        self.wake_lines(Lack::Behind..=Lack::Behind);
    }

    /// There is more room in a ledger.
    pub(crate) fn wake_ledger(&mut self, quota: Row) {
        self.wake_lines(Lack::Ledger(quota, 0)..=Lack::Ledger(quota, u32::MAX));
    }

    fn set_due(&mut self, number: u32, due: Option<Time>) {
        let before = std::mem::replace(&mut self.groups[number as usize].due, due);
        if before == due {
            return;
        }
        if let Some(before) = before {
            self.due.remove(&(before, number));
        }
        self.due.extend(due.map(|due| (due, number)));
    }

    /// When the first group is worth a try again though nothing happens.
    pub(crate) fn first_due(&self) -> Option<Time> {
        self.due.first().map(|&(due, _)| due)
    }

    /// Groups whose lack has come back by itself are to be tried.
    pub(crate) fn wake_due(&mut self, now: Time) {
        while let Some(&(_, number)) = self.due.first().filter(|(due, _)| *due <= now) {
            self.set_due(number, None);
            self.move_group(number, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    /// A claim's group is worth a try.
    pub(crate) fn wake_claim(&mut self, claim: ClaimId) {
        if let Some(&(_, number)) = self.places.get(&claim) {
            self.move_group(number, Lack::Nothing);
            self.awake.insert(Lack::Nothing);
        }
    }

    /// Who stands behind a claim in its group.
    pub(crate) fn next_alike(&self, claim: ClaimId) -> Option<ClaimId> {
        let &(place, number) = self.places.get(&claim)?;
        let behind = (std::ops::Bound::Excluded(place), std::ops::Bound::Unbounded);
        self.groups[number as usize].members.range(behind).next().map(|place| place.claim)
    }

    /// Anything may have changed: every group is worth a try, and every scope may stand elsewhere.
    pub(crate) fn wake_all(&mut self) {
        for number in 0..self.groups.len() as u32 {
            if self.groups[number as usize].first.is_some() {
                self.move_group(number, Lack::Nothing);
                self.awake.insert(Lack::Nothing);
            }
        }
        for scope in 0..self.counts.len() as Row {
            self.moves(scope);
        }
    }

    /// A scope may stand elsewhere: whether some claim of it, or of one below it, waits here. The root has no
    /// siblings: where it stands counts against its children alone, for claims of its own.
    pub(crate) fn moves(&mut self, scope: Row) -> bool {
        let waits = self.counts.get(scope as usize).is_some_and(|&count| count > 0);
        if self.of_root == 0 && waits && self.lines.parent(scope) == NONE {
            return false;
        }
        if waits && !std::mem::replace(&mut self.is_moved[scope as usize], true) {
            self.moved.push(scope);
        }
        waits
    }

    /// Scopes that moved since the last time stand where `stand` says.
    pub(crate) fn settle(&mut self, mut stand: impl FnMut(Row) -> Stand) {
        while let Some(scope) = self.moved.pop() {
            self.is_moved[scope as usize] = false;
            if self.counts[scope as usize] > 0 {
                self.lines.set_stand(scope, stand(scope));
            }
        }
    }

    /// The tier at which a claim stands here.
    pub(crate) fn stands(&self, claim: ClaimId) -> Option<u64> {
        self.places.get(&claim).map(|(place, _)| place.tier)
    }

    /// Where a claim stands here.
    pub(crate) fn place(&self, claim: ClaimId) -> Option<Place> {
        self.places.get(&claim).map(|(place, _)| *place)
    }

    /// The first tier of those who lack this.
    pub(crate) fn first_tier(&self, lacks: std::ops::RangeInclusive<Lack>) -> Option<u64> {
        let lines = self.lacks.range(lacks).filter_map(|(_, &line)| self.lines.first(line));
        lines.map(|(key, _)| key.tier()).min()
    }

    /// A claim stands at another tier from now on.
    pub(crate) fn stand_at(&mut self, claim: ClaimId, tier: u64) {
        self.stand_as(claim, |place| Place { tier, ..place });
    }

    /// A claim has waited too long: it goes before others of its tier.
    pub(crate) fn starve(&mut self, claim: ClaimId) {
        self.starved = self.starved.max(claim);
        self.stand_as(claim, Place::starving);
    }

    fn stand_as(&mut self, claim: ClaimId, change: impl FnOnce(Place) -> Place) {
        let Some((place, number)) = self.places.get_mut(&claim) else { return };
        let (number, before, now) = (*number, *place, change(*place));
        *place = now;
        let group = &mut self.groups[number as usize];
        group.members.remove(&before);
        group.members.insert(now);
        self.restand(number);
    }

    fn move_group(&mut self, number: u32, to: Lack) {
        let group = &mut self.groups[number as usize];
        let from = std::mem::replace(&mut group.lack, to);
        if from == to {
            return;
        }
        let first = group.first.take();
        if let Some(place) = first {
            self.lines.leave(group.at, place, number);
        }
        let left = group.line;
        if to != Lack::Tried {
            self.set_due(number, None);
        }
        if matches!(from, Lack::Together | Lack::Within | Lack::Behind) {
            self.unstick(number);
        }
        self.close_line(from, left);
        self.restand(number);
    }

    /// A group stands in its line with whoever is its first now.
    fn restand(&mut self, number: u32) {
        let group = &mut self.groups[number as usize];
        let now = group.members.first().copied();
        let before = std::mem::replace(&mut group.first, now);
        match (before, now) {
            (None, Some(now)) => {
                let lack = group.lack;
                let line = self.open_line(lack);
                let group = &mut self.groups[number as usize];
                (group.line, group.at) = (line, self.lines.enter(line, group.scope, now, number));
            }
            (Some(before), Some(now)) if before != now => self.lines.replace(group.at, before, now, number),
            (Some(before), None) => {
                let (lack, line) = (group.lack, group.line);
                self.lines.leave(group.at, before, number);
                self.close_line(lack, line);
            }
            _ => {}
        }
    }

    fn open_line(&mut self, lack: Lack) -> u32 {
        if let Some(&line) = self.lacks.get(&lack) {
            return line;
        }
        let line = self.spare_lines.pop().unwrap_or_else(|| {
            self.used_lines += 1;
            self.used_lines - 1
        });
        self.lacks.insert(lack, line);
        line
    }

    fn close_line(&mut self, lack: Lack, line: u32) {
        if self.lines.is_empty(line) && self.lacks.remove(&lack).is_some() {
            self.awake.remove(&lack);
            self.spare_lines.push(line);
        }
    }

    fn unstick(&mut self, number: u32) {
        for hint in &self.groups[number as usize].hints {
            if let Some(groups) = self.stuck.get_mut(hint) {
                groups.remove(&number);
                if groups.is_empty() {
                    self.stuck.remove(hint);
                }
            }
        }
    }

    fn drop_group(&mut self, number: u32) {
        self.unstick(number);
        self.set_due(number, None);
        let group = &self.groups[number as usize];
        self.numbers.remove(&group.shape);
        let mut at = group.scope;
        self.of_root -= u32::from(self.lines.parent(at) == NONE);
        while at != NONE {
            self.counts[at as usize] -= 1;
            at = self.lines.parent(at);
        }
        self.spare_groups.push(number);
    }
}
