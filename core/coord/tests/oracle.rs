//! Random worlds of things and holders, against an oracle that tries every order in which claims could be had: what
//! is refused would wait forever, what is not would not, and without the one that is refused nobody would.
use bursar_coord::{Held, Looks, Reduction, Verdict, WaitFor};
use bursar_interface::ClaimId;
use std::collections::{BTreeMap, BTreeSet};

/// Worlds, and claims that come in each.
const WORLDS: u64 = 3000;
const CLAIMS: u64 = 7;
/// Kinds of things.
const KINDS: u64 = 4;

/// Marsaglia's xorshift.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// How much of each kind.
type Amounts = BTreeMap<u64, u64>;

/// What there is, who holds how much, and what each claim asks for: all of one of its sets.
#[derive(Default)]
struct World {
    all: Amounts,
    holds: BTreeMap<ClaimId, Amounts>,
    asks: BTreeMap<ClaimId, Vec<Amounts>>,
}

impl World {
    fn random(random: &mut Random) -> World {
        let mut world = World::default();
        // Of most kinds there is one, as of a lock.
        world
            .all
            .extend((0..KINDS).map(|kind| (kind, if random.below(3) > 0 { 1 } else { 2 + random.below(4) })));
        for lease in 1..=2 + random.below(4) {
            let mut held = Amounts::new();
            for kind in 0..KINDS {
                let taken: u64 = world.holds.values().filter_map(|held| held.get(&kind)).sum();
                let left = world.all[&kind] - taken;
                if left > 0 && random.below(2) == 0 {
                    held.insert(kind, 1 + random.below(left));
                }
            }
            world.holds.insert(ClaimId(lease), held);
        }
        world
    }

    fn ask(&mut self, random: &mut Random, claim: ClaimId) {
        let mut set = || {
            let kinds = (0..1 + random.below(2)).map(|_| random.below(KINDS)).collect::<BTreeSet<_>>();
            kinds.into_iter().map(|kind| (kind, 1 + random.below(self.all[&kind]))).collect()
        };
        let first = set();
        let mut sets = vec![first];
        if random.below(4) == 0 {
            let mut set = || {
                let kind = random.below(KINDS);
                Amounts::from([(kind, 1 + random.below(self.all[&kind]))])
            };
            sets.push(set());
        }
        self.asks.insert(claim, sets);
    }

    fn short(&self, set: &Amounts, stay: &[ClaimId]) -> Option<u64> {
        let taken = |kind| stay.iter().filter_map(|lease| self.holds[lease].get(&kind)).sum::<u64>();
        set.iter().find(|&(&kind, &asked)| self.all[&kind] - taken(kind) < asked).map(|(&kind, _)| kind)
    }
}

impl Held for World {
    fn could_have(&self, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool {
        looks.took(1 + stay.len());
        self.asks[&claim].iter().any(|set| self.short(set, stay).is_none())
    }

    fn keeps(&self, lease: ClaimId, claim: ClaimId, stay: &[ClaimId], looks: &mut Looks) -> bool {
        looks.took(1);
        let has = |set: &Amounts| {
            self.short(set, stay).is_some_and(|_| {
                let taken = |kind| stay.iter().filter_map(|lease| self.holds[lease].get(&kind)).sum::<u64>();
                let mut short = set.iter().filter(|&(&kind, &asked)| self.all[&kind] - taken(kind) < asked);
                short.any(|(kind, _)| self.holds[&lease].contains_key(kind))
            })
        };
        self.asks[&claim].iter().any(has)
    }

    fn ends(&self, _: ClaimId) -> bool {
        false
    }
}

/// Whether a claim is had in some order in which those who wait are: tries all of them, in every order.
fn had(
    world: &World,
    waits: &BTreeMap<ClaimId, Vec<ClaimId>>,
    goal: ClaimId,
    seen: &mut BTreeSet<Vec<ClaimId>>,
) -> bool {
    let open: Vec<ClaimId> = waits.keys().copied().collect();
    if !seen.insert(open.clone()) {
        return false;
    }
    let stay: BTreeSet<ClaimId> = waits.values().flatten().copied().collect();
    let stay: Vec<ClaimId> = stay.into_iter().collect();
    let fits = |claim: ClaimId| world.asks[&claim].iter().any(|set| world.short(set, &stay).is_none());
    if fits(goal) {
        return true;
    }
    open.into_iter().filter(|&claim| claim != goal && fits(claim)).any(|claim| {
        let mut fewer = waits.clone();
        fewer.remove(&claim);
        had(world, &fewer, goal, seen)
    })
}

fn ever(world: &World, waits: &BTreeMap<ClaimId, Vec<ClaimId>>, goal: ClaimId) -> bool {
    had(world, waits, goal, &mut BTreeSet::new())
}

/// Each link is kept from its claim by its lease, whose holder asked for the next; the last is the first one's own.
fn assert_closed(
    world: &World,
    graph: &WaitFor,
    stay: &[ClaimId],
    circle: &[(ClaimId, ClaimId)],
    claim: ClaimId,
) {
    assert_eq!(circle.first().map(|link| link.0), Some(claim));
    for (at, &(waits, lease)) in circle.iter().enumerate() {
        assert!(world.keeps(lease, waits, stay, &mut Looks::new(usize::MAX)), "{waits} by {lease}");
        let next = circle.get(at + 1).map_or(claim, |next| next.0);
        assert!(graph.held(next).contains(&lease), "{next} holds {lease}");
    }
}

#[test]
fn one_is_refused_of_each_circle_and_nobody_else() {
    let (mut refused, mut longest, mut reduction) = (0, 0, Reduction::default());
    for seed in 1..=WORLDS {
        let mut random = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut world = World::random(&mut random);
        let (mut graph, mut waits) = (WaitFor::default(), BTreeMap::new());
        for claim in (100..100 + CLAIMS).map(ClaimId) {
            world.ask(&mut random, claim);
            let leases = world.holds.len() as u64;
            let held: BTreeSet<ClaimId> =
                (0..1 + random.below(2)).map(|_| ClaimId(1 + random.below(leases))).collect();
            let held: Vec<ClaimId> = held.into_iter().collect();
            graph.park(claim, held.iter().copied());
            let alone = ever(&world, &waits, claim);
            waits.insert(claim, held);
            let verdict = reduction.closes(&graph, claim, &world, &mut Looks::new(usize::MAX));
            let closes = alone && !ever(&world, &waits, claim);
            assert_eq!(verdict == Verdict::Closes, closes, "world {seed}: {claim} of {waits:?}");
            if closes {
                let circle = reduction.circle(&graph, claim, &world, &mut Looks::new(usize::MAX));
                let stay = reduction.stay().to_vec();
                assert_closed(&world, &graph, &stay, &circle, claim);
                (refused, longest) = (refused + 1, longest.max(circle.len()));
                graph.leave(claim);
                waits.remove(&claim);
            }
            let stuck =
                reduction.stuck(&graph, &world, &mut Looks::new(usize::MAX)).expect("enough to look at");
            assert_eq!(stuck, [], "world {seed}: they wait forever");
            assert!(waits.keys().all(|&claim| ever(&world, &waits, claim)), "world {seed}");
        }
    }
    assert!(refused > 1000 && longest > 2, "{refused} refused, {longest} links");
}

#[test]
fn what_cannot_be_looked_at_is_unknown_and_nobody_is_refused_for_it() {
    let mut world = World { all: Amounts::from([(0, 1), (1, 1)]), ..World::default() };
    let (one, two, first, second) = (ClaimId(1), ClaimId(2), ClaimId(10), ClaimId(11));
    world.holds = BTreeMap::from([(one, Amounts::from([(0, 1)])), (two, Amounts::from([(1, 1)]))]);
    world.asks =
        BTreeMap::from([(first, vec![Amounts::from([(1, 1)])]), (second, vec![Amounts::from([(0, 1)])])]);
    let (mut graph, mut reduction) = (WaitFor::default(), Reduction::default());
    graph.park(first, [one].into_iter());
    graph.park(second, [two].into_iter());
    let mut verdict = |most| reduction.closes(&graph, second, &world, &mut Looks::new(most));
    assert_eq!((verdict(2), verdict(1000)), (Verdict::Unknown, Verdict::Closes));
    assert_eq!(reduction.stuck(&graph, &world, &mut Looks::new(2)), None);
    let waits = |reduction: &mut Reduction, claim, other| {
        reduction.holds_up(&graph, claim, other, &world, &mut Looks::new(1000))
    };
    // Whoever waits for what the one holds is held up while its claim is; and not by the other alone.
    assert!(waits(&mut reduction, first, second) && waits(&mut reduction, second, first));
    graph.leave(second);
    world.asks.insert(ClaimId(12), vec![Amounts::from([(0, 1)])]);
    assert!(reduction.holds_up(&graph, first, ClaimId(12), &world, &mut Looks::new(1000)));
    world.asks.insert(ClaimId(12), vec![Amounts::from([(1, 1)])]);
    assert!(!reduction.holds_up(&graph, first, ClaimId(12), &world, &mut Looks::new(1000)));
}
