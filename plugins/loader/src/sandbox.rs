//! What a child may reach: it takes rights away from itself before any of the library's code runs, and what
//! the kernel lacks is left out and told. A role gets what its work needs and nothing else.
#![allow(unsafe_code)]
use crate::{grant::Grant, syscalls};
use landlock::{
    ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, Scope,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::{
    io,
    path::{Path, PathBuf},
};

/// The newest version of Landlock that is asked for; older kernels do what they can of it.
const LANDLOCK: ABI = ABI::V7;
/// Bytes of memory of its own that a child may have (1 GiB).
const DATA_BYTES_MAX: u64 = 1 << 30;
/// Files that a child may have open: of a role that acts on the world, and of any other.
const FILES_MAX: (u64, u64) = (4096, 64);
/// Where shared libraries are.
const LIBRARIES: [&str; 6] = ["/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache"];
/// What whoever measures may read.
const READINGS: [&str; 2] = ["/proc", "/sys"];
/// What whoever acts may read besides: devices, and how names are resolved.
const NAMES: [&str; 7] = [
    "/dev",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/ssl",
    "/etc/services",
];

/// What a role's work needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// A pure function: nothing but memory, threads and the conversation.
    Thinks,
    /// Reads the kernel's figures.
    Measures,
    /// Reads them, and has the network.
    Acts,
}

impl Profile {
    /// The profile of a role's word; whatever is not known gets nothing.
    pub(crate) fn of(role: &str) -> Profile {
        match role {
            "metric" => Profile::Measures,
            "driver" => Profile::Acts,
            _ => Profile::Thinks,
        }
    }
}

/// Closes what the host left open, takes away privileges, capabilities and resources, and then files, network
/// and system calls, as far as the kernel can.
///
/// # Errors
/// When the kernel has a means and yet refuses it: then the library must not be opened.
pub(crate) fn lock(profile: Profile, grant: &Grant, library: &Path) -> io::Result<()> {
    rustix::thread::set_no_new_privs(true)?;
    drop_capabilities();
    limits(profile, grant)?;
    let mut read: Vec<PathBuf> = LIBRARIES.iter().map(PathBuf::from).collect();
    read.push(library.into());
    read.extend(readable(profile).map(PathBuf::from));
    read.extend(grant.read.iter().cloned());
    restrict(profile, grant, &read)?;
    syscalls::restrict(profile, grant)
}

/// Takes away what only opening the library needed. What loads libraries on its own accord keeps them.
pub(crate) fn lock_further(profile: Profile, grant: &Grant) -> io::Result<()> {
    match profile {
        Profile::Thinks => restrict(profile, grant, &grant.read),
        Profile::Measures | Profile::Acts => Ok(()),
    }
}

fn readable(profile: Profile) -> impl Iterator<Item = &'static str> {
    let (readings, names): (&[&str], &[&str]) = match profile {
        Profile::Thinks => (&[], &[]),
        Profile::Measures => (&READINGS, &[]),
        Profile::Acts => (&READINGS, &NAMES),
    };
    readings.iter().chain(names).copied()
}

/// Closes every descriptor but the three that the conversation is held over.
pub(crate) fn close_inherited() {
    // SAFETY: nothing in this process has opened a descriptor yet; those that are closed are nobody's.
    // A kernel that lacks the call (before 5.9) leaves what its parent did not mark.
    unsafe { libc::close_range(3, u32::MAX, 0) };
}

/// A child of root would still be root.
fn drop_capabilities() {
    use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};
    let none = CapabilitySet::empty();
    // Whoever has none cannot lose any.
    let _ = set_capabilities(None, CapabilitySets { effective: none, permitted: none, inheritable: none });
}

fn limits(profile: Profile, grant: &Grant) -> io::Result<()> {
    let to = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    let files = if profile == Profile::Acts { FILES_MAX.0 } else { FILES_MAX.1 };
    setrlimit(Resource::Nofile, to(files))?;
    setrlimit(Resource::Core, to(0))?;
    setrlimit(Resource::Data, to(DATA_BYTES_MAX))?;
    if grant.write.is_empty() && profile_file().is_none() {
        setrlimit(Resource::Fsize, to(0))?;
    }
    Ok(())
}

/// Where a build that measures its own coverage writes what it counted.
pub(crate) fn profile_file() -> Option<PathBuf> {
    std::env::var_os("LLVM_PROFILE_FILE").map(PathBuf::from)
}

/// Leaves only these files to be read, and those of the grant to be written; rights once lost stay lost.
fn restrict(profile: Profile, grant: &Grant, read: &[PathBuf]) -> io::Result<()> {
    let other = |error: landlock::RulesetError| io::Error::other(error.to_string());
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(LANDLOCK))
        .map_err(other)?;
    if profile != Profile::Acts && !grant.network {
        rules = rules.handle_access(AccessNet::from_all(LANDLOCK)).map_err(other)?;
    }
    // Signals to others, and sockets that are names without files.
    let mut rules = rules.scope(Scope::from_all(LANDLOCK)).map_err(other)?.create().map_err(other)?;
    let reading = AccessFs::from_read(LANDLOCK);
    let writing = profile_file().and_then(|file| file.parent().map(Path::to_owned));
    let read = read.iter().map(|path| (path, reading));
    let write = grant.write.iter().chain(&writing).map(|path| (path, AccessFs::from_all(LANDLOCK)));
    for (path, access) in read.chain(write) {
        // What is not there cannot be reached.
        let Ok(beneath) = PathFd::new(path) else { continue };
        rules = rules.add_rule(PathBeneath::new(beneath, access)).map_err(other)?;
    }
    rules.restrict_self().map(drop).map_err(other)
}

/// What of all this the kernel can do: a word of `doctor`, and more words.
pub fn ability() -> (&'static str, String) {
    // SAFETY: asks for the version; no pointer is passed.
    let landlock = unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0, 0, 1) };
    let seccomp = std::fs::read_to_string("/proc/self/status")
        .is_ok_and(|status| status.lines().any(|line| line.starts_with("Seccomp:")));
    let files = match landlock {
        1.. => format!("files, network and signals by Landlock {landlock}"),
        _ => "no Landlock: files are reached as this user reaches them".into(),
    };
    let calls = match seccomp {
        true => "system calls by seccomp",
        false => "no seccomp: every system call is let through",
    };
    let state = if landlock > 0 && seccomp { "ok" } else { "weak" };
    (
        state,
        format!(
            "{files}; {calls}; no privileges, capabilities, environment or descriptors; memory, files and cores by limits"
        ),
    )
}
