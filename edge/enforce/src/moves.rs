//! How long a process waits to be moved into a control group.
//!
//! While one moves, the kernel lets nobody on the machine fork, start a program or end, and the first move after a quiet
//! while waits for a grace period besides (`cgroup_threadgroup_rwsem`): 6 to 20 ms. Where a hierarchy has `favordynmods`
//! (Linux 6.0) nobody waits for that as long as it is there, and each fork takes a little longer; from 6.18 on a move
//! holds up nobody but the process itself, until the machine's next start. So this program has a hierarchy of its own
//! with that: of v1, without controllers, mounted nowhere, and gone with the descriptor.
use rustix::{
    fd::OwnedFd,
    io::Errno,
    mount::{FsOpenFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsopen},
    system::uname,
};
use std::{
    io, thread,
    time::{Duration, Instant},
};

/// What a hierarchy is mounted with where nobody waits for that.
const FAVOR: &str = "favordynmods";
/// The first kernel that goes on so when the hierarchy is gone.
const FOR_GOOD: (u32, u32) = (6, 18);
/// Our hierarchy in `/proc/PID/cgroup`, the same for all daemons of a machine.
const NAME: &str = "bursar";
/// How long the last one of that name may take to be gone: some grace periods.
const GONE_WITHIN: Duration = Duration::from_secs(1);
/// Between two looks whether it is.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How processes are moved on this host.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Moves {
    /// Nobody has found out yet.
    #[default]
    Unknown,
    /// At once.
    Quick,
    /// At once as long as a hierarchy of ours is there, which can be had.
    OnDemand,
    /// Some of them late, and why that is so.
    Slow(String),
    /// It cannot be told: the kernel goes on moving them at once where somebody had it do so since the machine's start.
    Untold,
}

impl Moves {
    /// Finds out; where it is `allowed` to, and of use, by having the kernel do so from here on.
    pub fn here(allowed: bool) -> Moves {
        let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        if is_favored(&mounted) {
            return Moves::Quick;
        }
        let for_good = kernel().is_some_and(|kernel| kernel >= FOR_GOOD);
        if !allowed {
            return Moves::unasked(for_good);
        }
        match Favor::ask() {
            Ok(_) if for_good => Moves::Quick,
            Ok(_) => Moves::OnDemand,
            Err(error) => Moves::Slow(format!("no hierarchy with {FAVOR}: {error}")),
        }
    }

    /// What is known where this daemon asks nothing of a kernel that keeps `for_good` what others asked.
    fn unasked(for_good: bool) -> Moves {
        match for_good {
            true => Moves::Untold,
            false => Moves::Slow("nothing was asked of the kernel by this daemon".into()),
        }
    }
}

/// Our hierarchy; gone when this is dropped.
#[derive(Debug)]
pub(crate) struct Favor(
    #[expect(dead_code, reason = "what it holds is there as long as it is open")] OwnedFd,
);

impl Favor {
    /// Takes one grace period of the kernel, if that is what moves are waiting for, and one more where the last of our
    /// hierarchies is just going: the kernel refuses one of its name as busy until then.
    ///
    /// # Errors
    /// Without the right to it, in a container, and from a kernel that knows nothing of it.
    pub(crate) fn ask() -> io::Result<Favor> {
        Favor::named(NAME)
    }

    fn named(name: &str) -> io::Result<Favor> {
        let until = Instant::now() + GONE_WITHIN;
        loop {
            match Favor::named_once(name) {
                Err(Errno::BUSY) if Instant::now() < until => thread::sleep(LOOK_EVERY),
                told => return Ok(told?),
            }
        }
    }

    fn named_once(name: &str) -> rustix::io::Result<Favor> {
        let hierarchy = fsopen("cgroup", FsOpenFlags::FSOPEN_CLOEXEC)?;
        fsconfig_set_flag(&hierarchy, "none")?;
        fsconfig_set_string(&hierarchy, "name", name)?;
        fsconfig_set_flag(&hierarchy, FAVOR)?;
        fsconfig_create(&hierarchy)?;
        Ok(Favor(hierarchy))
    }
}

/// Whether the host has chosen so by itself.
fn is_favored(mounted: &str) -> bool {
    let options = mounted.lines().filter_map(|line| line.split_once(" - ")?.1.split(' ').nth(2));
    options.flat_map(|options| options.split(',')).any(|option| option == FAVOR)
}

/// Which kernel this is, as far as it counts.
fn kernel() -> Option<(u32, u32)> {
    let told = uname();
    let mut numbers = told.release().to_str().ok()?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One that no daemon beside this test has.
    const OURS: &str = "bursar-test";

    /// Whether it is there.
    fn is_there() -> bool {
        let own = std::fs::read_to_string("/proc/self/cgroup").expect("/proc");
        own.lines().any(|line| line.contains(&format!("name={OURS}:")))
    }

    #[test]
    fn a_hierarchy_of_ours_is_there_as_long_as_it_is_held() {
        let favor = match Favor::named(OURS) {
            Ok(favor) => favor,
            Err(error) => return eprintln!("skipped: it cannot be had here: {error}"),
        };
        assert!(is_there());
        let second = Favor::named(OURS).expect("another daemon's is the same");
        drop(favor);
        assert!(is_there(), "whoever else has it goes on");
        drop(second);
        let gone = (0..500).any(|_| {
            thread::sleep(LOOK_EVERY);
            !is_there()
        });
        assert!(gone, "nothing of it stays");
    }

    #[test]
    fn who_comes_while_the_last_one_is_going_has_one_all_the_same() {
        let ask_often = || (0..10).try_for_each(|_| Favor::ask().map(drop));
        let all: Vec<_> = (0..3).map(|_| thread::spawn(ask_often)).collect();
        for asker in all {
            match asker.join().expect("no panic") {
                Err(error) if error.kind() != io::ErrorKind::ResourceBusy => {
                    eprintln!("skipped: it cannot be had here: {error}");
                }
                told => told.expect("one of ours"),
            }
        }
    }

    #[test]
    fn what_the_host_has_chosen_needs_nothing_of_ours() {
        let with =
            |options: &str| format!("42 36 0:35 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 {options}\n");
        assert!(is_favored(&with("rw,nsdelegate,favordynmods,memory_recursiveprot")));
        assert!(!is_favored(&with("rw,nsdelegate")));
        assert!(!is_favored("42 36 0:35 / /favordynmods rw - tmpfs favordynmods rw\n"));
        assert!(kernel().is_some_and(|kernel| kernel > (3, 0)));
        assert!(
            matches!(Moves::here(false), Moves::Quick | Moves::Slow(_) | Moves::Untold),
            "nothing is asked of the kernel"
        );
        assert!(matches!(Moves::unasked(false), Moves::Slow(_)));
        assert_eq!(Moves::unasked(true), Moves::Untold, "another daemon may have asked");
    }
}
