//! Finds plugins by role and name, wherever they are, and puts them where they belong.
use crate::{
    Candidate, Health, Reject,
    called::Called,
    child::{Child, ChildAllocator, ChildQos, Recipe, probe},
    inline::{InlineAllocator, InlineCall, InlineQos, Watched},
    inspect, load_trusted, log,
    open::open,
    stage::Stage,
    watchdog::Watchdog,
};
use bursar_abi::PluginRoot_Ref;
use bursar_interface::{Allocator, Decider, Driver, Home, Manifest, Metric, Qos, ResourceSpec, Role};
use bursar_sdk::{Config, Entry, Make, linked};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

/// How plugins are found and supervised.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Folders that are looked through, in order.
    pub dirs: Vec<PathBuf>,
    /// The private folder of copies.
    pub stage: PathBuf,
    /// sha256 of libraries that may run in this process, beside those that a folder's
    /// [`crate::TRUST_FILE`] names.
    pub trusted: BTreeSet<String>,
    /// The program that calls [`crate::child_main`], and its leading arguments.
    pub host: (PathBuf, Vec<String>),
    /// How long a strategy in a child may take.
    pub strategy_deadline: Duration,
    /// How long a driver or metric may take.
    pub call_deadline: Duration,
    /// Faults after which a plugin is quarantined.
    pub strikes_max: u32,
}

/// How a plugin that was found is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked at present.
    Active,
    /// Could be.
    Ready,
    /// Was, and failed too often.
    Quarantined,
    /// Cannot be.
    Refused,
}

/// A plugin that was found, or a file that is none.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Name within its role; the file's name where that is not known.
    pub id: String,
    /// The library.
    pub library: String,
    /// Version of the library; empty where that is not known.
    pub version: String,
    /// Interface; `None` where that is not known.
    pub role: Option<Role>,
    /// Where it runs or would run.
    pub home: Home,
    /// How it is doing.
    pub state: State,
    /// The file; `None` for what is linked in.
    pub path: Option<PathBuf>,
    /// Its checksum.
    pub sha256: Option<String>,
    /// Why it is not in use.
    pub reason: Option<String>,
}

/// A plugin, ready to be asked, and who it is.
pub struct Seated<T: ?Sized> {
    /// Who, and where it runs.
    pub decider: Decider,
    /// The plugin.
    pub plugin: Box<T>,
}

struct Found {
    manifest: Manifest,
    library: usize,
}

/// All plugins that there are.
pub struct Loader {
    settings: Settings,
    stage: Stage,
    watchdog: Arc<Watchdog>,
    libraries: Vec<(Candidate, Home)>,
    found: Vec<Found>,
    refused: Vec<Listing>,
    opened: BTreeMap<String, PluginRoot_Ref>,
    /// By checksum, role and name: the ones that were asked for at least once.
    health: BTreeMap<(String, Role, String), Arc<Health>>,
    failed: BTreeMap<(String, Role, String), String>,
    /// Where the one that was asked for last runs, by role and name.
    seated: BTreeMap<(Role, String), Home>,
}

impl Loader {
    /// Opens the stage and looks through the folders.
    ///
    /// # Errors
    /// [`Reject`] when the stage cannot be used. What is wrong with single files is in the listings.
    pub fn new(settings: Settings) -> Result<Loader, Reject> {
        let stage = Stage::open(&settings.stage)?;
        let watchdog = Watchdog::start(stage.suspects_path());
        let mut loader = Loader {
            settings,
            stage,
            watchdog,
            libraries: Vec::new(),
            found: Vec::new(),
            refused: Vec::new(),
            opened: BTreeMap::new(),
            health: BTreeMap::new(),
            failed: BTreeMap::new(),
            seated: BTreeMap::new(),
        };
        loader.scan();
        Ok(loader)
    }

    /// Looks through the folders again. What is in use stays in use.
    pub fn scan(&mut self) {
        (self.libraries, self.found, self.refused) = Default::default();
        for dir in self.settings.dirs.clone() {
            let trusted = load_trusted(&dir).unwrap_or_else(|reject| {
                tracing::warn!(%reject, "nothing in this folder is trusted");
                BTreeSet::new()
            });
            let entries = std::fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path());
            let mut files: Vec<PathBuf> =
                entries.filter(|path| path.extension().is_some_and(|end| end == "so")).collect();
            files.sort();
            files.iter().for_each(|path| self.consider(path, &trusted));
        }
        // The highest version of a name comes first; of equal ones, the first folder's.
        self.found.sort_by(|a, b| b.manifest.version.cmp(&a.manifest.version));
    }

    fn consider(&mut self, path: &Path, trusted: &BTreeSet<String>) {
        match inspect(path) {
            Ok(candidate) if self.libraries.iter().any(|(known, _)| known.sha256 == candidate.sha256) => {}
            Ok(candidate) => {
                let sum = &candidate.sha256;
                let trust = trusted.contains(sum) || self.settings.trusted.contains(sum);
                let home =
                    if trust && !self.stage.suspects().contains(sum) { Home::Inline } else { Home::Child };
                let library = self.libraries.len();
                self.found.extend(
                    candidate.manifests.iter().map(|manifest| Found { manifest: manifest.clone(), library }),
                );
                self.libraries.push((candidate, home));
            }
            Err(reject) => {
                tracing::warn!(%reject, "a file in a plugin folder is not loaded");
                let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                self.refused.push(Listing {
                    id: name.clone(),
                    library: name,
                    version: String::new(),
                    role: None,
                    home: Home::Child,
                    state: State::Refused,
                    path: Some(path.into()),
                    sha256: None,
                    reason: Some(reject.to_string()),
                });
            }
        }
    }

    /// Every plugin and every file that is none; `active` says which are asked at present.
    pub fn listings(&self, active: impl Fn(Role, &Decider) -> bool) -> Vec<Listing> {
        let loaded = self.found.iter().map(|found| self.listing(found, &active));
        let linked = linked().map(|entry| {
            let (role, home) = (entry.make.role(), Home::Linked);
            let decider = Decider { plugin: entry.id.into(), home };
            Listing {
                id: entry.id.into(),
                library: entry.library.into(),
                version: entry.version.into(),
                role: Some(role),
                home,
                state: if active(role, &decider) { State::Active } else { State::Ready },
                path: None,
                sha256: None,
                reason: None,
            }
        });
        let mut all: Vec<Listing> = loaded.chain(linked).collect();
        all.sort_by(|a, b| (a.role, &a.id, a.home as u8).cmp(&(b.role, &b.id, b.home as u8)));
        all.extend(self.refused.iter().cloned());
        all
    }

    fn listing(&self, found: &Found, active: &impl Fn(Role, &Decider) -> bool) -> Listing {
        let (candidate, home) = &self.libraries[found.library];
        let Manifest { id, role, library, version, .. } = &found.manifest;
        let key = (candidate.sha256.clone(), *role, id.clone());
        let health = self.health.get(&key);
        let decider = Decider { plugin: id.clone(), home: *home };
        let failed = self.failed.get(&key).cloned();
        let state = match health {
            _ if failed.is_some() => State::Refused,
            Some(health) if health.quarantined() => State::Quarantined,
            Some(_) if active(*role, &decider) => State::Active,
            _ => State::Ready,
        };
        Listing {
            id: id.clone(),
            library: library.clone(),
            version: version.to_string(),
            role: Some(*role),
            home: *home,
            state,
            path: Some(candidate.path.clone()),
            sha256: Some(candidate.sha256.clone()),
            reason: failed.or_else(|| health.and_then(|health| health.last())),
        }
    }

    /// Where the plugin of a name was put when it was last asked for; `None` if it never was.
    pub fn seat_of(&self, role: Role, id: &str) -> Option<Home> {
        self.seated.get(&(role, id.to_owned())).copied()
    }

    /// Names of a role's plugins, loaded and linked.
    pub fn ids(&self, role: Role) -> BTreeSet<String> {
        let found = self
            .found
            .iter()
            .filter(|found| found.manifest.role == role)
            .map(|found| found.manifest.id.clone());
        found
            .chain(linked().filter(|entry| entry.make.role() == role).map(|entry| entry.id.to_owned()))
            .collect()
    }

    /// An allocator by name, loaded if it can be, else linked in. `config` is JSON, or nothing.
    ///
    /// # Errors
    /// [`Reject::Unknown`] with the names that there are; [`Reject::Make`] when it refuses its config.
    pub fn allocator(&mut self, id: &str, config: &str) -> Result<Seated<dyn Allocator>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Allocator>, Reject> {
            Ok(match pick.home {
                Home::Child => Box::new(ChildAllocator(loader.child(pick, config, true)?)),
                _ => {
                    let plugin = loader.root(pick)?.allocator()(id.into(), config.into());
                    let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
                    Box::new(InlineAllocator { plugin, watched: loader.watched(pick), takes: Vec::new() })
                }
            })
        };
        let link = |entry: &Entry, config: &Config| match entry.make {
            Make::Allocator(make) => Some(make(config)),
            _ => None,
        };
        self.seat(Role::Allocator, id, config, seat, link)
    }

    /// A qos by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn qos(&mut self, id: &str, config: &str) -> Result<Seated<dyn Qos>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Qos>, Reject> {
            Ok(match pick.home {
                Home::Child => Box::new(ChildQos(loader.child(pick, config, true)?)),
                _ => {
                    let plugin = loader.root(pick)?.qos()(id.into(), config.into());
                    let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
                    Box::new(InlineQos { plugin, watched: loader.watched(pick) })
                }
            })
        };
        let link = |entry: &Entry, config: &Config| match entry.make {
            Make::Qos(make) => Some(make(config)),
            _ => None,
        };
        self.seat(Role::Qos, id, config, seat, link)
    }

    /// A driver by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn driver(&mut self, id: &str, config: &str) -> Result<Seated<dyn Driver>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Driver>, Reject> {
            Ok(Box::new(loader.called(pick, config)?))
        };
        let link = |entry: &Entry, config: &Config| match entry.make {
            Make::Driver(make) => Some(make(config)),
            _ => None,
        };
        self.seat(Role::Driver, id, config, seat, link)
    }

    /// A metric by name; see [`Loader::allocator`].
    ///
    /// # Errors
    /// As there.
    pub fn metric(&mut self, id: &str, config: &str) -> Result<Seated<dyn Metric>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<dyn Metric>, Reject> {
            Ok(Box::new(loader.called(pick, config)?))
        };
        let link = |entry: &Entry, config: &Config| match entry.make {
            Make::Metric(make) => Some(make(config)),
            _ => None,
        };
        self.seat(Role::Metric, id, config, seat, link)
    }

    /// What a kind of thing is; see [`Loader::allocator`]. It is asked once and let go.
    ///
    /// # Errors
    /// As there.
    pub fn resource(&mut self, id: &str, config: &str) -> Result<Seated<ResourceSpec>, Reject> {
        let seat = |loader: &mut Self, pick: &Pick| -> Result<Box<ResourceSpec>, Reject> {
            let spec = loader.called(pick, config)?.spec();
            spec.map(Box::new).map_err(|fault| pick.unmade(&fault.message))
        };
        let link = |entry: &Entry, config: &Config| match entry.make {
            Make::Resource(make) => Some(make(config).map(|plugin| Box::new(plugin.spec()))),
            _ => None,
        };
        self.seat(Role::Resource, id, config, seat, link)
    }

    /// Tries what was found, best first, then what is linked in.
    fn seat<T: ?Sized>(
        &mut self,
        role: Role,
        id: &str,
        config: &str,
        seat: impl Fn(&mut Self, &Pick) -> Result<Box<T>, Reject>,
        link: impl Fn(&Entry, &Config) -> Option<Result<Box<T>, bursar_interface::Fault>>,
    ) -> Result<Seated<T>, Reject> {
        let mut refused = None;
        for pick in self.picks(role, id) {
            match seat(self, &pick) {
                Ok(plugin) => {
                    self.failed.remove(&pick.key());
                    self.seated.insert((role, id.into()), pick.home);
                    return Ok(Seated { decider: Decider { plugin: id.into(), home: pick.home }, plugin });
                }
                Err(reject) => {
                    tracing::warn!(%reject, "a plugin is passed over");
                    self.failed.insert(pick.key(), reject.to_string());
                    refused = refused.or(Some(reject));
                }
            }
        }
        let unmade = |why: String| Reject::Make { plugin: format!("{} {id}", role.name()), why };
        let parsed = Config::read(config).map_err(|fault| unmade(fault.message))?;
        let made = linked().filter(|entry| entry.id == id).find_map(|entry| link(entry, &parsed));
        match (made, refused) {
            (Some(made), _) => {
                let plugin = made.map_err(|fault| unmade(fault.message))?;
                self.seated.insert((role, id.into()), Home::Linked);
                Ok(Seated { decider: Decider { plugin: id.into(), home: Home::Linked }, plugin })
            }
            (None, Some(refused)) => Err(refused),
            (None, None) => {
                let known = self.ids(role).into_iter().collect::<Vec<_>>().join(", ");
                Err(Reject::Unknown { role: role.name().into(), id: id.into(), known })
            }
        }
    }

    fn picks(&self, role: Role, id: &str) -> Vec<Pick> {
        let named = self.found.iter().filter(|found| found.manifest.role == role && found.manifest.id == id);
        let pick = |found: &Found| {
            let (candidate, home) = &self.libraries[found.library];
            Pick { candidate: candidate.clone(), home: *home, role, id: id.into() }
        };
        named.map(pick).collect()
    }

    /// A plugin's health, fresh each time it is put in a seat. Only strategies are quarantined: there is
    /// a default in their stead, while what a driver holds must be asked back of it for ever.
    fn fresh_health(&mut self, pick: &Pick) -> Arc<Health> {
        let strategy = matches!(pick.role, Role::Allocator | Role::Qos);
        let health = Arc::new(Health::new(if strategy { self.settings.strikes_max } else { u32::MAX }));
        self.health.insert(pick.key(), health.clone());
        health
    }

    fn child(&mut self, pick: &Pick, config: &str, strategy: bool) -> Result<Child, Reject> {
        let recipe = Recipe {
            host: self.settings.host.clone(),
            library: self.stage.put(&pick.candidate)?,
            role: pick.role.name(),
            id: pick.id.clone(),
            config: config.into(),
        };
        let deadline = if strategy { self.settings.strategy_deadline } else { self.settings.call_deadline };
        let health = self.fresh_health(pick);
        Child::start(recipe, health, deadline, strategy)
    }

    fn called(&mut self, pick: &Pick, config: &str) -> Result<Called, Reject> {
        if pick.home == Home::Child {
            return self.child(pick, config, false).map(Box::new).map(Called::Child);
        }
        let plugin = self.root(pick)?.call()(pick.role.name().into(), pick.id.as_str().into(), config.into());
        let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
        Ok(Called::Inline(InlineCall { plugin, health: self.fresh_health(pick) }))
    }

    fn watched(&mut self, pick: &Pick) -> Watched {
        Watched {
            health: self.fresh_health(pick),
            watchdog: self.watchdog.clone(),
            sha256: pick.candidate.sha256.clone(),
            deadline: self.settings.strategy_deadline,
        }
    }

    /// A library in this process, opened once; before the first time ever, a child opens it.
    fn root(&mut self, pick: &Pick) -> Result<PluginRoot_Ref, Reject> {
        let sum = &pick.candidate.sha256;
        if let Some(root) = self.opened.get(sum) {
            return Ok(*root);
        }
        let copy = self.stage.put(&pick.candidate)?;
        if !self.stage.probed(sum) {
            let path = pick.candidate.path.display().to_string();
            probe(&self.settings.host, &copy).map_err(|why| Reject::Probe { path, why })?;
            self.stage.mark_probed(sum);
        }
        let root = open(&copy, log::to_tracing())?;
        self.opened.insert(sum.clone(), root);
        Ok(root)
    }
}

/// A plugin that was found, and where it is to run.
struct Pick {
    candidate: Candidate,
    home: Home,
    role: Role,
    id: String,
}

impl Pick {
    fn key(&self) -> (String, Role, String) {
        (self.candidate.sha256.clone(), self.role, self.id.clone())
    }

    fn unmade(&self, why: &impl ToString) -> Reject {
        Reject::Make { plugin: format!("{} {}", self.role.name(), self.id), why: why.to_string() }
    }
}
