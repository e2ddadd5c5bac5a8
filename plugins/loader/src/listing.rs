//! Plugins and files as they are listed.
use crate::{Loader, Trust, choice::Wanted, shelf::Found};
use bursar_interface::{Decider, Home, Role};
use bursar_sdk::linked;
use std::path::PathBuf;

/// How a plugin that was found is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Asked at present.
    Active,
    /// Could be.
    Ready,
    /// Was, and failed too often: not asked for a while.
    Quarantined,
    /// Could be, and is not to be.
    Disabled,
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
    /// Why it may run in the daemon's own process.
    pub trust: Trust,
    /// Why it is not in use.
    pub reason: Option<String>,
}

impl Loader {
    /// Every plugin and every file that is none; `active` says which are asked at present.
    pub fn listings(&self, active: impl Fn(Role, &Decider) -> bool) -> Vec<Listing> {
        let loaded = self.shelf.found.iter().map(|found| self.listing(found, &active));
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
                trust: Trust::None,
                reason: None,
            }
        });
        let mut all: Vec<Listing> = loaded.chain(linked).collect();
        all.sort_by(|a, b| (a.role, &a.id, a.home as u8).cmp(&(b.role, &b.id, b.home as u8)));
        all.extend(self.shelf.refused.iter().cloned());
        all
    }

    fn listing(&self, found: &Found, active: &impl Fn(Role, &Decider) -> bool) -> Listing {
        let library = &self.shelf.libraries[found.library];
        let (role, id) = (found.manifest.role, &found.manifest.id);
        let key = (library.candidate.sha256.clone(), role, id.clone());
        let health = self.health.get(&key);
        let decider = Decider { plugin: id.clone(), home: library.home };
        let sits = self.seated.get(&(role, id.clone())).is_some_and(|(_, sum)| sum.as_ref() == Some(&key.0));
        let failed = self.failed.get(&key).cloned();
        let quarantine = health.and_then(|health| health.quarantined());
        let state = match health {
            _ if failed.is_some() => State::Refused,
            _ if self.off.has(role, id) => State::Disabled,
            Some(_) if quarantine.is_some() => State::Quarantined,
            Some(_) if sits && active(role, &decider) => State::Active,
            _ => State::Ready,
        };
        let waits = quarantine.map(|left| format!("not asked for another {} s", left.as_secs() + 1));
        let last = health.and_then(|health| health.last());
        let told = match (waits, last) {
            (Some(waits), Some(last)) => Some(format!("{waits}: {last}")),
            (waits, last) => waits.or(last),
        };
        let passed = (state == State::Ready && !sits).then(|| self.passed_over(found)).flatten();
        Listing {
            id: id.clone(),
            library: found.manifest.library.clone(),
            version: found.manifest.version.to_string(),
            role: Some(role),
            home: library.home,
            state,
            path: Some(library.candidate.path.clone()),
            sha256: Some(key.0),
            trust: library.trust.clone(),
            reason: failed.or(told).or(passed),
        }
    }

    /// Why another library's plugin of the same name comes first.
    fn passed_over(&self, found: &Found) -> Option<String> {
        let manifest = &found.manifest;
        let wanted = Wanted::pinned(&self.settings.pins, manifest.role, &manifest.id);
        let library = |found: &Found| &self.shelf.libraries[found.library].candidate;
        if !wanted.fits(manifest, &library(found).sha256) {
            return Some(format!("the config binds this name to {wanted}"));
        }
        let mut named = self.found(manifest.role, &manifest.id);
        let first = named.find(|other| wanted.fits(&other.manifest, &library(other).sha256))?;
        (first.library != found.library).then(|| {
            let (version, path) = (&first.manifest.version, library(first).path.display());
            match *version == manifest.version {
                true => format!("{path} has the same version and comes first"),
                false => format!("{path} has the higher version {version}"),
            }
        })
    }
}
