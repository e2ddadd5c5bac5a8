//! Who waits, in what order, and who need not be tried: claims grouped by shape, groups parked until
//! an event can help them.
use crate::shape::Shape;
use bursar_interface::{ClaimId, Rank, bound::RESOURCES_MAX};
use bursar_pool::Spread;
use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    hash::BuildHasherDefault,
    ops::Bound,
};

/// A place in the line: rank first, then who came first.
type Place = (Rank, ClaimId);

#[derive(Clone, Debug, Default)]
struct Group {
    members: BTreeSet<Place>,
    ripe: bool,
    /// What can help: kinds that its claims ask for, and [`ANYTHING`] where it cannot be told.
    hints: Vec<u32>,
}

/// The hint of a group that any freed claim may help (it is kept apart from others).
pub(crate) const ANYTHING: u32 = RESOURCES_MAX as u32;

/// Waiting claims that have a rank.
#[derive(Clone, Debug, Default)]
pub(crate) struct Queue {
    groups: BTreeMap<Shape, Group>,
    /// The first of each ripe group.
    ripe: BTreeSet<(Place, Shape)>,
    /// Parked groups by what can help them.
    parked: BTreeMap<u32, BTreeSet<Shape>>,
    places: HashMap<ClaimId, (Place, Shape), BuildHasherDefault<Spread>>,
}

impl Queue {
    /// Whether some group is worth a try.
    pub(crate) fn has_ripe(&self) -> bool {
        !self.ripe.is_empty()
    }

    /// Whether nobody waits here.
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// How many claims wait here.
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether claims of this shape are known not to fit.
    pub(crate) fn is_parked(&self, shape: Shape) -> bool {
        self.groups.get(&shape).is_some_and(|group| !group.ripe)
    }

    /// Adds a claim to the group of its shape; a new group is parked or ripe as told.
    pub(crate) fn insert(&mut self, place: Place, shape: Shape, hints: &[u32], parked: bool) {
        let group = self.groups.entry(shape).or_insert_with(|| {
            if parked {
                hints.iter().for_each(|&hint| {
                    self.parked.entry(hint).or_default().insert(shape);
                });
            }
            Group { members: BTreeSet::new(), ripe: !parked, hints: hints.into() }
        });
        if group.ripe
            && let Some(&first) = group.members.first()
        {
            self.ripe.remove(&(first, shape));
        }
        group.members.insert(place);
        if let (true, Some(&first)) = (group.ripe, group.members.first()) {
            self.ripe.insert((first, shape));
        }
        self.places.insert(place.1, (place, shape));
    }

    /// Takes a claim out, wherever it stands; says whether it stood here.
    pub(crate) fn remove(&mut self, claim: ClaimId) -> bool {
        if self.places.is_empty() {
            return false;
        }
        let Some((place, shape)) = self.places.remove(&claim) else { return false };
        let Some(group) = self.groups.get_mut(&shape) else { return true };
        if group.ripe {
            self.ripe.remove(&(group.members.first().copied().unwrap_or(place), shape));
        }
        group.members.remove(&place);
        match group.members.first() {
            Some(&first) if group.ripe => {
                self.ripe.insert((first, shape));
            }
            Some(_) => {}
            None => {
                let group = self.groups.remove(&shape).unwrap_or_default();
                self.unpark(shape, &group.hints);
            }
        }
        true
    }

    /// The first claims in order of place over all ripe groups, at most `width` of one group and
    /// `most` in all. It stops where a group has more to offer, so that nobody overtakes.
    pub(crate) fn candidates(&self, width: usize, most: usize) -> Vec<(ClaimId, Shape)> {
        let mut frontier: BTreeSet<(Place, Shape)> = self.ripe.iter().take(most).copied().collect();
        let mut counts: BTreeMap<Shape, usize> = BTreeMap::new();
        let mut chosen = Vec::new();
        while let Some((place, shape)) = frontier.pop_first() {
            let count = counts.entry(shape).or_default();
            if *count == width || chosen.len() == most {
                break;
            }
            *count += 1;
            chosen.push((place.1, shape));
            let members = &self.groups[&shape].members;
            if let Some(&next) = members.range((Bound::Excluded(place), Bound::Unbounded)).next() {
                frontier.insert((next, shape));
            }
        }
        chosen
    }

    /// A claim did not fit: none of its shape is tried until a hint comes.
    pub(crate) fn park(&mut self, claim: ClaimId) {
        let Some(&(_, shape)) = self.places.get(&claim) else { return };
        let Some(group) = self.groups.get_mut(&shape) else { return };
        if !std::mem::replace(&mut group.ripe, false) {
            return;
        }
        if let Some(&first) = group.members.first() {
            self.ripe.remove(&(first, shape));
        }
        for &hint in &group.hints {
            self.parked.entry(hint).or_default().insert(shape);
        }
    }

    /// Something of this kind came back: the groups that ask for it are worth a try.
    pub(crate) fn wake(&mut self, hint: u32) {
        if self.parked.is_empty() {
            return;
        }
        for shape in self.parked.remove(&hint).unwrap_or_default() {
            self.ripen(shape);
        }
    }

    /// Anything may have changed: every group is worth a try.
    pub(crate) fn wake_all(&mut self) {
        let hints: Vec<u32> = self.parked.keys().copied().collect();
        hints.into_iter().for_each(|hint| self.wake(hint));
    }

    fn ripen(&mut self, shape: Shape) {
        let Some(group) = self.groups.get_mut(&shape) else { return };
        group.ripe = true;
        if let Some(&first) = group.members.first() {
            self.ripe.insert((first, shape));
        }
        let hints = group.hints.clone();
        self.unpark(shape, &hints);
    }

    fn unpark(&mut self, shape: Shape, hints: &[u32]) {
        for hint in hints {
            if let Some(shapes) = self.parked.get_mut(hint) {
                shapes.remove(&shape);
                if shapes.is_empty() {
                    self.parked.remove(hint);
                }
            }
        }
    }
}
