//! Who is trusted like the daemon itself: libraries whose sha256 is in a list that only the daemon's
//! own user or root can have written, or that a key of the trust store has signed.
use crate::{Reject, way::check_way};
use minisign_verify::{PublicKey, Signature};
use sha2::{Digest, Sha256};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// The list's name, beside the libraries; lines as `sha256sum` prints them.
pub const TRUST_FILE: &str = "trusted.sha256";
/// What the name of a signature ends in, behind the whole name of its library.
const SIGNATURE: &str = "minisig";
/// A signature's file has four short lines.
const SIGNATURE_BYTES_MAX: u64 = 4096;
/// Keys in a trust store.
pub const KEYS_MAX: usize = 64;

/// Why a library may run in the daemon's own process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It may not.
    None,
    /// Its sha256 is in a list.
    Listed,
    /// This key has signed it.
    Signed(String),
}

/// The sha256 of some bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads the list in a folder; empty where there is none.
///
/// # Errors
/// [`Reject::Permissions`] or [`Reject::Link`] if others could have written the list or led to another,
/// [`Reject::Io`] if it cannot be read.
pub fn load_trusted(folder: &Path) -> Result<BTreeSet<String>, Reject> {
    let path = folder.join(TRUST_FILE);
    if fs::symlink_metadata(&path).is_err() {
        return Ok(BTreeSet::new());
    }
    check_way(&path)?;
    let text = fs::read_to_string(&path).map_err(|error| Reject::io(&path, &error))?;
    let sums = text.lines().filter_map(|line| line.split_whitespace().next());
    Ok(sums.filter(|sum| sum.len() == 64).map(str::to_lowercase).collect())
}

/// The trust store: public keys (minisign, Ed25519) and what each is for, in a file of the daemon's own.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    path: PathBuf,
    keys: BTreeMap<String, String>,
}

impl Keys {
    /// Opens the store; without a file there are no keys.
    pub(crate) fn open(path: PathBuf) -> Result<Keys, Reject> {
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(Reject::io(&path, &error)),
        };
        let split = |line: &str| {
            let (key, note) = line.split_once(' ').unwrap_or((line, ""));
            (key.to_owned(), note.to_owned())
        };
        Ok(Keys { path, keys: text.lines().filter(|line| !line.is_empty()).map(split).collect() })
    }

    /// The keys and what each is for.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&str, &str)> {
        self.keys.iter().map(|(key, note)| (key.as_str(), note.as_str()))
    }

    /// Trusts a key from here on. `text` is a key as `minisign` prints it, or the whole of its file.
    pub(crate) fn add(&mut self, text: &str) -> Result<String, Reject> {
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let (first, second) = (lines.next().unwrap_or_default(), lines.next());
        let note = first.strip_prefix("untrusted comment:").map(str::trim);
        let key = if note.is_some() { second.unwrap_or_default() } else { first };
        PublicKey::from_base64(key)
            .map_err(|error| Reject::Key { key: key.into(), why: error.to_string() })?;
        if self.keys.len() >= KEYS_MAX && !self.keys.contains_key(key) {
            let why = format!("there are {KEYS_MAX} keys already; revoke one");
            return Err(Reject::Key { key: key.into(), why });
        }
        let note: String = note.unwrap_or_default().chars().filter(|letter| !letter.is_control()).collect();
        self.keys.insert(key.into(), note);
        self.save()?;
        Ok(key.into())
    }

    /// Trusts a key no more.
    pub(crate) fn revoke(&mut self, key: &str) -> Result<(), Reject> {
        if self.keys.remove(key.trim()).is_none() {
            let known = self.keys.keys().cloned().collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".into() } else { known };
            let why = format!("it is not trusted; trusted are: {known}");
            return Err(Reject::Key { key: key.into(), why });
        }
        self.save()
    }

    fn save(&self) -> Result<(), Reject> {
        let text: String = self.keys.iter().map(|(key, note)| format!("{key} {note}\n")).collect();
        write_whole(&self.path, &text)
    }

    /// The key that has signed these bytes, by the signature beside the library.
    pub(crate) fn signer(&self, library: &Path, bytes: &[u8]) -> Result<Option<String>, Reject> {
        let mut name = library.as_os_str().to_owned();
        name.push(".");
        name.push(SIGNATURE);
        let path = PathBuf::from(name);
        if self.keys.is_empty() || fs::symlink_metadata(&path).is_err() {
            return Ok(None);
        }
        check_way(&path)?;
        let bad = |why: String| Reject::Signature { path: path.display().to_string(), why };
        if fs::metadata(&path).is_ok_and(|meta| meta.len() > SIGNATURE_BYTES_MAX) {
            return Err(bad(format!("it has more than {SIGNATURE_BYTES_MAX} bytes")));
        }
        let text = fs::read_to_string(&path).map_err(|error| Reject::io(&path, &error))?;
        let signature = Signature::decode(&text).map_err(|error| bad(error.to_string()))?;
        let mut why = String::new();
        for key in self.keys.keys() {
            let verified =
                PublicKey::from_base64(key).and_then(|public| public.verify(bytes, &signature, false));
            match verified {
                Ok(()) => return Ok(Some(key.clone())),
                Err(error) => why = error.to_string(),
            }
        }
        Err(bad(format!("no trusted key has signed these bytes ({why})")))
    }
}

/// Writes a file of this user's own, wholly or not at all.
pub(crate) fn write_whole(path: &Path, text: &str) -> Result<(), Reject> {
    let io = |error: std::io::Error| Reject::io(path, &error);
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .map_err(io)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(io)?;
    fs::rename(&draft, path).map_err(io)
}
