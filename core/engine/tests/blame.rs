//! What waits are charged to, reckoned by hand: to what binds at each moment, and to those who hold it then.
mod plain;

use bursar_engine::{Blame, Engine, Part, Plugins};
use bursar_interface::*;
use plain::{inputs, kind, plugins};

const SECOND: u64 = 1_000_000_000;

/// An engine that is written about.
struct Scene {
    engine: Engine,
    blame: Blame,
    plugins: Plugins,
}

impl Scene {
    /// Four slots, a hundred of memory, and locks that spring from their names.
    fn new() -> Scene {
        let mut scene = Scene { engine: Engine::new(), blame: Blame::default(), plugins: plugins() };
        let kind = |name, springs| kind(name, Shape::Unit, springs);
        let pool = |name: &str, capacity| {
            let (resource, name) = (name.into(), name.into());
            Command::SetPool(PoolSpec { resource, name, capacity, ..PoolSpec::default() })
        };
        scene.at(0, vec![kind("slot", 0), kind("memory", 0), kind("lock", 1 << 20)]);
        scene.at(0, vec![pool("slot", 4), pool("memory", 100)]);
        scene
    }

    /// Steps at a second; the claims that came.
    fn at(&mut self, second: u64, bodies: Vec<Command>) -> Vec<ClaimId> {
        let batch = self.engine.step(Time(1 + second * SECOND), inputs(bodies), &mut self.plugins);
        self.blame.fold(&self.engine, &batch);
        let queued = batch.events.iter().filter_map(|event| match &event.what {
            What::Queued { claim, .. } => Some(*claim),
            What::Refused(refusal) => panic!("{refusal}"),
            _ => None,
        });
        queued.collect()
    }

    fn ask(&mut self, second: u64, scope: &str, lines: &[(&str, Amount)]) -> ClaimId {
        let line = |&(resource, amount): &(&str, Amount)| {
            let (resource, name) = resource.split_once(':').map_or((resource, None), |(a, b)| (a, Some(b)));
            let (resource, pool) = (resource.into(), name.map(str::to_owned));
            LineAsk { resource, amount, whole: name.is_some(), pool, ..LineAsk::default() }
        };
        let lines = lines.iter().map(line).collect();
        let (scope, wait_ns, ttl_ns) = (scope.into(), 1 << 50, 1 << 50);
        self.at(second, vec![Command::Ask(Ask { scope, wait_ns, ttl_ns, lines, ..Ask::default() })])[0]
    }

    fn release(&mut self, second: u64, claim: ClaimId) {
        let row = self.engine.books().claim(claim).expect("it lives");
        let fence = Fence(self.engine.view().claims.fence[row as usize]);
        self.at(second, vec![Command::Release { claim, fence }]);
    }

    /// What a claim has waited for by a second, in words.
    fn told(&self, claim: ClaimId, second: u64) -> Vec<String> {
        let parts = self.blame.parts(claim, Time(1 + second * SECOND)).expect("it waited");
        parts.iter().map(|part| self.part(part)).collect()
    }

    fn part(&self, part: &Part) -> String {
        let whole = |ns: u64| {
            assert!(ns % SECOND < 10 || SECOND - ns % SECOND < 10, "{part:?}");
            (ns + 5) / SECOND
        };
        let kind = part.cause.resource.map_or("-", |row| &self.engine.books().spec(row).name);
        let ledger = part.cause.ledger.as_ref().map(|path| format!(" in {path}")).unwrap_or_default();
        let holders: Vec<String> =
            part.holders().map(|share| format!(" {}={}", share.scope, whole(share.ns))).collect();
        format!("{kind}{ledger} {}:{}", whole(part.ns), holders.concat())
    }
}

#[test]
fn time_is_charged_to_those_who_hold_it_then_by_how_much_they_hold() {
    let mut scene = Scene::new();
    let first = scene.ask(0, "a/x", &[("slot", 1)]);
    scene.ask(0, "a/y", &[("slot", 2)]);
    let other = scene.ask(0, "b", &[("slot", 1)]);
    let waits = scene.ask(10, "c", &[("slot", 2)]);
    assert_eq!(scene.told(waits, 14), ["slot 4: a=3 b=1"], "others are told by their top-level scope");
    scene.release(14, first);
    let own = scene.ask(14, "a/z", &[("slot", 2)]);
    scene.release(20, other);
    assert_eq!(scene.told(waits, 99), ["slot 10: a=7 b=3"], "granted: nothing is added any more");
    assert_eq!(scene.told(own, 20), ["slot 6: a/y=4 b=2"], "its own are told by their scope");
    let tallies: Vec<(String, u64)> =
        scene.blame.tallies().map(|(scope, _, tallied)| (scope.to_string(), tallied.ns / SECOND)).collect();
    assert_eq!(tallies, [("c".to_owned(), 10)], "waits that are over");
}

#[test]
fn a_named_thing_and_a_quota_are_charged_to_those_in_them() {
    let mut scene = Scene::new();
    let quota =
        QuotaSpec { scope: "a".into(), resource: "slot".into(), limit: Some(2), ..QuotaSpec::default() };
    scene.at(0, vec![Command::SetQuota(quota)]);
    scene.ask(0, "b", &[("slot", 1), ("lock:one", 1 << 20)]);
    scene.ask(0, "a/x", &[("slot", 2), ("lock:two", 1 << 20)]);
    let bounded = scene.ask(10, "a/y", &[("slot", 1)]);
    let locked = scene.ask(11, "a/y", &[("lock:one", 1 << 20)]);
    assert_eq!(scene.told(bounded, 14), ["slot in a 4: a/x=4"]);
    assert_eq!(scene.told(locked, 14), ["lock 3: b=3"], "and not to whoever holds another lock");
}

#[test]
fn what_binds_may_change_without_anybody_being_told() {
    let mut scene = Scene::new();
    let slots = scene.ask(0, "a", &[("slot", 4)]);
    let memory = scene.ask(0, "b", &[("memory", 60)]);
    let waits = scene.ask(10, "c", &[("slot", 2), ("memory", 50)]);
    assert_eq!(scene.told(waits, 15), ["slot 5: a=5"], "all of the slots, and a fifth of the memory");
    scene.release(15, slots);
    assert_eq!(scene.told(waits, 18), ["slot 5: a=5", "memory 3: b=3"]);
    let late = scene.ask(17, "c", &[("slot", 2), ("memory", 50)]);
    scene.release(20, memory);
    assert_eq!(scene.told(waits, 20), ["slot 5: a=5", "memory 5: b=5"]);
    assert_eq!(scene.told(late, 20), ["memory 3: b=3"], "one of its shape that came later");
}

#[test]
fn of_what_was_before_nothing_is_known_and_it_still_adds_up() {
    let mut scene = Scene::new();
    scene.ask(0, "a", &[("slot", 4)]);
    let waits = scene.ask(10, "c", &[("slot", 2)]);
    scene.at(13, vec![Command::Tick]);
    scene.blame = Blame::begin(&scene.engine);
    assert_eq!(scene.told(waits, 20), ["slot 7: a=7", "- 3:"]);
}

#[test]
fn nobodys_part_depends_on_how_others_share_theirs() {
    let told = |others: &[(&str, Amount)]| {
        let mut scene = Scene::new();
        scene.ask(0, "a/x", &[("slot", 1)]);
        for &(scope, amount) in others {
            scene.ask(0, scope, &[("slot", amount)]);
        }
        let waits = scene.ask(1, "a/y", &[("slot", 2)]);
        let parts = scene.blame.parts(waits, Time(7_654_321_987)).expect("it waits");
        let own = |part: &Part| part.holders().find(|share| &*share.scope == "a/x").map(|share| share.ns);
        parts.iter().map(|part| (part.ns, own(part))).collect::<Vec<_>>()
    };
    assert_eq!(told(&[("b", 3)]), told(&[("b", 2), ("c", 1)]));
    assert_eq!(told(&[("b", 3)]), told(&[("x", 1), ("y", 1), ("z", 1)]));
}
