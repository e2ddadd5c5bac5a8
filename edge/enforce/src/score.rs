//! Whom the kernel ends first when memory runs out: never the daemon, and always rather what runs in its leases.
use crate::small;
use bursar_interface::Class;
use std::{
    fs::{self, File},
    io::{self, Write},
};

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

/// What has a lease's process, with all that it starts, stand before those that are in none: the worst class first. Where
/// nobody can be spared, that is what spares the daemon.
#[derive(Debug)]
pub struct Exposure {
    path: String,
    file: File,
    /// Where it is to stand; nowhere else than it does by its own choice, if that is worse.
    score: Option<i32>,
}

impl Exposure {
    /// All that can be done ahead, without any effect.
    ///
    /// # Errors
    /// When it is gone, or another user's.
    pub fn of(pid: u32, class: Class) -> io::Result<Exposure> {
        let (score, path) = (LEASES[class as usize], path(&pid.to_string()));
        let opened = File::options().read(true).write(true).open(&path).and_then(|mut file| {
            let known = small::read(&mut file)?.trim().parse::<i32>();
            Ok((file, known.is_ok_and(|known| known < score)))
        });
        let (file, better) = opened.map_err(|error| named(&path, &error))?;
        Ok(Exposure { path, file, score: Some(score).filter(|_| better) })
    }

    /// From now on it stands there.
    ///
    /// # Errors
    /// When it is gone.
    pub fn begin(mut self) -> io::Result<()> {
        let told = self.score.map_or(Ok(()), |score| self.file.write_all(score.to_string().as_bytes()));
        told.map_err(|error| named(&self.path, &error))
    }
}

/// Has a process that this one started stand where others do.
///
/// # Errors
/// When it is gone.
pub fn unspare(pid: u32) -> io::Result<()> {
    put(&pid.to_string(), 0)
}

/// Has a process stand where another one does.
///
/// # Errors
/// When one is gone.
pub(crate) fn stand_as(pid: u32, other: u32) -> io::Result<()> {
    let other = other.to_string();
    let score = score_of(&other).ok_or_else(|| named(&path(&other), &io::ErrorKind::NotFound.into()))?;
    put(&pid.to_string(), score)
}

/// Where a process stands, `self` for this one.
pub fn score_of(pid: &str) -> Option<i32> {
    small::text(path(pid)).ok()?.trim().parse().ok()
}

fn path(pid: &str) -> String {
    format!("/proc/{pid}/oom_score_adj")
}

fn put(pid: &str, score: i32) -> io::Result<()> {
    let path = path(pid);
    fs::write(&path, score.to_string()).map_err(|error| named(&path, &error))
}

fn named(path: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{path}: {error}"))
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
        let expose = |class| Exposure::of(child.id(), class).and_then(Exposure::begin);
        let ahead = Exposure::of(child.id(), Class::BestEffort).expect("it runs");
        assert_eq!(score_of(&pid), Some(0), "nothing is done ahead");
        ahead.begin().expect("worse");
        expose(Class::Guaranteed).expect("it stays where it is");
        assert_eq!(score_of(&pid), Some(LEASES[2]));
        child.kill().expect("killed");
        child.wait().expect("ended");
    }
}
