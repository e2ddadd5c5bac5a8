//! Processes that no lease can own: with them would end what gives leases, or the machine.
use crate::process::{Seen, Stat, same, stat};
use bursar_interface::Process;
use std::{path::Path, sync::OnceLock};

/// The init of a machine, or of a container.
const INIT: u32 = 1;
/// A thread of the kernel, among the flags of `/proc/PID/stat`.
const KERNEL_THREAD: u64 = 0x0020_0000;
/// Ancestors that are looked at: more than a process ever has.
const ANCESTORS_MAX: usize = 1024;

/// Why a process can live in no lease of this program's; `None` if it can. What this program runs under may, where it
/// only `outlives` whoever happened to start it.
pub fn exempt(seen: &Seen, outlives: bool) -> Option<&'static str> {
    let (process, pid) = (&seen.process, seen.process.pid);
    // The first pid of a namespace is nobody's to move, and a thread takes its whole process along.
    if pid == INIT {
        return Some("it is the init of this machine or container, and everything would end with it");
    }
    // A thread has the parent of its process.
    let own = || Path::new("/proc/self/task").join(pid.to_string()).exists();
    if pid == std::process::id() || seen.stat.parent == parent() && own() {
        return Some("it is the daemon, which would end with the lease");
    }
    if !outlives && ancestors().contains(process) && forebears().any(|forebear| forebear == pid) {
        return Some("the daemon runs under it");
    }
    (seen.stat.flags & KERNEL_THREAD != 0).then_some("it is a thread of the kernel")
}

/// The pid that this program's parent has here; 0 for none.
fn parent() -> u32 {
    rustix::process::getppid().map_or(0, |parent| parent.as_raw_pid().unsigned_abs())
}

/// Those that this program came from. Whoever loses its parent goes to one further up, so they only become fewer.
fn ancestors() -> &'static [Process] {
    static ANCESTORS: OnceLock<Vec<Process>> = OnceLock::new();
    ANCESTORS.get_or_init(|| {
        forebears().filter_map(|pid| crate::identify(pid).ok().flatten()).filter(same).collect()
    })
}

/// The pids from this program's parent up, as they are now.
fn forebears() -> impl Iterator<Item = u32> {
    let parent = |pid: u32| stat(pid).ok().flatten().map(|Stat { parent, .. }| parent);
    let line = std::iter::successors(parent(std::process::id()), move |&pid| parent(pid));
    line.take_while(|&pid| pid != 0).take(ANCESTORS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::see;

    #[test]
    fn what_gives_leases_lives_in_none() {
        let named = |pid| see(pid).expect("/proc").expect("it runs");
        let why = |pid| exempt(&named(pid), false).unwrap_or_default();
        assert!(why(std::process::id()).contains("the daemon"));
        assert!(why(rustix::thread::gettid().as_raw_pid().unsigned_abs()).contains("the daemon"));
        let parent = rustix::process::getppid().expect("a parent").as_raw_pid().unsigned_abs();
        assert!(!why(parent).is_empty(), "{parent}");
        assert!(parent == INIT || exempt(&named(parent), true).is_none(), "{parent}");
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("sleep");
        assert_eq!(exempt(&named(child.id()), false), None);
        child.kill().expect("kill");
        child.wait().expect("wait");
    }

    #[test]
    fn a_thread_of_the_kernel_is_nobodys() {
        match see(2).expect("/proc") {
            Some(seen) if seen.stat.parent == 0 => {
                assert!(exempt(&seen, false).is_some_and(|why| why.contains("kernel")));
            }
            _ => eprintln!("skipped: in a container none is seen"),
        }
    }
}
