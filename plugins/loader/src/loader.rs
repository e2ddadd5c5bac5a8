//! Finds plugins by role and name, wherever they are, and puts them where they belong.
use crate::{
    Footprint, Grant, Health, Reject, Scene,
    apart::InlineCall,
    called::Called,
    child::{Child, Recipe, probe, schema},
    choice::{Off, Pick, Wanted},
    inline::Watched,
    log,
    open::open,
    shelf::{Found, Rules, Shelf},
    stage::Stage,
    trust::Keys,
    watchdog::Watchdog,
};
use bursar_abi::PluginRoot_Ref;
use bursar_interface::{Decider, Home, Role};
use bursar_sdk::{Config, Entry, linked};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
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
    /// How long a plugin is not asked when it is quarantined for the first time.
    pub quarantine: Duration,
    /// The version or sha256 that a name is bound to, by name or by `role name`.
    pub pins: BTreeMap<String, String>,
    /// What a plugin may reach beyond what its role needs, by its name.
    pub grants: BTreeMap<String, Grant>,
}

/// A plugin, ready to be asked, and who it is.
pub struct Seated<T: ?Sized> {
    /// Who, and where it runs.
    pub decider: Decider,
    /// The plugin.
    pub plugin: Box<T>,
    /// Version of its library.
    pub version: String,
    /// Checksum of its library; `None` for what is linked in.
    pub sha256: Option<String>,
    /// What it leaves behind, if it runs in a child.
    pub footprint: Footprint,
}

/// What a child is shown of the books, and so how long it may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seen {
    /// The tables, on the engine's thread.
    Strategy,
    /// The tables, on a thread of its own.
    Tables,
    /// Nothing.
    Nothing,
}

/// All plugins that there are.
pub struct Loader {
    pub(crate) settings: Settings,
    stage: Stage,
    watchdog: Arc<Watchdog>,
    pub(crate) shelf: Shelf,
    keys: Keys,
    pub(crate) off: Off,
    pub(crate) opened: BTreeMap<String, PluginRoot_Ref>,
    /// What those leave behind that run in children.
    pub(crate) footprints: BTreeMap<(String, Role, String), Footprint>,
    /// By checksum, role and name: the ones that were asked for at least once.
    pub(crate) health: BTreeMap<(String, Role, String), Arc<Health>>,
    pub(crate) failed: BTreeMap<(String, Role, String), String>,
    /// What strategies are warmed up on before they decide.
    pub(crate) scene: Option<Arc<dyn Scene>>,
    /// Where the one that was asked for last runs and of which library it is, by role and name.
    pub(crate) seated: BTreeMap<(Role, String), (Home, Option<String>)>,
}

impl Loader {
    /// Opens the stage and looks through the folders.
    ///
    /// # Errors
    /// [`Reject`] when the stage cannot be used. What is wrong with single files is in the listings.
    pub fn new(settings: Settings) -> Result<Loader, Reject> {
        bursar_sdk::listen();
        let stage = Stage::open(&settings.stage)?;
        let watchdog = Watchdog::start(stage.suspects_path());
        let mut loader = Loader {
            keys: Keys::open(stage.kept("keys"))?,
            off: Off::open(stage.kept("disabled"))?,
            settings,
            stage,
            watchdog,
            shelf: Shelf::default(),
            opened: BTreeMap::new(),
            footprints: BTreeMap::new(),
            health: BTreeMap::new(),
            failed: BTreeMap::new(),
            scene: None,
            seated: BTreeMap::new(),
        };
        loader.scan();
        Ok(loader)
    }

    /// From here on strategies in children are warmed up on this before they decide.
    pub fn warm_up_on(&mut self, scene: Arc<dyn Scene>) {
        self.scene = Some(scene);
    }

    /// Looks through the folders again. What is in use stays in use.
    pub fn scan(&mut self) {
        let rules =
            Rules { trusted: &self.settings.trusted, keys: &self.keys, suspects: self.stage.suspects() };
        self.shelf.scan(&self.settings.dirs, &rules);
    }

    /// Lets a plugin be asked, or not any more, until further notice: it outlives this process. What is linked in
    /// stays, as somebody has to decide.
    ///
    /// # Errors
    /// [`Reject::Linked`] for one that is only linked in, [`Reject::Unknown`] for one that is nowhere, [`Reject::Io`]
    /// if it cannot be written down.
    pub fn enable(&mut self, role: Role, id: &str, enabled: bool) -> Result<(), Reject> {
        let there = self.found(role, id).next().is_some();
        if !there && !self.off.has(role, id) {
            let stays = linked().any(|entry| entry.make.role() == role && entry.id == id);
            let linked = || Reject::Linked { role: role.name().into(), id: id.into() };
            return Err(if stays { linked() } else { self.unknown(role, id) });
        }
        self.off.set(role, id, !enabled)
    }

    /// Trusts whoever has this minisign key; returns it.
    ///
    /// # Errors
    /// [`Reject::Key`] for what is none, [`Reject::Io`] if it cannot be written down.
    pub fn trust(&mut self, key: &str) -> Result<String, Reject> {
        let key = self.keys.add(key)?;
        self.shelf.forget();
        self.scan();
        Ok(key)
    }

    /// Trusts them no more: their libraries are put into children from the next time on that they are asked for.
    ///
    /// # Errors
    /// As [`Loader::trust`].
    pub fn revoke(&mut self, key: &str) -> Result<(), Reject> {
        self.keys.revoke(key)?;
        self.shelf.forget();
        self.scan();
        Ok(())
    }

    /// Trusted keys, and what each is for.
    pub fn keys(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.all()
    }

    pub(crate) fn found(&self, role: Role, id: &str) -> impl Iterator<Item = &Found> {
        self.shelf.found.iter().filter(move |found| found.manifest.role == role && found.manifest.id == id)
    }

    /// Exactly which plugin `asked` would come to now, as `name@sha256` or `name@linked`; `None` if there is none.
    pub fn would_seat(&self, role: Role, asked: &str) -> Option<String> {
        let (id, wanted) = Wanted::asked(&self.settings.pins, role, asked);
        let picks = self.picks(role, id, &wanted).ok()?;
        let whole = picks.iter().find(|pick| !self.failed.contains_key(&pick.key()));
        let linked =
            linked().any(|entry| entry.make.role() == role && entry.id == id && wanted.allows_linked());
        let which = whole.map(|pick| pick.candidate.sha256.as_str()).or(linked.then_some("linked"));
        which.map(|which| format!("{id}@{which}"))
    }

    /// Names of a role's plugins, loaded and linked.
    pub fn ids(&self, role: Role) -> BTreeSet<String> {
        let found = self.shelf.found.iter().filter(|found| found.manifest.role == role);
        let found = found.map(|found| found.manifest.id.clone());
        found
            .chain(linked().filter(|entry| entry.make.role() == role).map(|entry| entry.id.to_owned()))
            .collect()
    }

    fn unknown(&self, role: Role, id: &str) -> Reject {
        let known = self.ids(role).into_iter().collect::<Vec<_>>().join(", ");
        Reject::Unknown { role: role.name().into(), id: id.into(), known }
    }

    /// What may be configured of a plugin, as a JSON schema; `None` if it does not say. A child is asked.
    ///
    /// # Errors
    /// [`Reject::Unknown`], and [`Reject::Probe`] when the child cannot say.
    pub fn schema(&mut self, role: Role, id: &str) -> Result<Option<String>, Reject> {
        let found = self.found(role, id).next().map(|found| found.library);
        let Some(library) = found else { return Err(self.unknown(role, id)) };
        let candidate = self.shelf.libraries[library].candidate.clone();
        let (copy, path) = (self.stage.put(&candidate)?, candidate.path.display().to_string());
        let text = schema(&self.settings.host, &copy, role.name(), id);
        text.map(|text| Some(text).filter(|text| !text.is_empty())).map_err(|why| Reject::Probe { path, why })
    }

    /// Tries what was found, best first, then what is linked in. `asked` is a name, or `name@version`, or
    /// `name@sha256`, or `name@linked`: then nothing else will do.
    pub(crate) fn seat<T: ?Sized>(
        &mut self,
        role: Role,
        asked: &str,
        config: &str,
        seat: impl Fn(&mut Self, &Pick) -> Result<Box<T>, Reject>,
        link: impl Fn(&Entry, &Config) -> Option<Result<Box<T>, bursar_interface::Fault>>,
    ) -> Result<Seated<T>, Reject> {
        let (id, wanted) = Wanted::asked(&self.settings.pins, role, asked);
        let mut refused = None;
        for pick in self.picks(role, id, &wanted)? {
            match seat(self, &pick) {
                Ok(plugin) => {
                    self.failed.remove(&pick.key());
                    let (home, sum) = (pick.home, Some(pick.candidate.sha256.clone()));
                    self.seated.insert((role, id.into()), (home, sum.clone()));
                    let decider = Decider { plugin: id.into(), home };
                    let (version, footprint) = (pick.version.clone(), pick.footprint.clone());
                    return Ok(Seated { decider, plugin, version, sha256: sum, footprint });
                }
                Err(reject) => {
                    tracing::warn!(%reject, "a plugin is passed over");
                    self.failed.insert(pick.key(), reject.to_string());
                    refused = refused.or(Some(reject));
                }
            }
        }
        // Where a library has that name, what is set may be for it.
        let its_own = self.shelf.found.iter().all(|found| found.manifest.id != id);
        let unmade = |why: String| {
            let plugin = format!("{} {id}", role.name());
            if its_own { Reject::MakeLinked { plugin, why } } else { Reject::Make { plugin, why } }
        };
        let parsed = Config::read(config).map_err(|fault| unmade(fault.message))?;
        let mut entries = linked().filter(|entry| entry.id == id && wanted.allows_linked());
        let made = entries.find_map(|entry| {
            let made = link(entry, &parsed)?;
            let taken = if its_own { entry.takes(&parsed) } else { Ok(()) };
            Some((entry.version, taken.and(made)))
        });
        match (made, refused) {
            (Some((version, made)), _) => {
                let plugin = made.map_err(|fault| unmade(fault.message))?;
                self.seated.insert((role, id.into()), (Home::Linked, None));
                let decider = Decider { plugin: id.into(), home: Home::Linked };
                let (version, footprint) = (version.into(), Footprint::default());
                Ok(Seated { decider, plugin, version, sha256: None, footprint })
            }
            (None, Some(refused)) => Err(refused),
            (None, None) => Err(self.unknown(role, id)),
        }
    }

    /// The libraries' plugins of a name that will do, best first.
    fn picks(&self, role: Role, id: &str, wanted: &Wanted) -> Result<Vec<Pick>, Reject> {
        let linked_too = linked().any(|entry| entry.make.role() == role && entry.id == id);
        if self.off.has(role, id) {
            let reject = Reject::Disabled { role: role.name().into(), id: id.into() };
            return if linked_too && wanted.allows_linked() { Ok(Vec::new()) } else { Err(reject) };
        }
        let sum = |found: &Found| self.shelf.libraries[found.library].candidate.sha256.as_str();
        let fitting = self.found(role, id).filter(|found| wanted.fits(&found.manifest, sum(found)));
        let picks: Vec<Pick> = fitting.map(|found| self.pick(found)).collect();
        if picks.is_empty() && wanted.is_exact() {
            let named = self.found(role, id).map(|found| found.manifest.version.to_string());
            let known = named.chain(linked_too.then(|| "linked".into())).collect::<Vec<String>>().join(", ");
            let (role, id, wanted) = (role.name().into(), id.into(), wanted.to_string());
            return Err(Reject::NoVersion { role, id, wanted, known });
        }
        Ok(picks)
    }

    fn pick(&self, found: &Found) -> Pick {
        let library = &self.shelf.libraries[found.library];
        Pick {
            candidate: library.candidate.clone(),
            home: library.home,
            role: found.manifest.role,
            id: found.manifest.id.clone(),
            version: found.manifest.version.to_string(),
            footprint: Footprint::default(),
        }
    }

    /// A plugin's health, fresh each time it is put in a seat.
    pub(crate) fn fresh_health(&mut self, pick: &Pick) -> Arc<Health> {
        let (strikes_max, pause) = (self.settings.strikes_max, self.settings.quarantine);
        let health = match pick.role {
            Role::Allocator | Role::Qos | Role::Sharing | Role::Analyzer => Health::new(strikes_max, pause),
            Role::Resource | Role::Driver | Role::Metric => Health::of_the_world(strikes_max, pause),
        };
        let health = Arc::new(health);
        self.health.insert(pick.key(), health.clone());
        health
    }

    pub(crate) fn child(&mut self, pick: &Pick, config: &str, seen: Seen) -> Result<Child, Reject> {
        let recipe = Recipe {
            host: self.settings.host.clone(),
            library: self.stage.put(&pick.candidate)?,
            role: pick.role.name(),
            id: pick.id.clone(),
            config: config.into(),
            grant: self.settings.grants.get(&pick.id).cloned().unwrap_or_default(),
            footprint: pick.footprint.clone(),
        };
        let deadline = match seen {
            Seen::Strategy => self.settings.strategy_deadline,
            Seen::Tables | Seen::Nothing => self.settings.call_deadline,
        };
        let health = self.fresh_health(pick);
        self.footprints.insert(pick.key(), pick.footprint.clone());
        Child::start(recipe, health, deadline, seen != Seen::Nothing)
    }

    pub(crate) fn called(&mut self, pick: &Pick, config: &str) -> Result<Called, Reject> {
        if pick.home == Home::Child {
            return self.child(pick, config, Seen::Nothing).map(Box::new).map(Called::Child);
        }
        let plugin = self.root(pick)?.call()(pick.role.name().into(), pick.id.as_str().into(), config.into());
        let plugin = plugin.into_result().map_err(|fault| pick.unmade(&fault.message))?;
        let (health, deadline) = (self.fresh_health(pick), self.settings.call_deadline);
        let apart = InlineCall::start(plugin, &pick.id, health, deadline);
        apart.map(Called::Inline).map_err(|error| pick.unmade(&error))
    }

    pub(crate) fn watched(&mut self, pick: &Pick) -> Watched {
        Watched {
            health: self.fresh_health(pick),
            watchdog: self.watchdog.clone(),
            sha256: pick.candidate.sha256.clone(),
            deadline: self.settings.strategy_deadline,
        }
    }

    /// A library in this process, opened once; before the first time ever, a child opens it.
    pub(crate) fn root(&mut self, pick: &Pick) -> Result<PluginRoot_Ref, Reject> {
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
