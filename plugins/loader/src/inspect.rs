//! A look at a file before any of its code runs: dlopen runs initialisers, and maps a cut-off file
//! into a crash.
use crate::{
    Reject,
    trust::sha256,
    way::{check, check_way},
};
use bursar_interface::Manifest;
use object::{
    Endianness, Object, ObjectSection, elf,
    read::elf::{ElfFile64, FileHeader, ProgramHeader},
};
use rustix::{fs::OFlags, io::Errno};
use std::{
    collections::BTreeSet,
    fs,
    io::Read,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The largest library that is looked at, in bytes (256 MiB).
const LIBRARY_BYTES_MAX: u64 = 256 << 20;
/// Letters in the name of a plugin.
const ID_BYTES_MAX: usize = 64;

/// A file that looks like a plugin library.
#[derive(Clone, Debug)]
pub struct Candidate {
    /// Where it was found.
    pub path: PathBuf,
    /// sha256 of its bytes, in hex.
    pub sha256: String,
    /// What it says it holds.
    pub manifests: Vec<Manifest>,
}

/// Looks at a file; nothing of it is executed.
///
/// # Errors
/// A [`Reject`] that names the file and what is wrong.
pub fn inspect(path: &Path) -> Result<Candidate, Reject> {
    inspect_bytes(path, &read(path)?)
}

/// The same of bytes that were read already.
pub(crate) fn inspect_bytes(path: &Path, bytes: &[u8]) -> Result<Candidate, Reject> {
    let manifests = manifests(path, bytes)?;
    if manifests.is_empty() {
        return Err(Reject::NotAPlugin { path: name(path) });
    }
    check_names(path, &manifests)?;
    manifests.iter().try_for_each(check_border)?;
    Ok(Candidate { path: path.into(), sha256: sha256(bytes), manifests })
}

/// The bytes of a library that only root or this user can change.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Reject> {
    let io = |error: std::io::Error| Reject::io(path, &error);
    // What is opened is what is looked at from here on, whatever the name comes to mean meanwhile.
    let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let opened = fs::File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    let mut file = match opened {
        Err(error) if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => {
            return Err(Reject::Link { path: name(path) });
        }
        opened => opened.map_err(io)?,
    };
    let meta = file.metadata().map_err(io)?;
    if !meta.is_file() || meta.len() > LIBRARY_BYTES_MAX {
        return Err(Reject::NotALibrary {
            path: name(path),
            why: "not a regular file, or far too large".into(),
        });
    }
    check(path, &meta)?;
    check_way(path)?;
    let mut bytes = Vec::with_capacity(meta.len() as usize);
    file.read_to_end(&mut bytes).map_err(io)?;
    Ok(bytes)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

/// Whether every plugin has a name that can be asked for, and no other of its role has it.
fn check_names(path: &Path, manifests: &[Manifest]) -> Result<(), Reject> {
    let mut known = BTreeSet::new();
    for Manifest { role, id, .. } in manifests {
        let refuse = |why: String| {
            let (path, role, id) = (name(path), role.name().into(), id.clone());
            Err(Reject::Named { path, role, id, why })
        };
        let letters = id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        if !letters || !(1..=ID_BYTES_MAX).contains(&id.len()) || id.starts_with(['.', '-']) {
            return refuse(format!("a name has 1 to {ID_BYTES_MAX} letters, digits, and - _ . within"));
        }
        if !known.insert((role, id)) {
            return refuse("it is there twice; give one of them another name".into());
        }
    }
    Ok(())
}

fn check_border(manifest: &Manifest) -> Result<(), Reject> {
    let host = host_version();
    let plugin = format!("{} {} {}", manifest.role.name(), manifest.id, manifest.version);
    if !manifest.abi_req.matches(&host) || !same_era(&manifest.abi_built, &host) {
        let needs = format!("{} (built with {})", manifest.abi_req, manifest.abi_built);
        return Err(Reject::Version { plugin, needs, host: host.to_string() });
    }
    if manifest.panic != "unwind" {
        return Err(Reject::PanicAbort { plugin });
    }
    Ok(())
}

/// Versions that promise the same: the same major, and before 1.0 the same minor.
fn same_era(a: &semver::Version, b: &semver::Version) -> bool {
    a.major == b.major && (a.major > 0 || a.minor == b.minor)
}

/// The version of this host's border.
pub(crate) fn host_version() -> semver::Version {
    semver::Version::parse(bursar_abi::ABI_VERSION).expect("a crate's version is a version")
}

fn manifests(path: &Path, bytes: &[u8]) -> Result<Vec<Manifest>, Reject> {
    let not = |why: String| Reject::NotALibrary { path: name(path), why };
    let header = elf::FileHeader64::<Endianness>::parse(bytes).map_err(|error| not(error.to_string()))?;
    let endian = header.endian().map_err(|error| not(error.to_string()))?;
    if header.e_type(endian) != elf::ET_DYN {
        return Err(not("not position independent (ET_DYN)".into()));
    }
    let machine = if cfg!(target_arch = "x86_64") { elf::EM_X86_64 } else { elf::EM_AARCH64 };
    if header.e_machine(endian) != machine {
        return Err(Reject::WrongMachine { path: name(path), machine: header.e_machine(endian) });
    }
    let need = needed(header, endian, bytes);
    if need > bytes.len() as u64 {
        return Err(Reject::Truncated { path: name(path), need, have: bytes.len() as u64 });
    }
    let file = ElfFile64::<Endianness>::parse(bytes).map_err(|error| not(error.to_string()))?;
    let section = file.section_by_name(".bursar_manifest");
    let section = section.ok_or_else(|| Reject::NotAPlugin { path: name(path) })?;
    let bad = |why: String| Reject::BadManifest { path: name(path), why };
    let data = section.data().map_err(|error| bad(error.to_string()))?;
    let text = std::str::from_utf8(data).map_err(|error| bad(error.to_string()))?;
    let lines = text.lines().map(|line| line.trim_matches('\0')).filter(|line| !line.is_empty());
    lines.map(|line| serde_json::from_str(line).map_err(|error| bad(error.to_string()))).collect()
}

/// Bytes that a library must have by its own account: its tables, and what is loaded of it.
fn needed(header: &elf::FileHeader64<Endianness>, endian: Endianness, bytes: &[u8]) -> u64 {
    let table = |at: u64, size: u16, count: u16| at.saturating_add(u64::from(size) * u64::from(count));
    let sections = table(header.e_shoff(endian), header.e_shentsize(endian), header.e_shnum(endian));
    let programs = table(header.e_phoff(endian), header.e_phentsize(endian), header.e_phnum(endian));
    let parts = header.program_headers(endian, bytes).unwrap_or_default().iter();
    let loads = parts.filter(|part| part.p_type(endian) == elf::PT_LOAD);
    let loaded = loads.map(|part| part.p_offset(endian).saturating_add(part.p_filesz(endian)));
    loaded.fold(sections.max(programs), u64::max)
}
