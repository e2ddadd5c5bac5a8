//! The place of everybody who waits, in the one order in which they are served.
//!
//! Whoever only folds has no ranks: they are no part of the state. So each step says who stood in line in it, and
//! where; from that the whole order is found by the same comparator over the same shares ([`crate::line`]), each
//! before the next standing as if it had been granted what it asks for, as a pass over the line has it.
use crate::{
    Engine,
    line::{Place, Stand},
    promised::Promised,
    queue::Queue,
};
use bursar_interface::{ClaimId, Phase, Rank, Row, Time, bound::STARVED_NS};
use std::collections::BTreeSet;

/// Where a claim stood in line, or stands from now on: what a strategy and inheritance make of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stood {
    /// Who.
    pub claim: ClaimId,
    /// Class, and what else goes above fairness: smaller goes first.
    pub tier: u64,
    /// Order within the tier of one scope: smaller goes first.
    pub share: u64,
}

impl From<Place> for Stood {
    fn from(place: Place) -> Stood {
        Stood { claim: place.claim, tier: place.tier, share: place.share }
    }
}

impl Engine {
    /// Who took a place in the line in the last step, or was moved there; of one claim the last counts. Nobody's
    /// after a fold.
    pub fn stood(&self) -> &[Stood] {
        &self.stood
    }

    /// Those of `standing` who still wait, who is served first first; at most so many. A gang stands there once,
    /// as one of its members. O(n · depth · log n).
    pub fn order(&self, standing: impl IntoIterator<Item = Stood>, most: usize) -> Vec<ClaimId> {
        let mut queue = Queue::default();
        standing.into_iter().for_each(|stood| self.stand_again_in(&mut queue, stood));
        let (books, mut promised) = (&self.books, Promised::default());
        promised.clear();
        let (mut order, mut gangs) = (Vec::new(), BTreeSet::new());
        while order.len() < most {
            queue.settle(|scope| -> Stand { promised.stand(books, scope) });
            // Whoever waits is in the order, whatever it lacks.
            let Some(next) = queue.first(true, |_| u64::MAX) else { break };
            let claim = next.place.claim;
            queue.remove(claim);
            let members = self.gang_members(claim);
            if members.first().is_some_and(|&first| !gangs.insert(first)) {
                continue;
            }
            order.push(claim);
            let all = if members.is_empty() { vec![claim] } else { members };
            for row in all.into_iter().filter_map(|claim| self.books.claim(claim)) {
                self.promise_in(&mut queue, &mut promised, row);
            }
        }
        order
    }

    /// All who wait to be granted together with a claim, itself among them; nobody for one that waits alone.
    pub fn gang_members(&self, claim: ClaimId) -> Vec<ClaimId> {
        self.gang(claim).map_or_else(Vec::new, |gang| {
            let mut members: Vec<ClaimId> = gang.into_iter().map(|offer| offer.claim).collect();
            members.sort_unstable();
            members
        })
    }

    fn stand_again_in(&self, queue: &mut Queue, stood: Stood) {
        let waits = |row: &Row| self.books.phase(*row) == Phase::Pending;
        let Some(row) = self.books.claim(stood.claim).filter(waits) else { return };
        if self.waits_for_others(stood.claim) {
            return;
        }
        let asked_at = Time(self.books.tables().claims.asked_at[row as usize]);
        let starves = asked_at.after(STARVED_NS) <= self.books.at();
        let place = Place::new(Rank { tier: stood.tier, share: stood.share }, stood.claim);
        let place = if starves { place.starving() } else { place };
        let tables = self.books.tables();
        let chain = self.books.chain(tables.claims.scope[row as usize]);
        let chain = chain.map(|at| (at, tables.scopes.parent[at as usize]));
        queue.insert(place, self.shape_of(row), chain, |_| ());
    }

    fn promise_in(&self, queue: &mut Queue, promised: &mut Promised, row: Row) {
        let tables = self.books.tables();
        let scope = tables.claims.scope[row as usize];
        for line in tables.claims.line_rows(row).map(|line| line as usize) {
            let (kind, amount) = (tables.lines.resource[line], tables.lines.amount[line]);
            promised.add(kind, amount, self.books.chain(scope));
        }
        self.books.chain(scope).for_each(|at| {
            queue.moves(at);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Plugins, Seat};
    use bursar_interface::{
        Allocator, Ask, Class, Command, Fault, Fence, Gang, Input, LineAsk, NONE, Plan, PoolSpec, Principal,
        Qos, ResourceSpec, ScopeSpec, Shape, View, What,
    };
    use std::collections::BTreeMap;

    struct ByClass;
    impl Allocator for ByClass {
        fn place(&mut self, _: &View<'_>, queue: &[Row], plan: &mut Plan<'_>) -> Result<(), Fault> {
            queue.iter().for_each(|&claim| {
                plan.place(claim, NONE);
            });
            Ok(())
        }
    }
    impl Qos for ByClass {
        fn rank(&mut self, view: &View<'_>, claims: &[Row], ranks: &mut [Rank]) -> Result<(), Fault> {
            for (rank, &claim) in ranks.iter_mut().zip(claims) {
                rank.tier = u64::from(view.claims.class[claim as usize]);
            }
            Ok(())
        }
    }

    /// One that decides, and one that only folds and is told who stood where.
    struct World {
        engine: Engine,
        folded: Engine,
        plugins: Plugins,
        standing: BTreeMap<ClaimId, Stood>,
        now: u64,
    }

    /// Units that there are.
    const UNITS: u64 = 64;

    impl World {
        fn new() -> World {
            let plugins = Plugins {
                qos: Seat::linked("class", || Box::new(ByClass) as Box<dyn Qos>),
                allocator: Seat::linked("class", || Box::new(ByClass) as Box<dyn Allocator>),
            };
            let (engine, folded, standing) = (Engine::new(), Engine::new(), BTreeMap::new());
            let mut world = World { engine, folded, plugins, standing, now: 1 };
            let (name, unit, shape) = ("slot".to_owned(), "pieces".to_owned(), Shape::Unit);
            let (min, step, piece, springs, driven) = (1, 1, 0, 0, false);
            let kind = ResourceSpec { name, shape, unit, min, step, piece, springs, driven };
            let (resource, name) = ("slot".to_owned(), "slot".to_owned());
            let pool = PoolSpec { resource, name, capacity: UNITS, ..PoolSpec::default() };
            let scopes = ["a", "a/x", "a/y", "b", "b/x", "c"];
            let scopes = scopes
                .iter()
                .zip(1..)
                .map(|(path, n)| Command::SetScope(ScopeSpec { path: (*path).into(), weight: 1 + n % 3 }));
            let setup = [Command::SetResource(kind), Command::SetPool(pool)].into_iter();
            world.step(setup.chain(scopes).collect());
            world
        }

        /// A step; who was granted what, in order.
        fn step(&mut self, bodies: Vec<Command>) -> Vec<(ClaimId, Fence)> {
            let by = Principal { admin: true, ..Principal::default() };
            let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
            let batch = self.engine.step(Time(self.now), inputs, &mut self.plugins);
            self.folded.fold(&batch);
            self.standing.extend(self.engine.stood().iter().map(|&stood| (stood.claim, stood)));
            let granted = batch.events.iter().filter_map(|event| match event.what {
                What::Granted { claim, fence, .. } => Some((claim, fence)),
                _ => None,
            });
            granted.collect()
        }

        /// The order as the one knows it that only folds.
        fn order(&self) -> Vec<ClaimId> {
            self.folded.order(self.standing.values().copied(), usize::MAX)
        }
    }

    fn ask(scope: &str, amount: u64, class: Class) -> Ask {
        let lines = vec![LineAsk { resource: "slot".into(), amount, ..LineAsk::default() }];
        Ask { scope: scope.into(), wait_ns: 1 << 50, ttl_ns: 1 << 50, class, lines, ..Ask::default() }
    }

    /// Forty who wait, of several scopes and classes, for a unit or for up to so many.
    fn crowd(most: u64) -> Vec<Command> {
        let scopes = ["a/x", "c", "a/y", "b/x", "a", "b/x", "b"];
        let classes = [Class::Burstable, Class::BestEffort, Class::Burstable, Class::Guaranteed];
        let asks = (0..40usize)
            .map(|n| Command::Ask(ask(scopes[n % scopes.len()], 1 + n as u64 % most, classes[n * 3 % 4])));
        asks.collect()
    }

    #[test]
    fn they_are_served_in_the_order_that_was_told() {
        let mut world = World::new();
        let held = (0..UNITS).map(|_| Command::Ask(ask("holder", 1, Class::Burstable))).collect();
        let held = world.step(held);
        world.step(crowd(1));
        let order = world.order();
        assert_eq!(order.len(), 40);
        assert!(order.is_sorted_by_key(|claim| world.standing[claim].tier), "classes first");
        assert!(!order.is_sorted(), "and not as they came");
        let mut served = Vec::new();
        for (claim, fence) in held.into_iter().take(40) {
            assert_eq!(world.order(), order[served.len()..], "nobody passes anybody");
            let granted = world.step(vec![Command::Release { claim, fence }]);
            served.extend(granted.into_iter().map(|(claim, _)| claim));
        }
        assert_eq!(served, order);
    }

    #[test]
    fn those_who_are_served_at_once_are_served_in_it_too() {
        let mut world = World::new();
        let held = world.step(vec![Command::Ask(ask("holder", UNITS, Class::Burstable))]);
        world.step(crowd(2));
        let order = world.order();
        let (claim, fence) = held[0];
        let served = world.step(vec![Command::Release { claim, fence }]);
        let served: Vec<ClaimId> = served.into_iter().map(|(claim, _)| claim).collect();
        assert!(served.len() > 30, "{}", served.len());
        assert_eq!(served, order[..served.len()]);
    }

    #[test]
    fn a_gang_has_one_place_and_none_before_all_of_it_is_there() {
        let mut world = World::new();
        world.step(vec![Command::Ask(ask("holder", UNITS, Class::Burstable))]);
        let member = |name: &str, size| {
            let gang = Some(Gang { name: name.into(), size });
            Command::Ask(Ask { gang, ..ask("a", 1, Class::Burstable) })
        };
        let alone = || Command::Ask(ask("a", 1, Class::Burstable));
        world.step(vec![member("half", 2), member("whole", 2), alone(), member("whole", 2), alone()]);
        let claims: Vec<u64> = world.order().iter().map(|claim| claim.0).collect();
        assert_eq!(claims, [3, 4, 6]);
        assert_eq!(world.folded.gang_members(ClaimId(5)), [ClaimId(3), ClaimId(5)]);
        // One leaves and another comes: whoever stood for all of them before does not stand there twice.
        world.step(vec![Command::Cancel { claim: ClaimId(5) }]);
        assert_eq!(world.order(), [ClaimId(4), ClaimId(6)]);
        world.step(vec![member("whole", 2)]);
        assert_eq!(world.order().len(), 3);
    }

    #[test]
    fn whoever_starves_goes_before_others_of_its_class() {
        let mut world = World::new();
        world.step(vec![Command::Ask(ask("holder", UNITS, Class::Burstable))]);
        // The first scope holds much, so that whoever comes of another goes before it.
        world.step(vec![Command::Ask(ask("holder", 1, Class::Burstable))]);
        world.now += STARVED_NS / 2;
        world.step(vec![Command::Ask(ask("c", 1, Class::Burstable))]);
        assert_eq!(world.order(), [ClaimId(3), ClaimId(2)]);
        world.now += STARVED_NS / 2 + 1;
        world.step(vec![Command::Tick]);
        assert_eq!(world.order(), [ClaimId(2), ClaimId(3)]);
    }
}
