//! Engines of different sizes whose allocator is in one of the three homes.
use bursar_engine::{Engine, Plugins, Seat};
use bursar_interface::*;
use bursar_loader::{Loader, Settings};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How many machines, and how much each has of either kind.
#[derive(Clone, Copy)]
pub(crate) struct Fleet {
    pub(crate) nodes: usize,
    pub(crate) capacity: u64,
}

impl Fleet {
    /// A few large ones.
    pub(crate) const SMALL: Fleet = Fleet { nodes: 16, capacity: 1 << 30 };
}

/// An engine, and an allocator in one of the homes.
pub(crate) struct World {
    engine: Engine,
    plugins: Plugins,
    at: u64,
    // Its children end with it.
    _loader: Option<(Loader, tempfile::TempDir)>,
}

impl World {
    pub(crate) fn new(home: Home, fleet: Fleet) -> World {
        world(home, fleet)
    }
}

fn world(home: Home, fleet: Fleet) -> World {
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
    for n in 0..fleet.nodes {
        let node = format!("n{n}");
        setup.push(Command::SetNode(NodeSpec { name: node.clone(), ..NodeSpec::default() }));
        setup.extend(["cpu", "memory"].map(|name| {
            let (resource, node) = (name.into(), Some(node.clone()));
            Command::SetPool(PoolSpec {
                resource,
                node,
                name: name.into(),
                capacity: fleet.capacity,
                labels: Vec::new(),
                ..PoolSpec::default()
            })
        }));
    }
    setup.push(Command::Start { epoch: 1, boot: "b".into(), boottime_ns: 0 });
    setup.chunks(1024).for_each(|chunk| drop(world.step(chunk.to_vec())));
    world
}

/// The folder of the libraries as they are shipped.
pub(crate) fn built() -> PathBuf {
    let built = std::env::var_os("BURSAR_PLUGINS").map(PathBuf::from);
    built.expect("BURSAR_PLUGINS names the folder of the libraries; `cargo xtask bench` sets it")
}

/// A loader whose libraries run in `home`.
fn loader(home: Home) -> (Loader, tempfile::TempDir) {
    let built = built();
    let scratch = tempfile::TempDir::new().expect("a folder");
    let folder = scratch.path().join("plugins");
    std::fs::create_dir(&folder).expect("made");
    std::fs::copy(built.join("liballoc_fit.so"), folder.join("liballoc_fit.so")).expect("copied");
    let bytes = std::fs::read(folder.join("liballoc_fit.so")).expect("read");
    let trusted = (home == Home::Inline).then(|| bursar_loader::sha256(&bytes));
    let settings = settings(folder, scratch.path(), trusted.into_iter().collect());
    (Loader::new(settings).expect("a stage"), scratch)
}

/// How a bench's loader is set up.
pub(crate) fn settings(folder: PathBuf, scratch: &Path, trusted: BTreeSet<String>) -> Settings {
    Settings {
        dirs: vec![folder],
        stage: scratch.join("stage"),
        trusted,
        host: (env!("CARGO_BIN_EXE_bursar").into(), vec!["plugin-host".into(), "--".into()]),
        strategy_deadline: Duration::from_millis(500),
        call_deadline: Duration::from_secs(2),
        strikes_max: 3,
        quarantine: Duration::from_secs(30),
        pins: Default::default(),
        grants: Default::default(),
    }
}

impl World {
    fn step(&mut self, bodies: Vec<Command>) -> Batch {
        let by = Principal { admin: true, ..Principal::default() };
        let inputs = bodies.into_iter().map(|body| Input { by: by.clone(), body }).collect();
        self.at += 1;
        self.engine.step(Time(self.at), inputs, &mut self.plugins)
    }

    /// Pairs of ask and release per second.
    pub(crate) fn rate(&mut self, batch: usize, pairs: usize) -> f64 {
        let start = Instant::now();
        for _ in 0..pairs / batch {
            let granted = self.step((0..batch).map(|_| ask()).collect());
            self.give_back(&granted, batch);
        }
        (pairs / batch * batch) as f64 / start.elapsed().as_secs_f64()
    }

    /// Nanoseconds for a call of the allocator that has nothing to place.
    pub(crate) fn call_ns(&mut self, calls: usize) -> f64 {
        let (mut overlay, view) = (Overlay::default(), self.engine.view());
        let start = Instant::now();
        for _ in 0..calls {
            let mut plan = Plan::new(view, &mut overlay, &mut []);
            self.plugins.allocator.active.place(&view, &[], &mut plan).expect("placed");
        }
        start.elapsed().as_secs_f64() * 1e9 / calls as f64
    }

    /// Milliseconds for a step in which so many claims come and are placed.
    pub(crate) fn placed_ms(&mut self, claims: usize) -> f64 {
        let asks = (0..claims).map(|_| ask()).collect();
        let start = Instant::now();
        let granted = self.step(asks);
        let took = start.elapsed().as_secs_f64() * 1e3;
        self.give_back(&granted, claims);
        took
    }

    fn give_back(&mut self, granted: &Batch, claims: usize) {
        let release = |event: &Event| match &event.what {
            What::Granted { claim, fence, .. } => Some(Command::Release { claim: *claim, fence: *fence }),
            What::PluginFault { fault, .. } => panic!("{fault}"),
            _ => None,
        };
        let releases: Vec<Command> = granted.events.iter().filter_map(release).collect();
        assert_eq!(releases.len(), claims);
        self.step(releases);
    }
}

/// A claim of two lines.
fn ask() -> Command {
    let line = |name: &str| LineAsk { resource: name.into(), amount: 3, ..LineAsk::default() };
    Command::Ask(Ask { ttl_ns: 1 << 40, lines: vec![line("cpu"), line("memory")], ..Ask::default() })
}
