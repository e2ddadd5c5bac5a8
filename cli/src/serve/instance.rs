//! Which daemon of this machine this is. Its name stays with the state, wherever that is moved to, and is that of its
//! control groups: so what runs is found again. A copy of the state must not have it beside the original.
use anyhow::{Context, Result, bail};
use bursar_enforce::Presence;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// The file of the state directory that holds the name: eight hexadecimal digits.
const FILE: &str = "instance";
const DIGITS: usize = 8;
/// How long one that has just died may still seem to live.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The name, which nobody else has as long as this lives.
pub(super) struct Instance {
    /// The name.
    pub(super) id: String,
    _presence: Option<Presence>,
}

impl Instance {
    /// The name of a state. One that has none yet, being new, restored or older than names, gets that of its path,
    /// as it always was, so that what was left running there is found; or any other if that is taken.
    ///
    /// # Errors
    /// When the file holds no name, or a daemon that lives has the same.
    pub(super) fn settle(state: &Path) -> Result<Instance> {
        let path = state.join(FILE);
        match fs::read_to_string(&path) {
            Ok(text) => Instance::again(state, &path, text.trim()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Instance::first(state, &path),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    fn again(state: &Path, path: &Path, id: &str) -> Result<Instance> {
        if id.len() != DIGITS || !id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            bail!(
                "{} does not hold the eight hexadecimal digits that name this state's control groups; what runs in \
                 groups of another name is not found. Put the file back, or remove it",
                path.display()
            );
        }
        if let Some(presence) = patiently(id, state) {
            return Ok(Instance { id: id.into(), _presence: presence });
        }
        let who = Presence::words(id).filter(|words| !words.is_empty());
        bail!(
            "{} is a copy of a state that is served already{}: what runs is that daemon's. To serve this one beside \
             it, remove {}: then its leases over processes end, and the processes stay where they are",
            state.display(),
            who.map(|words| format!(", by {}", words.trim())).unwrap_or_default(),
            path.display()
        )
    }

    fn first(state: &Path, path: &Path) -> Result<Instance> {
        let by_path = of_path(state);
        let (id, presence) = match patiently(&by_path, state) {
            Some(presence) => (by_path, presence),
            None => {
                let id = any()?;
                let presence = told(&id, state).flatten();
                (id, presence)
            }
        };
        if let Err(error) = write(path, &id) {
            // As on a full disk, where it has to start all the same.
            tracing::warn!(%error, path = %path.display(), "what runs is found after a restart only if the state stays where it is");
        }
        Ok(Instance { id, _presence: presence })
    }
}

/// As [`told`], past the last breath of a daemon that was killed this moment.
fn patiently(id: &str, state: &Path) -> Option<Option<Presence>> {
    let since = Instant::now();
    loop {
        match told(id, state) {
            None if since.elapsed() < LAST_BREATH => sleep(LOOK),
            told => return told,
        }
    }
}

/// Tells that the daemon of this name lives; `None` if another one does, and nothing within where there is no place to
/// tell it.
fn told(id: &str, state: &Path) -> Option<Option<Presence>> {
    let words = format!("pid {} on {}\n", std::process::id(), state.display());
    match Presence::tell(id, &words) {
        Ok(presence) => presence.map(Some),
        Err(error) => {
            tracing::warn!(%error, "other daemons cannot be told that this one lives");
            Some(None)
        }
    }
}

/// The name of a state that lies there.
fn of_path(state: &Path) -> String {
    bursar_loader::sha256(state.as_os_str().as_encoded_bytes())[..DIGITS].to_owned()
}

/// A name that nobody has.
fn any() -> Result<String> {
    let mut bytes = [0; 32];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bursar_loader::sha256(&bytes)[..DIGITS].to_owned())
}

fn write(path: &Path, id: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let written = written.and_then(|mut file| {
        writeln!(file, "{id}")?;
        file.sync_all()?;
        fs::rename(&draft, path)?;
        File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    });
    written.inspect_err(|_| drop(fs::remove_file(&draft)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(state: &Path) -> String {
        Instance::settle(state).expect("settled").id
    }

    #[test]
    fn a_name_goes_with_its_state_and_only_one_has_it() {
        let scratch = tempfile::TempDir::new().expect("a folder");
        let [first, moved] = ["first", "moved"].map(|name| scratch.path().join(name));
        fs::create_dir(&first).expect("made");
        let name = id(&first);
        assert_eq!(name, of_path(&first), "as it was before there were names");
        fs::rename(&first, &moved).expect("moved");
        let served = Instance::settle(&moved).expect("settled");
        assert_eq!(served.id, name);
        // Another state where that one was.
        fs::create_dir(&first).expect("made");
        assert_ne!(id(&first), name);
        fs::copy(moved.join(FILE), first.join(FILE)).expect("copied");
        let said = Instance::settle(&first).err().expect("refused").to_string();
        assert!(said.contains(&format!("pid {} on {}", std::process::id(), moved.display())), "{said}");
        drop(served);
        assert_eq!(id(&first), name);
        fs::write(first.join(FILE), "../../x\n").expect("written");
        assert!(Instance::settle(&first).is_err());
    }
}
