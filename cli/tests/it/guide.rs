//! The guide for authors, `docs/plugins.md`: every line of it that begins with `$` is run, in order.
use crate::daemon::{Daemon, Setup, program, told};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};
use tempfile::TempDir;

#[test]
fn what_the_guide_says_works_as_it_stands() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let guide = fs::read_to_string(root.join("docs/plugins.md")).expect("the guide");
    let lines: Vec<&str> = guide.lines().filter_map(|line| line.strip_prefix("    $ ")).collect();
    assert!(lines.len() >= 10, "{lines:?}");
    let work = TempDir::new().expect("a folder");
    fs::create_dir(work.path().join("plugins")).expect("made");
    let config = "[plugins]\ndeadline-ms = 500\n".into();
    let daemon =
        Daemon::with(Setup { plugins: vec![work.path().join("plugins")], config, ..Setup::default() });
    // What everything is built into is shared with the other tests, so that it is built once.
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    let target = target.join("examples-outside");
    fs::create_dir_all(&target).expect("made");
    std::os::unix::fs::symlink(target.canonicalize().expect("there"), work.path().join("target"))
        .expect("linked");
    let path = format!(
        "{}:{}",
        program().parent().expect("a folder").display(),
        std::env::var("PATH").unwrap_or_default()
    );
    for line in lines {
        let mut shell = Command::new("sh");
        shell.args(["-c", line]).current_dir(work.path()).env("PATH", &path);
        shell.env("BURSAR_SOCKET", daemon.socket()).env("CARGO_TARGET_DIR", work.path().join("target"));
        shell.env("CARGO_NET_OFFLINE", "true");
        let done = told(shell);
        assert_eq!(done.code, 0, "{line}: {done:?}\n{}", daemon.log());
        if line.starts_with("bursar plugin new") {
            // The versions that are there already, so that nothing is fetched.
            fs::copy(root.join("Cargo.lock"), work.path().join("emptiest/Cargo.lock")).expect("copied");
        }
    }
}
