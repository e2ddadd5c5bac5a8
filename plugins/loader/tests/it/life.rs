//! Versions side by side, pins, switches, reloads, schemas, and children that live on.
use crate::{
    place::{books, place},
    settings,
};
use bursar_interface::{FaultKind, Home, Role};
use bursar_loader::{Listing, Loader, Settings, State};
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};
use tempfile::TempDir;

/// A library as it would be of another version: what its manifest says is changed, and nothing else.
fn version(name: &str, to: &str, into: &Path) -> String {
    let mut bytes = fs::read(bursar_conformance::first_party().join("liballoc_fit.so")).expect("built");
    let (from, to) = ("\"version\":\"0.1.0\"".to_owned(), format!("\"version\":\"{to}\""));
    assert_eq!(from.len(), to.len());
    let places: Vec<usize> = bytes
        .windows(from.len())
        .enumerate()
        .filter(|(_, at)| *at == from.as_bytes())
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    places.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    fs::write(into.join(name), &bytes).expect("written");
    bursar_loader::sha256(&bytes)
}

struct Installed {
    loader: Loader,
    folder: TempDir,
    _scratch: TempDir,
}

/// Versions 0.1.0 and 0.2.0 side by side.
fn two(pin: Option<&str>) -> Installed {
    let (folder, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    version("libold.so", "0.1.0", folder.path());
    version("libnew.so", "0.2.0", folder.path());
    let pins = pin.map(|pin| ("best-fit".to_owned(), pin.to_owned())).into_iter().collect();
    let settings = Settings { pins, ..settings(&[folder.path().into()], Default::default(), scratch.path()) };
    Installed { loader: Loader::new(settings).expect("a stage"), folder, _scratch: scratch }
}

fn listed(loader: &Loader, version: &str) -> Listing {
    let all = loader.listings(|_, _| true);
    let found = all.into_iter().find(|listing| {
        listing.id == "best-fit" && listing.version == version && listing.home == Home::Child
    });
    found.expect("listed")
}

#[test]
fn the_highest_version_wins_and_the_other_says_why_it_does_not() {
    let Installed { mut loader, folder: _folder, _scratch } = two(None);
    assert_eq!(loader.allocator("best-fit", "").expect("there").version, "0.2.0");
    assert_eq!(listed(&loader, "0.2.0").state, State::Active);
    let old = listed(&loader, "0.1.0");
    assert_eq!(old.state, State::Ready);
    assert!(old.reason.expect("why").contains("libnew.so has the higher version 0.2.0"));
}

#[test]
fn a_pin_wins_over_the_highest_version_and_a_version_that_is_asked_for_over_both() {
    let Installed { mut loader, folder: _folder, _scratch } = two(Some("0.1.0"));
    assert_eq!(loader.allocator("best-fit", "").expect("there").version, "0.1.0");
    assert!(listed(&loader, "0.2.0").reason.expect("why").contains("binds this name to version 0.1.0"));
    let asked = loader.allocator("best-fit@0.2.0", "").expect("there");
    assert_eq!((asked.version.as_str(), asked.decider.plugin.as_str()), ("0.2.0", "best-fit"));
    let sum = asked.sha256.expect("a library");
    assert_eq!(loader.allocator(&format!("best-fit@{}", &sum[..16]), "").expect("there").version, "0.2.0");
    assert_eq!(loader.allocator("best-fit@linked", "").expect("there").decider.home, Home::Linked);
    let none = loader.allocator("best-fit@9.9.9", "").err().expect("no such version").to_string();
    assert!(none.contains("version 9.9.9") && none.contains("0.2.0, 0.1.0, linked"), "{none}");
}

#[test]
fn a_pin_that_nothing_fits_leaves_the_linked_one() {
    let Installed { mut loader, folder: _folder, _scratch } = two(Some("7.0.0"));
    assert_eq!(loader.allocator("best-fit", "").expect("there").decider.home, Home::Linked);
}

#[test]
fn two_versions_decide_side_by_side_and_alike() {
    let Installed { mut loader, folder: _folder, _scratch } = two(None);
    let (books, queue) = books();
    let mut old = loader.allocator("best-fit@0.1.0", "").expect("there");
    let mut new = loader.allocator("best-fit@0.2.0", "").expect("there");
    assert_ne!(old.footprint.usage().map(|usage| usage.pid), new.footprint.usage().map(|usage| usage.pid));
    let placed =
        [&mut old, &mut new].map(|seated| place(&mut *seated.plugin, &books, &queue).expect("a plan"));
    assert_eq!(placed[0], placed[1]);
}

#[test]
fn a_version_can_be_asked_for_in_this_process_too() {
    let (folder, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let trusted =
        [version("libold.so", "0.1.0", folder.path()), version("libnew.so", "0.2.0", folder.path())];
    let settings = settings(&[folder.path().into()], trusted.into(), scratch.path());
    let mut loader = Loader::new(settings).expect("a stage");
    let (books, queue) = books();
    for version in ["0.1.0", "0.2.0"] {
        let mut seated = loader.allocator(&format!("best-fit@{version}"), "").expect("there");
        assert_eq!((seated.decider.home, seated.version.as_str()), (Home::Inline, version));
        assert_eq!(place(&mut *seated.plugin, &books, &queue).expect("a plan").len(), 4);
    }
}

#[test]
fn the_same_bytes_twice_and_the_same_version_twice_are_told() {
    let Installed { mut loader, folder, _scratch } = two(None);
    fs::copy(folder.path().join("libnew.so"), folder.path().join("libtwin.so")).expect("copied");
    let mut other = fs::read(folder.path().join("libnew.so")).expect("a library");
    // Behind all that counts: other bytes, the same plugin.
    other.push(0);
    fs::write(folder.path().join("libother.so"), other).expect("written");
    loader.scan();
    let reasons: Vec<String> =
        loader.listings(|_, _| false).into_iter().filter_map(|listing| listing.reason).collect();
    assert!(reasons.iter().any(|why| why.contains("the same bytes as") && why.contains("libnew.so")));
    assert!(reasons.iter().any(|why| why.contains("has the same version and comes first")), "{reasons:?}");
}

#[test]
fn one_that_is_switched_off_is_not_asked_until_it_is_switched_on_and_that_outlives_the_loader() {
    let (folder, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    version("libfit.so", "0.2.0", folder.path());
    let settings = settings(&[folder.path().into()], Default::default(), scratch.path());
    let mut loader = Loader::new(settings.clone()).expect("a stage");
    loader.enable(Role::Allocator, "best-fit", false).expect("switched off");
    assert_eq!(loader.allocator("best-fit", "").expect("there").decider.home, Home::Linked);
    let refused = loader.allocator("best-fit@0.2.0", "").err().expect("off").to_string();
    assert!(refused.contains("bursar plugin enable allocator best-fit"), "{refused}");
    drop(loader);
    let mut loader = Loader::new(settings).expect("a stage");
    assert_eq!(listed(&loader, "0.2.0").state, State::Disabled);
    loader.enable(Role::Allocator, "best-fit", true).expect("switched on");
    assert_eq!(loader.allocator("best-fit", "").expect("there").version, "0.2.0");
    assert!(loader.enable(Role::Allocator, "quickest-fit", false).is_err(), "there is none");
}

#[test]
fn what_may_be_configured_can_be_asked() {
    let folder = bursar_conformance::first_party();
    let (mut loader, _scratch) = crate::loader(&[folder], Default::default());
    let schema = loader.schema(Role::Driver, "port").expect("an answer").expect("a schema");
    assert!(schema.contains("\"first\"") && schema.contains("\"additionalProperties\":false"), "{schema}");
    assert!(schema.contains("The lowest one."), "{schema}");
    assert_eq!(loader.schema(Role::Allocator, "best-fit").expect("an answer"), None);
}

#[test]
fn a_child_lives_on_when_the_thread_that_asked_for_it_is_gone() {
    let Installed { mut loader, folder: _folder, _scratch } = two(None);
    let seat = move || loader.allocator("best-fit", "").expect("there");
    let mut seated = std::thread::spawn(seat).join().expect("seated");
    std::thread::sleep(Duration::from_millis(50));
    let (books, queue) = books();
    assert_eq!(place(&mut *seated.plugin, &books, &queue).expect("a plan").len(), 4);
}

#[test]
fn a_child_that_was_killed_is_started_again_and_then_lives_on() {
    let Installed { mut loader, folder: _folder, _scratch } = two(None);
    let mut seated = loader.allocator("best-fit", "").expect("there");
    let pid = seated.footprint.usage().expect("a child").pid;
    let pid = rustix::process::Pid::from_raw(pid as i32).expect("a process");
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    let (books, queue) = books();
    assert_eq!(place(&mut *seated.plugin, &books, &queue).expect_err("dead").kind, FaultKind::Died);
    let until = Instant::now() + Duration::from_secs(10);
    while place(&mut *seated.plugin, &books, &queue).is_err() {
        assert!(Instant::now() < until, "it does not come back");
        std::thread::sleep(Duration::from_millis(5));
    }
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(place(&mut *seated.plugin, &books, &queue).expect("a plan").len(), 4);
    }
}
