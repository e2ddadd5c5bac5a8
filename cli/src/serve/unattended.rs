//! Claims that wait as the daemon starts, of which nobody has come back yet. Those that stay whoever leaves are written
//! down beside the journal; the others go when nobody asks for them again: what they get would be held for nobody.
use bursar_engine::Engine;
use bursar_interface::{ClaimId, Phase};
use std::{
    collections::BTreeSet,
    fs::{self, File},
    io::{self, ErrorKind, Write},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

/// Its name.
const FILE: &str = "staying";
/// Lines that are added before those of claims that do not wait any more are left out.
const ADDED_MAX: usize = 4096;

/// Who waits with nobody on the line.
#[derive(Debug)]
pub struct Unattended {
    staying: Mutex<Staying>,
    missed: Mutex<BTreeSet<ClaimId>>,
    any: AtomicBool,
}

#[derive(Debug)]
struct Staying {
    path: PathBuf,
    file: Option<File>,
    added: usize,
}

impl Unattended {
    /// Reads which of the claims that wait stay. Where that was not written down before, all of them do.
    pub fn open(state: &Path, engine: &Engine) -> Unattended {
        let pending = pending(engine);
        let mut staying = Staying { path: state.join(FILE), file: None, added: 0 };
        let known = match fs::read_to_string(&staying.path) {
            Ok(text) => text.lines().filter_map(|line| line.parse().ok().map(ClaimId)).collect(),
            Err(error) => {
                if error.kind() != ErrorKind::NotFound {
                    tracing::warn!(%error, path = %staying.path.display(), "all that waits stays in line");
                }
                pending.clone()
            }
        };
        let (stay, missed): (BTreeSet<_>, BTreeSet<_>) =
            pending.iter().partition(|claim| known.contains(claim));
        staying.begin(&stay);
        let any = AtomicBool::new(!missed.is_empty());
        Unattended { staying: Mutex::new(staying), missed: Mutex::new(missed), any }
    }

    /// Writes down that claims stay, with one sync for all of them; `pending` tells what waits by now.
    pub fn stay(&self, claims: &[ClaimId], pending: impl FnOnce() -> BTreeSet<ClaimId>) {
        let mut staying = self.staying.lock().unwrap_or_else(PoisonError::into_inner);
        if staying.added >= ADDED_MAX {
            let pending = pending();
            let known = fs::read_to_string(&staying.path).unwrap_or_default();
            let known = known.lines().filter_map(|line| line.parse().ok().map(ClaimId));
            let still = known.filter(|claim| pending.contains(claim)).collect();
            staying.begin(&still);
        }
        staying.add(claims);
    }

    /// Somebody has spoken of a claim: it is not missed.
    pub fn heard_of(&self, claim: ClaimId) {
        if self.any.load(Ordering::Relaxed) {
            self.missed().remove(&claim);
        }
    }

    /// Those that nobody has spoken of since the start. Asked once.
    pub fn missed_by_all(&self) -> BTreeSet<ClaimId> {
        self.any.store(false, Ordering::Relaxed);
        std::mem::take(&mut *self.missed())
    }

    fn missed(&self) -> MutexGuard<'_, BTreeSet<ClaimId>> {
        self.missed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Staying {
    /// Begins the file anew with these.
    fn begin(&mut self, claims: &BTreeSet<ClaimId>) {
        self.added = 0;
        match self.replace(claims) {
            Ok(file) => self.file = Some(file),
            Err(error) => self.failed(&error),
        }
    }

    fn replace(&self, claims: &BTreeSet<ClaimId>) -> io::Result<File> {
        let draft = self.path.with_extension("draft");
        let mut file = File::create(&draft)?;
        let lines: String = claims.iter().map(|claim| format!("{claim}\n")).collect();
        file.write_all(lines.as_bytes())?;
        file.sync_data()?;
        fs::rename(&draft, &self.path)?;
        // Else the name could lead to the old file after a power cut, and what is added is in the new one.
        let folder = self.path.parent().unwrap_or(Path::new("."));
        File::open(folder)?.sync_all()?;
        Ok(file)
    }

    fn add(&mut self, claims: &[ClaimId]) {
        self.added += claims.len();
        let Some(file) = &mut self.file else { return };
        let lines: String = claims.iter().map(|claim| format!("{claim}\n")).collect();
        if let Err(error) = file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()) {
            self.failed(&error);
        }
    }

    /// Without the file, all that waits stays after the next start.
    fn failed(&mut self, error: &io::Error) {
        tracing::warn!(%error, path = %self.path.display(), "which claims stay in line is not written down");
        self.file = None;
        let _ = fs::remove_file(&self.path);
    }
}

/// The claims that wait.
pub fn pending(engine: &Engine) -> BTreeSet<ClaimId> {
    let claims = engine.view().claims;
    let waits = |&c: &usize| claims.id[c] != 0 && Phase::of(claims.phase[c]) == Phase::Pending;
    (0..claims.len()).filter(waits).map(|c| ClaimId(claims.id[c])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_is_read_back_and_all_do_where_nothing_is_known() {
        let state = tempfile::TempDir::new().expect("a folder");
        let engine = Engine::new();
        let unattended = Unattended::open(state.path(), &engine);
        unattended.stay(&[ClaimId(1), ClaimId(2)], BTreeSet::new);
        unattended.stay(&[ClaimId(3)], BTreeSet::new);
        let read = || fs::read_to_string(state.path().join(FILE)).expect("written");
        assert_eq!(read(), "1\n2\n3\n");
        unattended.staying.lock().expect("free").added = ADDED_MAX;
        unattended.stay(&[ClaimId(4)], || BTreeSet::from([ClaimId(2)]));
        assert_eq!(read(), "2\n4\n", "what waits no more is left out");
        Unattended::open(state.path(), &engine);
        assert_eq!((read().as_str(), unattended.missed_by_all().len()), ("", 0));
    }
}
