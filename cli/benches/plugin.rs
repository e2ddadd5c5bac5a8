//! Goal 2: ask and release through the engine with the allocator linked in, inline from a library, and
//! in a child. Interleaved rounds in one run; ratios of medians.
use bursar_builtin as _;
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use bursar_loader::{Loader, Settings};
use std::{path::PathBuf, time::Duration, time::Instant};

const ROUNDS: usize = 7;
const HOMES: [Home; 3] = [Home::Linked, Home::Inline, Home::Child];
/// Claims in one step, and pairs in one round.
const SIZES: [(usize, usize); 2] = [(1, 2_000), (256, 20_480)];

fn main() {
    for (batch, pairs) in SIZES {
        let mut worlds = HOMES.map(world);
        let mut rates = HOMES.map(|_| Vec::new());
        for _ in 0..ROUNDS {
            for (world, rates) in worlds.iter_mut().zip(&mut rates) {
                rates.push(world.rate(batch, pairs));
            }
        }
        let medians = rates.each_mut().map(|rates| {
            rates.sort_by(f64::total_cmp);
            rates[ROUNDS / 2]
        });
        for ((home, median), all) in HOMES.iter().zip(&medians).zip(&rates) {
            println!(
                "{batch:>3} claims a step, best-fit {home:<8?} {:>9.1} k pairs/s  [{:.1} .. {:.1}]",
                median / 1e3,
                all[0] / 1e3,
                all[ROUNDS - 1] / 1e3
            );
        }
        println!(
            "goal 2, {batch} a step: inline costs {:.2}× linked (goal ≤ 1.5×); a child {:.1}×",
            medians[0] / medians[1],
            medians[0] / medians[2]
        );
    }
}

struct World {
    engine: Engine,
    plugins: Plugins,
    at: u64,
    // Its children end with it.
    _loader: Option<(Loader, tempfile::TempDir)>,
}

fn world(home: Home) -> World {
    let make = |id: &str| {
        let found = bursar_sdk::linked().filter(|entry| entry.id == id).find_map(|entry| match entry.make {
            bursar_sdk::Make::Allocator(make) => make(&Default::default()).ok(),
            _ => None,
        });
        found.expect("linked in")
    };
    let mut plugins = Plugins {
        qos: Seat::linked("class", || {
            let found = bursar_sdk::linked().find_map(|entry| match entry.make {
                bursar_sdk::Make::Qos(make) => make(&Default::default()).ok(),
                _ => None,
            });
            found.expect("linked in")
        }),
        allocator: Seat::linked("best-fit", || make("best-fit")),
    };
    let loader = (home != Home::Linked).then(|| {
        let (mut loader, scratch) = loader(home);
        let seated = loader.allocator("best-fit", "").expect("there");
        assert_eq!(seated.decider.home, home);
        plugins.allocator.swap(seated.decider, seated.plugin);
        (loader, scratch)
    });
    let mut world = World { engine: Engine::new(), plugins, at: 1, _loader: loader };
    let kind = |name: &str| ResourceSpec {
        name: name.into(),
        shape: Shape::Capacity,
        unit: "pieces".into(),
        min: 1,
        step: 1,
        piece: 0,
        springs: 0,
        driven: false,
    };
    let mut setup = ["cpu", "memory"].map(|name| Command::SetResource(kind(name))).to_vec();
    for n in 0..16 {
        let node = format!("n{n}");
        setup.push(Command::SetNode(NodeSpec { name: node.clone(), ..NodeSpec::default() }));
        setup.extend(["cpu", "memory"].map(|name| {
            let (resource, node) = (name.into(), Some(node.clone()));
            Command::SetPool(PoolSpec {
                resource,
                node,
                name: name.into(),
                capacity: 1 << 30,
                labels: Vec::new(),
                ..PoolSpec::default()
            })
        }));
    }
    setup.push(Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 });
    world.step(setup);
    world
}

/// A loader whose libraries run in `home`.
fn loader(home: Home) -> (Loader, tempfile::TempDir) {
    let built = std::env::var_os("BURSAR_PLUGINS").map(PathBuf::from);
    let built = built.expect("BURSAR_PLUGINS names the folder of the libraries; `cargo xtask bench` sets it");
    let scratch = tempfile::TempDir::new().expect("a folder");
    let folder = scratch.path().join("plugins");
    std::fs::create_dir(&folder).expect("made");
    std::fs::copy(built.join("liballoc_fit.so"), folder.join("liballoc_fit.so")).expect("copied");
    let bytes = std::fs::read(folder.join("liballoc_fit.so")).expect("read");
    let trusted = (home == Home::Inline).then(|| bursar_loader::sha256(&bytes));
    let settings = Settings {
        dirs: vec![folder],
        stage: scratch.path().join("stage"),
        trusted: trusted.into_iter().collect(),
        host: (env!("CARGO_BIN_EXE_bursar").into(), vec!["plugin-host".into(), "--".into()]),
        strategy_deadline: Duration::from_millis(500),
        call_deadline: Duration::from_secs(2),
        strikes_max: 3,
        quarantine: Duration::from_secs(30),
        pins: Default::default(),
        grants: Default::default(),
    };
    (Loader::new(settings).expect("a stage"), scratch)
}

impl World {
    fn step(&mut self, bodies: Vec<Command>) -> Batch {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        self.at += 1;
        self.engine.step(Time(self.at), inputs, &mut self.plugins)
    }

    /// Pairs of ask and release per second.
    fn rate(&mut self, batch: usize, pairs: usize) -> f64 {
        let line = |name: &str| LineAsk { resource: name.into(), amount: 3, ..LineAsk::default() };
        let ask = || {
            Command::Ask(Ask { ttl_ns: 1 << 40, lines: vec![line("cpu"), line("memory")], ..Ask::default() })
        };
        let start = Instant::now();
        for _ in 0..pairs / batch {
            let granted = self.step((0..batch).map(|_| ask()).collect());
            let releases: Vec<Command> = granted
                .events
                .iter()
                .filter_map(|event| match &event.what {
                    What::Granted { claim, fence, .. } => {
                        Some(Command::Release { claim: *claim, fence: *fence })
                    }
                    What::PluginFault { fault, .. } => panic!("{fault}"),
                    _ => None,
                })
                .collect();
            assert_eq!(releases.len(), batch);
            self.step(releases);
        }
        (pairs / batch * batch) as f64 / start.elapsed().as_secs_f64()
    }
}
