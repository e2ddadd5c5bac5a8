//! Whom the kernel ends first when memory runs out: never the daemon, and always rather what runs in its leases.
use bursar_interface::Class;
use std::{fs, io};

/// How the daemon stands, from -1000 to 1000: nearly last. At -1000 a daemon that leaks would take the machine with it.
const DAEMON: i32 = -900;

/// How processes of a lease stand, by its class.
const LEASES: [i32; 3] = [100, 400, 700];

/// Has the kernel spare this process; what it starts from then on stands where it does until [`unspare`].
///
/// # Errors
/// When it has not the right to: then it stands where others do.
pub fn spare_self() -> io::Result<()> {
    put("self", DAEMON)
}

/// Has a lease's process, with all that it starts, stand before those that are in none: the worst class first. Where
/// nobody can be spared, that is what spares the daemon.
///
/// # Errors
/// When it is gone, or another user's.
pub fn expose(pid: u32, class: Class) -> io::Result<()> {
    let pid = pid.to_string();
    let score = LEASES[class as usize];
    // One that stands worse by its own choice stays there.
    match score_of(&pid).is_some_and(|known| known < score) {
        true => put(&pid, score),
        false => Ok(()),
    }
}

/// Has a process that this one started stand where others do.
///
/// # Errors
/// When it is gone.
pub fn unspare(pid: u32) -> io::Result<()> {
    put(&pid.to_string(), 0)
}

/// Where a process stands, `self` for this one.
pub fn score_of(pid: &str) -> Option<i32> {
    fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).ok()?.trim().parse().ok()
}

fn put(pid: &str, score: i32) -> io::Result<()> {
    let path = format!("/proc/{pid}/oom_score_adj");
    fs::write(&path, score.to_string())
        .map_err(|error| io::Error::new(error.kind(), format!("{path}: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_was_spared_stands_where_others_do_again() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().expect("starts");
        let pid = child.id().to_string();
        match put(&pid, DAEMON) {
            Ok(()) => assert_eq!(score_of(&pid), Some(DAEMON)),
            Err(error) => eprintln!("skipped: nobody can be spared here: {error}"),
        }
        unspare(child.id()).expect("it may always stand worse");
        assert_eq!(score_of(&pid), Some(0));
        expose(child.id(), Class::BestEffort).expect("worse");
        expose(child.id(), Class::Guaranteed).expect("it stays where it is");
        assert_eq!(score_of(&pid), Some(LEASES[2]));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}
