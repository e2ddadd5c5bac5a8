//! The zoo: libraries that must not be loaded. Each is made of a good one by one thing that is wrong with it, and is
//! refused by the check that is named beside it, in words that name what is wrong and how to mend it. Each is tried
//! as a stranger and as one that is trusted like the host. `cargo xtask matrix` prints the table.
use crate::settings;
use bursar_interface::{Home, Role};
use bursar_loader::{Listing, Loader, State, TRUST_FILE, sha256};
use minisign::KeyPair;
use object::{Object, ObjectSection};
use std::{
    fs,
    io::Cursor,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
};
use tempfile::TempDir;

/// What refuses a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// A look at the file and the way to it, before any of its code runs.
    Look,
    /// A comparison with the others that are there.
    Shelf,
    /// Opening it: in a child, and nowhere else before that.
    Opening,
    /// Making a plugin of it.
    Making,
}
use By::{Look, Making, Opening, Shelf};

/// Puts a specimen into a folder of its own.
type Cage = fn(&Path);

/// Name, how it is made, what refuses it, what is wrong, how to mend it.
type Specimen = (&'static str, Cage, By, &'static str, &'static str);

const ZOO: [Specimen; 32] = [
    ("empty", |to| put(to, b""), Look, "no shared library", "cdylib"),
    ("text", |to| put(to, b"#!/bin/sh\nexit 0\n"), Look, "no shared library", "cdylib"),
    ("a folder", |to| fs::create_dir(to.join(NAME)).expect("made"), Look, "not a regular file", "cdylib"),
    ("a pipe", pipe, Look, "not a regular file", "cdylib"),
    ("far too large", sparse, Look, "far too large", "cdylib"),
    ("an object file", |to| edit(to, |bytes| bytes[16] = 1), Look, "position independent", "cdylib"),
    ("of 32 bits", |to| edit(to, |bytes| bytes[4] = 1), Look, "no shared library", "cdylib"),
    ("for another machine", |to| edit(to, |bytes| bytes[18] = 0xf3), Look, "another machine", "build it for"),
    ("cut in half", |to| edit(to, |bytes| bytes.truncate(bytes.len() / 2)), Look, "cut off", "copy it again"),
    (
        "a byte short",
        |to| edit(to, |bytes| bytes.truncate(bytes.len() - 1)),
        Look,
        "cut off",
        "copy it again",
    ),
    ("a program", |to| put(to, &fs::read("/bin/sh").expect("one")), Look, "no plugin", "#[plugin]"),
    (
        "no manifest",
        |to| swap(to, ".shstrtab", ".bursar_manifest", ".bursar_manifold"),
        Look,
        "no plugin",
        "#[plugin]",
    ),
    ("an empty manifest", |to| blank(to, ".bursar_manifest", 0), Look, "no plugin", "#[plugin]"),
    ("a manifest of bytes", |to| blank(to, ".bursar_manifest", 0xff), Look, "bad manifest", "sdk"),
    ("a manifest of words", |to| blank(to, ".bursar_manifest", b'x'), Look, "bad manifest", "sdk"),
    (
        "an unknown role",
        |to| says(to, r#""role":"allocator""#, r#""role":"alligator""#),
        Look,
        "alligator",
        "sdk",
    ),
    (
        "a name that is a path",
        |to| says(to, r#""id":"best-fit""#, r#""id":"../b-fit""#),
        Look,
        "../b-fit",
        "letters",
    ),
    (
        "one name twice",
        |to| says(to, r#""id":"worst-fit""#, r#""id": "best-fit""#),
        Look,
        "twice",
        "another name",
    ),
    (
        "a newer border",
        |to| says(to, r#""abi_built":"0.1.0""#, r#""abi_built":"0.9.0""#),
        Look,
        "built with 0.9.0",
        "build it again",
    ),
    (
        "another border",
        |to| says(to, r#""abi_req":"^0.1.0""#, r#""abi_req":"^7.1.0""#),
        Look,
        "border ^7.1.0",
        "build it again",
    ),
    (
        "panic = abort",
        |to| says(to, r#""panic":"unwind""#, r#""panic":"abort!""#),
        Look,
        "panic=abort",
        "panic=unwind",
    ),
    ("open to others", |to| mode(to, NAME, 0o666), Look, "mode 666", "chmod go-w"),
    ("in an open folder", |to| mode(to, "", 0o777), Look, "mode 777", "chmod go-w"),
    ("somebody else's", foreign, Look, "belongs to user 65534", "chown"),
    ("a link", link, Look, "symbolic link", "the library itself"),
    ("signed by nobody known", |to| sign(to, false), Look, "no trusted key", "remove the signature"),
    ("signed, and changed since", |to| sign(to, true), Look, "no trusted key", "remove the signature"),
    ("there twice", twice, Shelf, "the same bytes", "remove one"),
    ("an initialiser that crashes", |to| blank(to, ".text", 0xcc), Opening, "SIGTRAP", "plugin verify"),
    (
        "no root",
        |to| swap(to, ".dynstr", "_1as_0lib_1header", "_1as_0lib_1reader"),
        Opening,
        "could not be opened",
        "sdk",
    ),
    (
        "another layout",
        |to| swap(to, ".rodata", "abi_version;init;", "abi_version;knit;"),
        Opening,
        "not laid out",
        "sdk",
    ),
    (
        "a plugin that is not in it",
        |to| says(to, r#""id":"best-fit""#, r#""id":"west-fit""#),
        Making,
        "no allocator west-fit",
        "",
    ),
];

/// The name under which all of them come.
const NAME: &str = "libspecimen.so";

fn good() -> Vec<u8> {
    fs::read(bursar_conformance::first_party().join("liballoc_fit.so")).expect("built")
}

fn put(to: &Path, bytes: &[u8]) {
    fs::write(to.join(NAME), bytes).expect("written");
}

fn edit(to: &Path, with: impl FnOnce(&mut Vec<u8>)) {
    let mut bytes = good();
    with(&mut bytes);
    put(to, &bytes);
}

/// Replaces text by other text of the same length, wherever it stands in a section.
fn swap(to: &Path, name: &str, before: &str, after: &str) {
    assert_eq!(before.len(), after.len());
    edit(to, |bytes| {
        let range = section(bytes, name);
        let part = &mut bytes[range];
        let places = 0..part.len().saturating_sub(before.len());
        let found: Vec<usize> = places.filter(|&at| part[at..].starts_with(before.as_bytes())).collect();
        assert!(!found.is_empty(), "{before} is not in {name}");
        found.into_iter().for_each(|at| part[at..at + after.len()].copy_from_slice(after.as_bytes()));
    });
}

/// Changes what the manifest says, and nothing of what the library knows of itself.
fn says(to: &Path, before: &str, after: &str) {
    swap(to, ".bursar_manifest", before, after);
}

fn section(bytes: &[u8], name: &str) -> std::ops::Range<usize> {
    let file = object::File::parse(bytes).expect("a library");
    let found = file.section_by_name(name).and_then(|section| section.file_range());
    let (start, len) = found.expect("a section");
    start as usize..(start + len) as usize
}

/// Fills a section with one byte.
fn blank(to: &Path, name: &str, with: u8) {
    edit(to, |bytes| {
        let range = section(bytes, name);
        bytes[range].fill(with);
    });
}

fn pipe(to: &Path) {
    let made = Command::new("mkfifo").arg(to.join(NAME)).status();
    assert!(made.is_ok_and(|status| status.success()), "a pipe");
}

fn sparse(to: &Path) {
    let file = fs::File::create(to.join(NAME)).expect("made");
    file.set_len(257 << 20).expect("stretched");
}

fn mode(to: &Path, name: &str, mode: u32) {
    put(to, &good());
    fs::set_permissions(to.join(name), fs::Permissions::from_mode(mode)).expect("set");
}

fn foreign(to: &Path) {
    put(to, &good());
    if let Err(error) = std::os::unix::fs::chown(to.join(NAME), Some(65_534), None) {
        eprintln!("skipped: a file cannot be given away here ({error})");
        fs::remove_file(to.join(NAME)).expect("removed");
    }
}

fn link(to: &Path) {
    fs::write(to.join("real"), good()).expect("written");
    symlink(to.join("real"), to.join(NAME)).expect("linked");
}

fn twice(to: &Path) {
    put(to, &good());
    fs::copy(to.join(NAME), to.join("libcopy.so")).expect("copied");
}

fn sign(to: &Path, ours: bool) {
    let other = KeyPair::generate_unencrypted_keypair().expect("a key");
    let by = if ours { keys() } else { &other };
    let signature = minisign::sign(None, &by.sk, Cursor::new(good()), None, None).expect("signed");
    fs::write(to.join(format!("{NAME}.minisig")), signature.to_string()).expect("written");
    edit(to, |bytes| bytes.extend(ours.then_some(0)));
}

/// The key that the hosts of this zoo trust.
fn keys() -> &'static KeyPair {
    static KEYS: std::sync::OnceLock<KeyPair> = std::sync::OnceLock::new();
    KEYS.get_or_init(|| KeyPair::generate_unencrypted_keypair().expect("a key"))
}

/// What a host says of a specimen after it was asked for it, and who answered.
fn met(cage: Cage, home: Home) -> Option<(Vec<Listing>, String)> {
    let (top, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    let folder = top.path().join("plugins");
    fs::create_dir(&folder).expect("made");
    cage(&folder);
    if fs::symlink_metadata(folder.join(NAME)).is_err() {
        return None;
    }
    let is_file = fs::metadata(folder.join(NAME)).is_ok_and(|meta| meta.is_file() && meta.len() < 64 << 20);
    let bytes = (is_file && home == Home::Inline).then(|| fs::read(folder.join(NAME)).expect("read"));
    let trusted = bytes.map(|bytes| sha256(&bytes)).into_iter().collect();
    let mut loader = Loader::new(settings(&[folder], trusted, scratch.path())).expect("a stage");
    loader.trust(&keys().pk.to_base64()).expect("trusted");
    let mut said = Vec::new();
    for id in ["best-fit", "west-fit"] {
        said.push(match loader.allocator(id, "") {
            Ok(seated) => format!("{:?}", seated.decider.home),
            Err(reject) => reject.to_string(),
        });
    }
    Some((loader.listings(|_, _| false), said.join("; ")))
}

#[test]
fn each_is_refused_by_its_check_in_words_that_help() {
    let mut wrong = Vec::new();
    println!("{:<30} {:<8} what it is told", "library", "by");
    for (name, cage, by, what, mend) in ZOO {
        for home in [Home::Child, Home::Inline] {
            let Some((listed, said)) = met(cage, home) else { continue };
            let of_files = listed.iter().filter(|listing| listing.home != Home::Linked);
            let told: Vec<String> = of_files.clone().filter_map(|listing| listing.reason.clone()).collect();
            let told = told.join("; ");
            if home == Home::Child {
                println!(
                    "{name:<30} {by:<8} {}",
                    told.chars().take(200).collect::<String>(),
                    by = format!("{by:?}")
                );
            }
            // Before it is asked for, only a look has refused it: then nothing of it was ever run.
            let refused = of_files.clone().filter(|listing| listing.state == State::Refused);
            let looked = refused.clone().any(|listing| listing.role.is_none());
            let as_named = match by {
                Look | Shelf => looked,
                Opening | Making => refused.clone().any(|listing| listing.role == Some(Role::Allocator)),
            };
            let helps = told.contains(what) && told.contains(mend);
            let stands_by = by == Shelf || by == Making || said.starts_with("Linked");
            if !as_named || !helps || !stands_by {
                wrong.push(format!("{name} in {home:?}: {told} / {said} / {as_named} {helps} {stands_by}"));
            }
        }
    }
    println!("{} libraries, each as a stranger and as one that is trusted", ZOO.len());
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_list_of_trust_that_others_can_write_trusts_nobody() {
    let (folder, scratch) = (TempDir::new().expect("a folder"), TempDir::new().expect("a folder"));
    put(folder.path(), &good());
    let list = folder.path().join(TRUST_FILE);
    fs::write(&list, format!("{}  {NAME}\n", sha256(&good()))).expect("written");
    let home = |mode: u32| {
        fs::set_permissions(&list, fs::Permissions::from_mode(mode)).expect("set");
        let settings = settings(&[folder.path().into()], Default::default(), scratch.path());
        let mut loader = Loader::new(settings).expect("a stage");
        loader.allocator("best-fit", "").expect("one of them").decider.home
    };
    assert_eq!((home(0o644), home(0o664), home(0o646)), (Home::Inline, Home::Child, Home::Child));
}
