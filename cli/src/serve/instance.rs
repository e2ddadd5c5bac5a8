//! Which daemon of this machine this is. Its name stays with the state, wherever that is moved to, and is that of its
//! control groups: so what runs is found again. A copy of the state must not have it beside the original.
use anyhow::{Context, Result, anyhow, bail};
use bursar_enforce::Presence;
use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
    thread::sleep,
    time::{Duration, Instant},
};

/// The file of the state directory that holds the name: eight hexadecimal digits, and their CRC-32C in eight more. With
/// another name, as by one flipped bit, what runs would be lost and given away once more.
const FILE: &str = "instance";
const DIGITS: usize = 8;
/// How long one that has just died may still seem to live.
const LAST_BREATH: Duration = Duration::from_secs(1);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(10);

/// The name, which nobody else has as long as this lives.
pub struct Instance {
    /// The name.
    pub(super) id: String,
    _presence: Option<Presence>,
}

impl Instance {
    /// The name of a state. One that has none yet, being new, restored or older than names, gets that of its path,
    /// as it always was, so that what was left running there is found; or any other if that is taken.
    ///
    /// # Errors
    /// When the file does not hold what was written, or a daemon that lives has the same.
    pub(super) fn settle(state: &Path) -> Result<Instance> {
        let path = state.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => {
                let id = named(&bytes).ok_or_else(|| anyhow!(spoilt(&path)))?;
                let instance = Instance::again(state, &path, id)?;
                if bytes != sealed(id).as_bytes() {
                    keep(&path, id, "the name of this daemon's control groups stays without a checksum");
                }
                Ok(instance)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Instance::first(state, &path),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    /// What is wrong with the name that a state holds; nothing where it has none, as a backup.
    pub fn flaw(state: &Path) -> Option<String> {
        let path = state.join(FILE);
        match fs::read(&path) {
            Ok(bytes) => named(&bytes).is_none().then(|| spoilt(&path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => Some(format!("cannot read {}: {error}", path.display())),
        }
    }

    fn again(state: &Path, path: &Path, id: &str) -> Result<Instance> {
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
        keep(path, &id, "what runs is found after a restart only if the state stays where it is");
        Ok(Instance { id, _presence: presence })
    }
}

/// The name in what was read, if that was written here. Digits alone are of before there was a checksum, or by hand.
fn named(bytes: &[u8]) -> Option<&str> {
    let text = str::from_utf8(bytes.trim_ascii()).ok()?;
    let id = text.get(..DIGITS)?;
    let digits = id.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (digits && (text == id || text == sealed(id).trim_end())).then_some(id)
}

/// A name as the file holds it.
fn sealed(id: &str) -> String {
    format!("{id} {:08x}\n", crc32c::crc32c(id.as_bytes()))
}

fn spoilt(path: &Path) -> String {
    format!(
        "{} does not hold what was written there: the eight hexadecimal digits that name this daemon's control groups, \
         and their checksum. What runs in groups of another name is not found. Put the file back, or write the eight \
         digits there alone, as they follow \"bursar-\" in /proc/PID/cgroup of what runs. Or remove it: the name is \
         made of the directory's path, as that of a state that was never moved; if it was another one, the leases \
         over processes end, and the processes stay where they are",
        path.display()
    )
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

/// Writes the name down; `or_else` is what follows where that cannot be, as on a full disk: it has to start all the same.
fn keep(path: &Path, id: &str, or_else: &str) {
    if let Err(error) = write(path, id) {
        tracing::warn!(%error, path = %path.display(), "{or_else}");
    }
}

fn write(path: &Path, id: &str) -> io::Result<()> {
    let draft = path.with_extension("draft");
    let written = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft);
    let written = written.and_then(|mut file| {
        file.write_all(sealed(id).as_bytes())?;
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
    }

    #[test]
    fn a_name_that_is_not_what_was_written_is_refused_in_words() {
        let scratch = tempfile::TempDir::new().expect("a folder");
        let (state, file) = (scratch.path(), scratch.path().join(FILE));
        assert_eq!(Instance::flaw(state), None, "as in a backup");
        let name = id(state);
        let written = fs::read(&file).expect("a name");
        assert_eq!(Instance::flaw(state), None);
        let flips = (0..written.len() * 8).map(|bit| {
            let mut flipped = written.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            flipped
        });
        let others = [&b"../../x\n"[..], b"", b"c6a4b22b 1234abcd\n", b"\xff\xff"].map(<[u8]>::to_vec);
        for bytes in flips.chain(others) {
            fs::write(&file, &bytes).expect("written");
            let said = Instance::settle(state).err().unwrap_or_else(|| panic!("{bytes:?}")).to_string();
            assert!(
                said.starts_with(&file.display().to_string()) && said.contains("write the eight"),
                "{said}"
            );
            assert_eq!(Instance::flaw(state), Some(said));
            assert_eq!(fs::read(&file).expect("a name"), bytes, "what is refused stays as it is");
        }
        // Of before there was a checksum, and by hand.
        for text in [format!("{name}\n"), name.clone()] {
            fs::write(&file, text).expect("written");
            assert_eq!((Instance::flaw(state), id(state)), (None, name.clone()));
            assert_eq!(fs::read(&file).expect("a name"), written, "it has one from then on");
        }
    }
}
