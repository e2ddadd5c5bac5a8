//! What can only be seen from outside: time, memory, threads, files and lines of log, over very many calls.
use crate::Report;
use std::time::{Duration, Instant};

/// Bytes that a plugin may come to need in all those calls besides what it needed after the first tenth.
const GROWTH_BYTES_MAX: u64 = 2 << 20;
/// Bytes of it for each call.
const GROWTH_PER_CALL_MAX: u64 = 16;
/// Threads and files that may come and go.
const SLACK: u64 = 2;
/// Calls for one line of log.
const CALLS_PER_LINE: u64 = 2;
/// Lines that say something once, as at the start.
const LINES_FREE: u64 = 32;
/// Between two looks at what it does, and how long it is watched at most.
const LOOK: Duration = Duration::from_millis(50);
const ENDURANCE_MAX: Duration = Duration::from_secs(120);
/// How long a plugin may take to go when it is let go of, and how often that is tried; the quickest counts.
const FAREWELL: (Duration, u32) = (Duration::from_millis(45), 5);

/// What a plugin uses at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Bytes of its own in memory.
    pub memory_bytes: u64,
    /// Its threads.
    pub threads: u64,
    /// Files that it has open.
    pub files: u64,
    /// Lines that it has logged so far.
    pub lines: u64,
}

/// Somebody who sees a plugin from outside.
pub struct Outside<'a> {
    /// Calls over which it is watched.
    pub calls: u64,
    /// How long an answer may take.
    pub deadline: Duration,
    /// What the instance that was made last uses now; `None` where that cannot be seen.
    pub seen: &'a dyn Fn() -> Option<Seen>,
}

impl Outside<'_> {
    /// Whether an answer came in time.
    pub(crate) fn in_time(&self, took: Duration) -> Result<String, String> {
        match took {
            Duration::MAX => Err("there was no answer to measure".into()),
            took if took <= self.deadline => Ok(format!("{took:.1?} of {:?}", self.deadline)),
            took => Err(format!("the huge world took {took:.1?}; the deadline is {:?}", self.deadline)),
        }
    }

    /// Calls one instance very often, and looks at what it leaves behind.
    pub fn endure(&self, report: &mut Report, call: &mut dyn FnMut() -> Result<(), String>) {
        let (mut before, mut after, mut made) = (None, None, 0);
        report.check("endurance", "a call must succeed however many there were before it", || {
            let (since, warm) = (Instant::now(), (self.calls / 10).max(1));
            let mut looked = since;
            for number in 0..warm + self.calls {
                if number == warm {
                    before = (self.seen)();
                }
                call().map_err(|why| format!("call {}: {why}", number + 1))?;
                made = (number + 1).saturating_sub(warm);
                if looked.elapsed() > LOOK && made > 0 {
                    looked = Instant::now();
                    let lines = (self.seen)().zip(before).map(|(now, before)| now.lines - before.lines);
                    let floods = lines.is_some_and(|lines| lines > LINES_FREE + self.calls);
                    if floods || since.elapsed() > ENDURANCE_MAX {
                        break;
                    }
                }
            }
            // Lines of log come through a pipe.
            std::thread::sleep(LOOK);
            after = (self.seen)();
            Ok(format!("{made} calls in {:.1?}", since.elapsed()))
        });
        let (Some(before), Some(after)) = (before, after) else {
            for name in ["memory", "threads", "files", "log"] {
                report.skip(name, "it cannot be seen from outside");
            }
            return;
        };
        let grew = after.memory_bytes.saturating_sub(before.memory_bytes);
        let most = GROWTH_BYTES_MAX + GROWTH_PER_CALL_MAX * made;
        report.check(
            "memory",
            "free what a call needed, and bound what is kept between calls",
            || match grew <= most {
                true => Ok(format!("{} kB more", grew >> 10)),
                false => Err(format!("{grew} bytes more after {made} calls: {} a call", grew / made.max(1))),
            },
        );
        report.check(
            "threads",
            "start threads once, when it is made, and end them when it is dropped",
            || match after.threads <= before.threads + SLACK {
                true => Ok(format!("{}", after.threads)),
                false => {
                    Err(format!("{} threads after {made} calls, {} before", after.threads, before.threads))
                }
            },
        );
        report.check("files", "close what a call opened", || match after.files <= before.files + SLACK {
            true => Ok(format!("{}", after.files)),
            false => Err(format!("{} files open after {made} calls, {} before", after.files, before.files)),
        });
        report.check(
            "log",
            "log what an operator has to know, not every call: the host drops the rest",
            || {
                let lines = after.lines - before.lines;
                match lines <= LINES_FREE + made / CALLS_PER_LINE {
                    true => Ok(format!("{lines} lines")),
                    false => Err(format!("{lines} lines of log in {made} calls")),
                }
            },
        );
    }

    /// Lets instances go, and looks whether they do.
    pub(crate) fn farewell(&self, report: &mut Report, go: &mut dyn FnMut() -> Duration) {
        report.check(
            "cancel",
            "end when the host hangs up: no drop that waits, no thread that is joined",
            || {
                let least = (0..FAREWELL.1).map(|_| go()).min().unwrap_or_default();
                match least <= FAREWELL.0 {
                    true => Ok(format!("gone in {least:.1?}")),
                    false => Err(format!("it took {least:.1?} to go, and was killed")),
                }
            },
        );
    }
}
