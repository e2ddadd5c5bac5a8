//! Who waits for whom over a file lock, as the kernel tells it: what no book of ours can see.
use std::fs;

/// Waits that are looked at.
const WAITS_MAX: usize = 4096;

/// Processes that wait for a file lock, each with the one that holds it; none where the kernel does not tell.
pub fn file_waits() -> Vec<(u32, u32)> {
    fs::read_to_string("/proc/locks").map_or_else(|_| Vec::new(), |text| waits(&text))
}

/// A line tells of a lock, `1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`; one with an arrow behind it, of
/// somebody who waits for the lock before.
fn waits(text: &str) -> Vec<(u32, u32)> {
    let mut holder = None;
    let mut found = Vec::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let waits = words.get(1) == Some(&"->");
        // A lock of an open file has no process: it is told as -1.
        let pid = words.get(if waits { 5 } else { 4 }).and_then(|word| word.parse::<u32>().ok());
        match (waits, pid, holder) {
            (false, pid, _) => holder = pid,
            (true, Some(waiter), Some(holder)) if found.len() < WAITS_MAX => found.push((waiter, holder)),
            _ => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_is_told_with_whom_it_waits_for() {
        let text = "1: FLOCK  ADVISORY  WRITE 10 08:01:131 0 EOF\n1: -> FLOCK  ADVISORY  WRITE 11 08:01:131 0 EOF\n\
                    2: POSIX  ADVISORY  READ 12 08:01:7 0 EOF\n3: OFDLCK ADVISORY  WRITE -1 08:01:9 0 EOF\n\
                    3: -> FLOCK ADVISORY  WRITE 13 08:01:9 0 EOF\n";
        assert_eq!(waits(text), [(11, 10)]);
    }

    #[test]
    fn a_real_lock_that_somebody_waits_for_is_seen() {
        let file = std::env::temp_dir().join(format!("bursar-lock-{}", std::process::id()));
        let wait = |seconds: &str| {
            let mut flock = std::process::Command::new("flock");
            flock.arg("--no-fork").arg(&file).args(["sleep", seconds]).spawn()
        };
        let (Ok(mut first), true) = (wait("60"), fs::exists("/proc/locks").unwrap_or(false)) else {
            eprintln!("skipped: flock or /proc/locks is missing");
            return;
        };
        let holds =
            |pid: u32| fs::read_to_string("/proc/locks").is_ok_and(|text| text.contains(&format!(" {pid} ")));
        await_true(|| holds(first.id()));
        let mut second = wait("0").expect("flock");
        await_true(|| file_waits().contains(&(second.id(), first.id())));
        for child in [&mut first, &mut second] {
            // One that has ended already cannot be killed.
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_file(file);
    }

    fn await_true(is: impl Fn() -> bool) {
        let since = std::time::Instant::now();
        while !is() {
            assert!(since.elapsed().as_secs() < 30, "it did not come about");
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}
