//! Processes by identity: a pid alone may have passed to another one.
use bursar_interface::Process;
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal},
};
use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, Read},
    os::fd::OwnedFd,
    sync::OnceLock,
};

/// Processes that are held open at once.
const OPENED_MAX: usize = 256;

/// This boot of the machine, as the kernel names it.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn boot_id() -> io::Result<String> {
    // No process lives to see another one.
    static BOOT: OnceLock<String> = OnceLock::new();
    if let Some(boot) = BOOT.get() {
        return Ok(boot.clone());
    }
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?.trim().to_owned();
    Ok(BOOT.get_or_init(|| boot).clone())
}

/// A running process, by identity and as it was seen.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Which one it is.
    pub process: Process,
    pub(crate) stat: Stat,
}

/// Looks at a running process; `None` if there is none, or it is a zombie.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn see(pid: u32) -> io::Result<Option<Seen>> {
    let Some(stat) = stat(pid)? else { return Ok(None) };
    let process = Process { pid, started: stat.started, boot: boot_id()? };
    Ok(Some(Seen { process, stat }))
}

/// A running process by identity; `None` if there is none, or it is a zombie.
///
/// # Errors
/// When `/proc` cannot be read.
pub fn identify(pid: u32) -> io::Result<Option<Process>> {
    Ok(see(pid)?.map(|seen| seen.process))
}

/// Whether a process still is the one that was meant.
pub fn same(process: &Process) -> bool {
    started(process.pid).ok().flatten() == Some(process.started)
        && boot_id().is_ok_and(|boot| boot == process.boot)
}

/// Whether a process is stopped, as by Ctrl-Z.
pub fn stopped(pid: u32) -> bool {
    let stat = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok()?.stat().ok());
    stat.is_some_and(|stat| stat.state == 'T')
}

/// Whether a process gets no processor time until somebody says so: it is stopped, or gone.
pub(crate) fn at_rest(pid: u32) -> bool {
    let stat = i32::try_from(pid).ok().and_then(|pid| procfs::process::Process::new(pid).ok()?.stat().ok());
    stat.is_none_or(|stat| matches!(stat.state, 'T' | 't' | 'Z' | 'X'))
}

/// What `/proc/PID/stat` tells of a process.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    /// Its parent's pid; 0 for none that is seen here.
    pub(crate) parent: u32,
    /// The kernel's flags.
    pub(crate) flags: u64,
    /// When it started, in clock ticks since boot.
    started: u64,
}

/// When a process started, in clock ticks since boot; `None` if it is gone or a zombie.
fn started(pid: u32) -> io::Result<Option<u64>> {
    Ok(stat(pid)?.map(|stat| stat.started))
}

/// What is told of a process; `None` if it is gone or a zombie. Looked at several times for each process that joins a
/// lease, so no more of it is read than that.
pub(crate) fn stat(pid: u32) -> io::Result<Option<Stat>> {
    let mut line = [0; STAT_MAX];
    let read = File::open(format!("/proc/{pid}/stat")).and_then(|mut file| file.read(&mut line));
    let text = match read {
        Ok(length) => &line[..length],
        Err(error) if gone(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    // The name stands in brackets and may have any in it; behind it are the state and numbers.
    let behind = text.iter().rposition(|&byte| byte == b')').map_or(0, |at| at + 1);
    let mut fields =
        text[behind..].split(|byte| byte.is_ascii_whitespace()).filter(|field| !field.is_empty());
    let state = fields.next();
    let mut number =
        |skipped| fields.nth(skipped).and_then(|field| std::str::from_utf8(field).ok()?.parse::<u64>().ok());
    let told = [PARENT - STATE - 1, FLAGS - PARENT - 1, STARTED - FLAGS - 1].map(&mut number);
    match (state, told) {
        (Some(b"Z" | b"X"), _) => Ok(None),
        (Some(_), [Some(parent), Some(flags), Some(started)]) => {
            Ok(Some(Stat { parent: parent as u32, flags, started }))
        }
        _ => Err(io::Error::other(format!("/proc/{pid}/stat is not as proc(5) says"))),
    }
}

/// More than `/proc/PID/stat` has: a name of 64 bytes and fifty numbers. The kernel gives all of it at once.
const STAT_MAX: usize = 2048;

/// Fields of `/proc/PID/stat`, counted from 1 as proc(5) does.
const STATE: usize = 3;
const PARENT: usize = 4;
const FLAGS: usize = 9;
const STARTED: usize = 22;

fn gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

/// Sends a signal to those that `members` names, and to nobody else: a pid that passes on to a stranger in the middle
/// of it is not hit. One that ends meanwhile is no error.
pub(crate) fn signal_all(signal: Signal, members: impl Fn() -> Vec<u32>) {
    for some in members().chunks(OPENED_MAX) {
        let open = |&pid: &u32| {
            let known = i32::try_from(pid).ok().and_then(Pid::from_raw)?;
            Some((pid, pidfd_open(known, PidfdFlags::empty()).ok()?))
        };
        let opened: Vec<(u32, OwnedFd)> = some.iter().filter_map(open).collect();
        // Looked at after they were opened: a descriptor stays with whom it was opened for, and whoever has the pid
        // of a member that is gone is none.
        let still: BTreeSet<u32> = members().into_iter().collect();
        for (_, process) in opened.iter().filter(|(pid, _)| still.contains(pid)) {
            let _ = pidfd_send_signal(process, signal);
        }
    }
}

/// An eye on one process.
#[derive(Debug)]
pub struct Watch(Option<OwnedFd>);

impl Watch {
    /// Watches a process; one that is gone or another is gone at once.
    pub fn open(process: &Process) -> Watch {
        let pid = i32::try_from(process.pid).ok().and_then(Pid::from_raw);
        let opened = pid.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok());
        // Looked at after it was opened: the descriptor stays with whom it was opened for.
        Watch(opened.filter(|_| same(process)))
    }

    /// Watches nobody: as if the process were gone.
    pub fn nobody() -> Watch {
        Watch(None)
    }

    /// Sends a signal to the process, by its number; one that has ended does not hear it.
    pub fn tell(&self, signal: i32) {
        if let (Some(process), Some(signal)) = (&self.0, Signal::from_named_raw(signal)) {
            // It may have ended meanwhile.
            let _ = pidfd_send_signal(process, signal);
        }
    }

    /// # Errors
    /// When the process, as which it is named, has ended.
    pub(crate) fn still(&self, process: &Process) -> io::Result<()> {
        match self.gone() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, format!("process {} is gone", process.pid))),
            false => Ok(()),
        }
    }

    /// Whether the process has ended.
    pub fn gone(&self) -> bool {
        let Some(process) = &self.0 else { return true };
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        poll(&mut [PollFd::new(process, PollFlags::IN)], Some(&at_once)).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_known_by_more_than_its_pid() {
        let me = identify(std::process::id()).expect("/proc").expect("I am here");
        assert!(same(&me));
        assert!(!same(&Process { started: me.started + 1, ..me.clone() }));
        assert!(!same(&Process { boot: "another".into(), ..me.clone() }));
        assert!(!Watch::open(&me).gone());
        assert!(Watch::open(&Process { started: 1, ..me }).gone());
        assert_eq!(identify(0).expect("no pid"), None);
        assert_eq!(identify(u32::MAX).expect("no pid"), None);
    }

    #[test]
    fn a_process_may_have_any_name() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "printf 'a) Z 1 (b' > /proc/$$/comm && echo && exec cat"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("sh");
        let mut named = [0];
        std::io::Read::read_exact(child.stdout.as_mut().expect("a pipe"), &mut named).expect("named");
        let known = procfs::process::Process::new(child.id() as i32)
            .and_then(|process| process.stat())
            .expect("/proc");
        let found = identify(child.id()).expect("/proc").expect("runs");
        assert_eq!(found.started, known.starttime);
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    #[test]
    fn a_watched_process_is_seen_to_end() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        let watch = Watch::open(&identify(child.id()).expect("/proc").expect("runs"));
        assert!(!watch.gone());
        child.kill().expect("kill");
        child.wait().expect("wait");
        assert!(watch.gone());
        assert_eq!(identify(child.id()).expect("/proc"), None);
    }
}
