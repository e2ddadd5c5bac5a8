//! What was learned of how much of their memory leases use, over restarts: a small file beside the journal. It is no
//! part of the books: whoever loses it learns again, and promises no more than is asked for until then.
use bursar_monitor::Multiplex;
use serde::{Deserialize, Serialize};
use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// Its name.
const FILE: &str = "learned.json";
/// Between two writes, at least.
const EVERY: Duration = Duration::from_secs(10);

/// As it is written: sums over leases that ended, in thousandths of what they asked for.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sums {
    ended: u64,
    mean: u64,
    mean_squares: u64,
    peak: u64,
}

/// Where it is written down, and what was last.
#[derive(Debug)]
pub struct Learned {
    path: PathBuf,
    written: [u64; 4],
    at: Option<Instant>,
}

impl Learned {
    /// What a daemon before this one learned on this state; nothing where that cannot be read.
    pub fn open(state: &Path) -> (Learned, Multiplex) {
        let path = state.join(FILE);
        let sums = match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).unwrap_or_else(|error| {
                tracing::warn!(%error, path = %path.display(), "how much leases use is learned anew");
                Sums::default()
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => Sums::default(),
            Err(error) => {
                tracing::warn!(%error, path = %path.display(), "how much leases use is learned anew");
                Sums::default()
            }
        };
        let written = [sums.ended, sums.mean, sums.mean_squares, sums.peak];
        (Learned { path, written, at: None }, Multiplex::from_sums(written))
    }

    /// Writes it down, if it is another and it was not written a moment ago; `at_once` whenever that was.
    pub fn keep(&mut self, sums: [u64; 4], at_once: bool) {
        let soon = self.at.is_some_and(|at| at.elapsed() < EVERY);
        if sums == self.written || soon && !at_once {
            return;
        }
        self.at = Some(Instant::now());
        match self.save(sums) {
            Ok(()) => self.written = sums,
            Err(error) => tracing::debug!(%error, "how much leases use is not written down"),
        }
    }

    fn save(&self, [ended, mean, mean_squares, peak]: [u64; 4]) -> std::io::Result<()> {
        let draft = self.path.with_extension("draft");
        fs::write(&draft, serde_json::to_vec(&Sums { ended, mean, mean_squares, peak })?)?;
        fs::rename(&draft, &self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bursar_monitor::Share;

    #[test]
    fn what_was_learned_outlives_a_restart_and_a_file_that_cannot_be_read_does_no_harm() {
        let state = tempfile::TempDir::new().expect("a folder");
        let (mut learned, mut multiplex) = Learned::open(state.path());
        (0..8).for_each(|_| multiplex.learn(Share { asked: 1000, mean: Some(100), deviation: 5, peak: 150 }));
        learned.keep(multiplex.sums(), false);
        let (mut learned, mut known) = Learned::open(state.path());
        assert_eq!(known.sums(), multiplex.sums());
        assert!(known.offer(10_000, &[]) > 50_000, "a tenth is used of what is asked for");
        known.learn(Share { asked: 1000, mean: Some(1000), deviation: 0, peak: 1000 });
        learned.keep(multiplex.sums(), false);
        learned.keep(known.sums(), false);
        learned.keep(multiplex.sums(), false);
        assert_eq!(Learned::open(state.path()).1.sums(), known.sums(), "not again within a moment");
        learned.keep(multiplex.sums(), true);
        assert_eq!(Learned::open(state.path()).1.sums(), multiplex.sums(), "but at the end");
        fs::write(state.path().join(FILE), "{").expect("written");
        assert_eq!(Learned::open(state.path()).1.sums(), [0; 4]);
    }
}
