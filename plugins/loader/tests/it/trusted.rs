//! Who may run in the daemon's own process: listed and signed libraries, on a way that only we can change.
use crate::settings;
use bursar_interface::Home;
use bursar_loader::{Loader, Reject, TRUST_FILE, Trust, inspect};
use minisign::KeyPair;
use std::{
    fs,
    io::Cursor,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
};
use tempfile::TempDir;

const LIBRARY: &str = "liballoc_fit.so";

fn library() -> Vec<u8> {
    fs::read(bursar_conformance::first_party().join(LIBRARY)).expect("built")
}

struct Installed {
    loader: Loader,
    folder: TempDir,
    scratch: TempDir,
}

/// One library that nobody knows.
fn stranger() -> Installed {
    let (folder, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    fs::write(folder.path().join(LIBRARY), library()).expect("written");
    let settings = settings(&[folder.path().into()], Default::default(), scratch.path());
    Installed { loader: Loader::new(settings).expect("a stage"), folder, scratch }
}

fn sign(folder: &Path, bytes: &[u8], by: &KeyPair) {
    let signature = minisign::sign(None, &by.sk, Cursor::new(bytes), None, None).expect("signed");
    fs::write(folder.join(format!("{LIBRARY}.minisig")), signature.to_string()).expect("written");
}

fn home(loader: &mut Loader) -> Home {
    loader.scan();
    loader.allocator("best-fit", "").expect("one of them").decider.home
}

fn reasons(loader: &Loader) -> String {
    let all = loader.listings(|_, _| false).into_iter().filter_map(|listing| listing.reason);
    all.collect::<Vec<_>>().join("; ")
}

#[test]
fn a_signed_library_is_trusted_while_its_key_is() {
    let Installed { mut loader, folder, scratch } = stranger();
    let keys = KeyPair::generate_unencrypted_keypair().expect("a key");
    sign(folder.path(), &library(), &keys);
    assert_eq!(home(&mut loader), Home::Child, "nobody has trusted the key yet");
    let public = keys.pk.to_box().expect("a key").to_string();
    let key = loader.trust(&public).expect("trusted");
    assert_eq!(home(&mut loader), Home::Inline);
    let listed = loader.listings(|_, _| false);
    assert!(listed.iter().any(|listing| listing.trust == Trust::Signed(key.clone())));
    drop(loader);
    let settings = settings(&[folder.path().into()], Default::default(), scratch.path());
    let mut loader = Loader::new(settings).expect("a stage");
    assert_eq!(loader.keys().count(), 1, "the trust store outlives the loader");
    assert_eq!(home(&mut loader), Home::Inline);
    loader.revoke(&key).expect("revoked");
    assert_eq!(home(&mut loader), Home::Child);
    assert!(loader.revoke(&key).expect_err("not trusted").to_string().contains("not trusted"));
}

#[test]
fn a_signature_that_says_nothing_good_is_worse_than_none() {
    let Installed { mut loader, folder, scratch: _scratch } = stranger();
    let (ours, other) = (
        KeyPair::generate_unencrypted_keypair().expect("a key"),
        KeyPair::generate_unencrypted_keypair().expect("a key"),
    );
    loader.trust(&ours.pk.to_base64()).expect("trusted");
    sign(folder.path(), &library(), &other);
    assert_eq!(home(&mut loader), Home::Linked, "another key");
    assert!(reasons(&loader).contains("no trusted key has signed these bytes"), "{}", reasons(&loader));
    sign(folder.path(), b"something else", &ours);
    assert_eq!(home(&mut loader), Home::Linked, "the right key and another file");
    fs::write(folder.path().join(format!("{LIBRARY}.minisig")), "nonsense").expect("written");
    assert_eq!(home(&mut loader), Home::Linked, "no signature at all");
    fs::remove_file(folder.path().join(format!("{LIBRARY}.minisig"))).expect("removed");
    assert_eq!(home(&mut loader), Home::Child, "a stranger again");
    assert!(matches!(loader.trust("nonsense"), Err(Reject::Key { .. })));
}

#[test]
fn a_library_that_grew_a_byte_after_it_was_signed_is_refused() {
    let Installed { mut loader, folder, scratch: _scratch } = stranger();
    let keys = KeyPair::generate_unencrypted_keypair().expect("a key");
    loader.trust(&keys.pk.to_base64()).expect("trusted");
    sign(folder.path(), &library(), &keys);
    fs::write(folder.path().join(LIBRARY), [library(), vec![0]].concat()).expect("written");
    assert_eq!(home(&mut loader), Home::Linked);
}

#[test]
fn every_step_of_the_way_counts() {
    let top = TempDir::new().expect("a folder");
    let folder = top.path().join("a/b");
    fs::create_dir_all(&folder).expect("made");
    let path = folder.join(LIBRARY);
    fs::write(&path, library()).expect("written");
    assert!(inspect(&path).is_ok());
    let step = top.path().join("a");
    fs::set_permissions(&step, fs::Permissions::from_mode(0o775)).expect("set");
    let told = inspect(&path).expect_err("others could swap the folder").to_string();
    assert!(told.contains(&step.display().to_string()) && told.contains("775"), "{told}");
    // As in /tmp: others can put things there, and cannot touch what is ours.
    fs::set_permissions(&step, fs::Permissions::from_mode(0o1777)).expect("set");
    assert!(inspect(&path).is_ok());
}

#[test]
fn links_are_not_followed() {
    let top = TempDir::new().expect("a folder");
    let real = top.path().join("real");
    fs::create_dir(&real).expect("made");
    fs::write(real.join(LIBRARY), library()).expect("written");
    symlink(real.join(LIBRARY), real.join("liblink.so")).expect("linked");
    assert!(matches!(inspect(&real.join("liblink.so")), Err(Reject::Link { .. })));
    symlink(&real, top.path().join("led")).expect("linked");
    let told = inspect(&top.path().join("led").join(LIBRARY)).expect_err("led astray").to_string();
    assert!(told.contains("led is a symbolic link"), "{told}");
    let list = real.join("list");
    fs::write(&list, format!("{}  x\n", bursar_loader::sha256(&library()))).expect("written");
    symlink(&list, real.join(TRUST_FILE)).expect("linked");
    assert!(matches!(bursar_loader::load_trusted(&real), Err(Reject::Link { .. })));
}

#[test]
fn a_copy_that_was_meddled_with_is_not_opened() {
    let Installed { mut loader, folder, scratch } = stranger();
    assert_eq!(home(&mut loader), Home::Child);
    let copy = scratch.path().join(format!("stage/{}.so", bursar_loader::sha256(&library())));
    let meddled = fs::read(bursar_conformance::badly_behaved().join("libchaos.so")).expect("built");
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("set");
    fs::write(&copy, &meddled).expect("written");
    // The one that looked at it before, and one that comes new to it.
    assert_eq!(home(&mut loader), Home::Child);
    assert_eq!(fs::read(&copy).expect("a copy"), library(), "it is staged again");
    fs::write(&copy, &meddled).unwrap_or_else(|_| {
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o700)).expect("set");
        fs::write(&copy, &meddled).expect("written");
    });
    let settings = settings(&[folder.path().into()], Default::default(), scratch.path());
    assert_eq!(home(&mut Loader::new(settings).expect("a stage")), Home::Child);
    assert_eq!(fs::read(&copy).expect("a copy"), library(), "and again");
}
