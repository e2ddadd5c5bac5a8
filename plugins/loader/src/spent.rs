//! Processor time of others: of a child as a whole, of a thread.
#![allow(unsafe_code)]
use std::time::Duration;

/// What a process and all its threads have used, also those that are gone; nothing where that cannot be told. Two calls of
/// the kernel's, as it is asked before each question to a child.
pub(crate) fn spent_by_process(pid: u32) -> Duration {
    let mut clock: libc::clockid_t = 0;
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    let Ok(pid) = libc::pid_t::try_from(pid) else { return Duration::ZERO };
    // SAFETY: both write where they are pointed to, which lives here.
    let told = unsafe {
        libc::clock_getcpuclockid(pid, &raw mut clock) == 0 && libc::clock_gettime(clock, &raw mut time) == 0
    };
    match told {
        true => Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs() as u32),
        false => Duration::ZERO,
    }
}

/// What one thread has used, of this process or another; nothing where that cannot be read.
pub(crate) fn spent_by(thread: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{thread}/schedstat")).unwrap_or_default();
    Duration::from_nanos(stat.split(' ').next().and_then(|spent| spent.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{process::Command, time::Instant};

    #[test]
    fn a_process_that_works_is_told_from_one_that_sleeps() {
        let run = |script| Command::new("sh").args(["-c", script]).spawn().expect("a shell");
        let (mut works, mut sleeps) = (run("while :; do :; done"), run("sleep 60"));
        let (since, mut spent) = (Instant::now(), Duration::ZERO);
        while spent < Duration::from_millis(50) && since.elapsed() < Duration::from_secs(30) {
            std::thread::sleep(Duration::from_millis(10));
            spent = spent_by_process(works.id());
        }
        let slept = spent_by_process(sleeps.id());
        for child in [&mut works, &mut sleeps] {
            child.kill().expect("its own");
            child.wait().expect("ended");
        }
        assert!(spent >= Duration::from_millis(50), "{spent:?}");
        assert!(slept < spent, "{slept:?} asleep, {spent:?} awake");
        assert_eq!(spent_by_process(u32::MAX), Duration::ZERO);
    }
}
