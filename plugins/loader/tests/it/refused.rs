//! Files that are no plugins, each refused by name before any of its code runs.
use bursar_interface::Home;
use bursar_loader::{Reject, TRUST_FILE, inspect, load_trusted};
use std::{fs, os::unix::fs::PermissionsExt, path::PathBuf};
use tempfile::TempDir;

fn library() -> Vec<u8> {
    fs::read(bursar_conformance::first_party().join("liballoc_fit.so")).expect("built")
}

/// The library with some of its bytes replaced by others of the same length.
fn patched(from: &str, to: &str) -> Vec<u8> {
    let mut bytes = library();
    let section = bytes.windows(from.len()).enumerate().filter(|(_, window)| *window == from.as_bytes());
    let found: Vec<usize> = section.map(|(at, _)| at).collect();
    assert!(!found.is_empty() && from.len() == to.len(), "{from}");
    found.into_iter().for_each(|at| bytes[at..at + to.len()].copy_from_slice(to.as_bytes()));
    bytes
}

fn refused(bytes: &[u8]) -> Reject {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("libsuspect.so");
    fs::write(&path, bytes).expect("written");
    inspect(&path).expect_err("no plugin")
}

#[test]
fn each_file_that_is_no_plugin_is_told_apart() {
    let whole = library();
    assert!(matches!(refused(b""), Reject::NotALibrary { .. }));
    assert!(matches!(refused(b"#!/bin/sh\n"), Reject::NotALibrary { .. }));
    assert!(matches!(
        refused(&whole[..whole.len() / 2]),
        Reject::NotALibrary { .. } | Reject::Truncated { .. }
    ));
    assert!(matches!(refused(&whole[..whole.len() - 1]), Reject::Truncated { .. }));
    let mut other = whole.clone();
    other[18] = 0xf3;
    assert!(matches!(refused(&other), Reject::WrongMachine { machine: 0xf3, .. }));
    let program = fs::read("/bin/sh").expect("a program");
    assert!(matches!(refused(&program), Reject::NotAPlugin { .. }));
    assert!(matches!(
        refused(&patched("\"panic\":\"unwind\"", "\"panic\":\"abort!\"")),
        Reject::PanicAbort { .. }
    ));
    assert!(matches!(
        refused(&patched("\"abi_built\":\"0.1.0\"", "\"abi_built\":\"0.9.0\"")),
        Reject::Version { .. }
    ));
    assert!(matches!(
        refused(&patched("\"abi_req\":\"^0.1.0\"", "\"abi_req\":\"^7.1.0\"")),
        Reject::Version { .. }
    ));
    assert!(matches!(
        refused(&patched("\"role\":\"allocator\"", "\"role\":\"alligator\"")),
        Reject::BadManifest { .. }
    ));
    assert!(matches!(inspect(&PathBuf::from("/nonexistent.so")), Err(Reject::Io { .. })));
    assert!(matches!(inspect(&PathBuf::from("/dev/null")), Err(Reject::NotALibrary { .. })));
}

#[test]
fn what_others_can_change_is_not_trusted() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("liballoc_fit.so");
    fs::write(&path, library()).expect("written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).expect("set");
    assert!(matches!(inspect(&path), Err(Reject::Permissions { mode: 0o666, .. })));
    let list = folder.path().join(TRUST_FILE);
    assert!(load_trusted(folder.path()).expect("no list").is_empty());
    fs::write(&list, format!("{}  liballoc_fit.so\nnonsense\n", "A".repeat(64))).expect("written");
    assert_eq!(
        load_trusted(folder.path()).expect("a list").into_iter().collect::<Vec<_>>(),
        ["a".repeat(64)]
    );
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).expect("set");
    assert!(matches!(load_trusted(folder.path()), Err(Reject::Permissions { .. })));
}

#[test]
fn a_library_whose_initialiser_crashes_is_found_out_in_a_child() {
    // The manifest is as it should be; the code that dlopen runs is not: the probe takes the blow.
    let folder = TempDir::new().expect("a folder");
    let mut bytes = library();
    let sum = {
        // Everything executable becomes an instruction that traps, which the first initialiser runs into.
        let text = section(&bytes, ".text");
        bytes[text].fill(0xcc);
        fs::write(folder.path().join("libtrap.so"), &bytes).expect("written");
        bursar_loader::sha256(&bytes)
    };
    let (mut loader, _scratch) = crate::loader(&[folder.path().into()], [sum].into());
    let seated = loader.allocator("best-fit", "").expect("the linked one");
    assert_eq!(seated.decider.home, Home::Linked);
    let listed = loader.listings(|_, _| true);
    let reason = listed.iter().find_map(|listing| listing.reason.clone()).expect("a reason");
    assert!(reason.contains("could not be opened in a child"), "{reason}");
}

/// Where a section of a library is.
fn section(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    use object::{Object, ObjectSection};
    let file = object::File::parse(bytes).expect("a library");
    let (start, len) =
        file.section_by_name(name).and_then(|section| section.file_range()).expect("a section");
    start as usize..(start + len) as usize
}
