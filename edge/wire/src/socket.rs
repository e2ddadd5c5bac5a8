//! Where the daemon's socket is, when nobody says.
use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// The variable that names one.
const NAMED: &str = "BURSAR_SOCKET";

/// A socket and how it came to be chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The path.
    pub path: PathBuf,
    /// Somebody named it; a daemon started for this user uses the default one as well.
    pub named: bool,
}

/// The daemon's socket: `flag`, then `BURSAR_SOCKET`, then the user's runtime directory. As a whole path, which
/// means the same to a command in another folder; one that is empty stays so.
pub fn socket(flag: Option<&Path>) -> Place {
    let place = choose(flag, |name| std::env::var_os(name).filter(|value| !value.is_empty()));
    Place { path: std::path::absolute(&place.path).unwrap_or(place.path), ..place }
}

/// The socket of this user's own daemon, when nobody says.
pub fn usual_socket() -> PathBuf {
    let unsaid = |name: &str| (name != NAMED).then(|| std::env::var_os(name)).flatten();
    let path = choose(None, |name| unsaid(name).filter(|value| !value.is_empty())).path;
    std::path::absolute(&path).unwrap_or(path)
}

fn choose(flag: Option<&Path>, var: impl Fn(&str) -> Option<OsString>) -> Place {
    if let Some(path) = flag {
        return Place { path: path.into(), named: true };
    }
    if let Some(path) = var(NAMED) {
        return Place { path: path.into(), named: true };
    }
    let runtime = var("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| dir.is_dir());
    let dir = runtime.map(|dir| dir.join("bursar"));
    let dir = dir.or_else(|| Some(PathBuf::from(var("HOME")?).join(".local/state/bursar")));
    let dir = dir.unwrap_or_else(|| PathBuf::from("/run/bursar"));
    Place { path: dir.join("bursar.sock"), named: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_wins() {
        let environment = |name: &str| match name {
            "BURSAR_SOCKET" => Some(OsString::from("/a")),
            "XDG_RUNTIME_DIR" => Some(OsString::from("/")),
            _ => None,
        };
        assert_eq!(choose(Some(Path::new("/f")), environment).path, Path::new("/f"));
        assert_eq!(choose(None, environment), Place { path: "/a".into(), named: true });
        let bare = |name: &str| environment(name).filter(|_| name != "BURSAR_SOCKET");
        assert_eq!(choose(None, bare), Place { path: "/bursar/bursar.sock".into(), named: false });
        let home = |name: &str| (name == "HOME").then(|| OsString::from("/h"));
        assert_eq!(choose(None, home).path, Path::new("/h/.local/state/bursar/bursar.sock"));
        assert_eq!(choose(None, |_| None).path, Path::new("/run/bursar/bursar.sock"));
    }
}
