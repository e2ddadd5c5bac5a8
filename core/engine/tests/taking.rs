//! Who is told to leave, against every set of leases that could be: on small fleets all of them are tried.
//!
//! What must hold of the leases that are told: they are enough; none of them could have stayed (the superset filter
//! and the fill back); nobody of a better band is told where worse ones would do; somebody is told exactly when any
//! set at all would do; and where one lease has just what is missing, it is that one.
mod plain;

use bursar_engine::{Engine, Plugins};
use bursar_interface::*;
use plain::{kind, plugins};

/// Fleets that are tried.
const FLEETS: u64 = 4000;

/// Marsaglia's xorshift.
struct Dice(u64);
impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A lease as the second opinion knows it: cpu and memory.
#[derive(Clone, Copy, Debug)]
struct Lease {
    claim: ClaimId,
    node: usize,
    amounts: [Amount; 2],
    band: u32,
}

struct Fleet {
    engine: Engine,
    plugins: Plugins,
    /// Of each node.
    capacity: Vec<[Amount; 2]>,
    leases: Vec<Lease>,
    bands: Vec<u32>,
    /// All leases are of one class and priority.
    alike: bool,
}

fn told(body: Command) -> Input {
    Input { by: Principal { admin: true, ..Principal::default() }, body }
}

fn line(resource: &str, amount: Amount) -> LineAsk {
    LineAsk { resource: resource.into(), amount, ..LineAsk::default() }
}

impl Fleet {
    fn new(dice: &mut Dice) -> Fleet {
        let plugins = plugins();
        let bands = if dice.below(2) == 0 { vec![2] } else { Vec::new() };
        let (engine, alike) = (Engine::new(), dice.below(3) == 0);
        let mut fleet = Fleet { engine, plugins, capacity: Vec::new(), leases: Vec::new(), bands, alike };
        let mut first = Vec::from(["cpu", "memory"].map(|name| kind(name, Shape::Capacity, 0)));
        for node in 0..1 + dice.below(2) {
            let name = format!("n{node}");
            first.push(Command::SetNode(NodeSpec { name: name.clone(), ..NodeSpec::default() }));
            let capacity = [4 + dice.below(8), 4 + dice.below(8)];
            for (resource, capacity) in ["cpu", "memory"].into_iter().zip(capacity) {
                let (resource, node) = (resource.to_owned(), Some(name.clone()));
                let name = resource.clone();
                first.push(Command::SetPool(PoolSpec {
                    resource,
                    node,
                    name,
                    capacity,
                    ..PoolSpec::default()
                }));
            }
            fleet.capacity.push(capacity);
        }
        let (grace_ns, bands) = ([1_000_000_000; 3], fleet.bands.clone());
        let policy = PreemptionPolicy { by_band: true, grace_ns, bands, ..PreemptionPolicy::default() };
        first.push(Command::SetPreemption(policy));
        fleet.step(1, first);
        for at in 0..3 + dice.below(5) {
            fleet.lease(dice, 2 + at);
        }
        fleet
    }

    fn step(&mut self, at: u64, commands: Vec<Command>) -> Batch {
        self.engine.step(Time(at), commands.into_iter().map(told).collect(), &mut self.plugins)
    }

    fn band(&self, class: Class, priority: u32) -> u32 {
        let below = self.bands.iter().filter(|&&from| priority < from).count() as u32;
        class as u32 * (self.bands.len() as u32 + 1) + below
    }

    fn lease(&mut self, dice: &mut Dice, at: u64) {
        let (class, priority) = match self.alike {
            true => (Class::BestEffort, 1),
            false => ([Class::Burstable, Class::BestEffort][dice.below(2) as usize], dice.below(4) as u32),
        };
        let amounts = [1 + dice.below(5), 1 + dice.below(5)];
        let lines = vec![line("cpu", amounts[0]), line("memory", amounts[1])];
        let ask = Ask { class, priority, lines, ttl_ns: 1 << 50, ..Ask::default() };
        let batch = self.step(at, vec![Command::Ask(ask)]);
        let granted = batch.events.iter().find_map(|event| match &event.what {
            What::Granted { claim, .. } => Some(*claim),
            _ => None,
        });
        if let Some(claim) = granted {
            let row = self.engine.books().claim(claim).expect("granted") as usize;
            let node = self.engine.view().claims.node[row] as usize;
            let band = self.band(class, priority);
            self.leases.push(Lease { claim, node, amounts, band });
        }
    }

    /// What is free of a node once a set of leases is gone.
    fn free(&self, node: usize, gone: u32) -> [Amount; 2] {
        let mut free = self.capacity[node];
        for (i, lease) in self.leases.iter().enumerate().filter(|(_, lease)| lease.node == node) {
            if gone >> i & 1 == 0 {
                free = [0, 1].map(|kind| free[kind] - lease.amounts[kind]);
            }
        }
        free
    }

    fn fits(&self, node: usize, asked: [Amount; 2], gone: u32) -> bool {
        let free = self.free(node, gone);
        (0..2).all(|kind| asked[kind] <= free[kind])
    }

    /// The best band that must be taken from at least, larger is worse; `None` where no set would do.
    fn least(&self, asked: [Amount; 2]) -> Option<u32> {
        let sets = 1..1u32 << self.leases.len();
        let enough = sets.filter(|&set| (0..self.capacity.len()).any(|node| self.fits(node, asked, set)));
        enough.filter_map(|set| self.members(set).map(|lease| lease.band).min()).max()
    }

    fn members(&self, set: u32) -> impl Iterator<Item = &Lease> {
        self.leases.iter().enumerate().filter(move |(i, _)| set >> i & 1 == 1).map(|(_, lease)| lease)
    }
}

#[test]
fn those_who_are_told_are_enough_and_needed_and_of_the_worst_band_that_would_do() {
    let (mut taken, mut nobody, mut exact) = (0, 0, 0);
    for seed in 1..=FLEETS {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let mut fleet = Fleet::new(&mut dice);
        let asked = [1 + dice.below(9), 1 + dice.below(9)];
        if (0..fleet.capacity.len()).any(|node| fleet.fits(node, asked, 0)) {
            continue;
        }
        let lines = vec![line("cpu", asked[0]), line("memory", asked[1])];
        let (class, wait_ns, ttl_ns) = (Class::Guaranteed, 1 << 50, 1 << 50);
        let batch =
            fleet.step(100, vec![Command::Ask(Ask { class, lines, wait_ns, ttl_ns, ..Ask::default() })]);
        let victims = batch.events.iter().filter_map(|event| match &event.what {
            What::Preempting { claim, .. } => fleet.leases.iter().position(|lease| lease.claim == *claim),
            _ => None,
        });
        let set = victims.fold(0u32, |set, i| set | 1 << i);
        let Some(least) = fleet.least(asked) else {
            assert_eq!(set, 0, "seed {seed}: somebody is told, and it is not enough");
            nobody += 1;
            continue;
        };
        let node = (0..fleet.capacity.len()).find(|&node| fleet.fits(node, asked, set));
        let node = node.unwrap_or_else(|| panic!("seed {seed}: {set:b} is not enough"));
        for i in (0..fleet.leases.len()).filter(|i| set >> i & 1 == 1) {
            assert!(
                !fleet.fits(node, asked, set & !(1 << i)),
                "seed {seed}: one of {set:b} could have stayed"
            );
        }
        let worst = fleet.members(set).map(|lease| lease.band).min();
        assert_eq!(worst, Some(least), "seed {seed}: worse bands would have done");
        taken += 1;
        exact += u64::from(is_closest(&fleet, node, asked, set, seed));
    }
    eprintln!("told {taken}, nobody {nobody}, one that has just what is missing {exact}");
    assert!(taken > FLEETS / 4 && nobody > 10 && exact > 20, "{taken} {nobody} {exact}");
}

/// Where all on the only node are of one band and priority, and one has just what is missing of both, it is told
/// alone.
fn is_closest(fleet: &Fleet, node: usize, asked: [Amount; 2], set: u32, seed: u64) -> bool {
    let free = fleet.free(node, 0);
    let missing = [0, 1].map(|kind| asked[kind].saturating_sub(free[kind]));
    let short: Vec<usize> = (0..2).filter(|&kind| missing[kind] > 0).collect();
    let just = |lease: &Lease| short.iter().all(|&kind| lease.amounts[kind] == missing[kind]);
    if fleet.capacity.len() > 1 || !fleet.alike || !fleet.leases.iter().any(just) {
        return false;
    }
    let told: Vec<&Lease> = fleet.members(set).collect();
    assert!(told.len() == 1 && just(told[0]), "seed {seed}: {told:?} are told, and one has just {missing:?}");
    true
}
