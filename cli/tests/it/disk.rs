//! A full disk under a running daemon: what grows is refused, what gives back goes on.
use crate::daemon::Daemon;
use std::{fs, path::Path, process::Command};

/// A small file system under the state directory; `None` where mounting is not allowed.
fn mount(path: &Path) -> Option<()> {
    fs::create_dir_all(path).expect("made");
    let mounted =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"]).arg(path).output();
    let mounted = mounted.is_ok_and(|output| output.status.success());
    if !mounted {
        eprintln!("skipped: mounting is not allowed here");
    }
    mounted.then_some(())
}

#[test]
fn a_full_disk_is_survived() {
    let mut daemon = Daemon::configured("[journal]\nballast-bytes = 1000000\n");
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(()) = mount(&daemon.state()) else { return };
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let fence = daemon.claim("1")["fence"].as_str().expect("a fence").to_owned();
    let filler = daemon.state().join("filler");
    // Everything that is left.
    let _ =
        Command::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(format!("of={}", filler.display())).output();
    let mut refused = crate::daemon::Told { code: 0, out: String::new(), err: String::new() };
    daemon.eventually("the disk is full", || {
        refused = daemon.tell(&["claim", "--cpu", "0.01", "--scope", &"x".repeat(100)]);
        refused.code != 0
    });
    assert!(refused.code == 4 && refused.err.contains("StorageFull"), "{refused:?}");
    let listed = daemon.ask(&["get", "claims"]);
    let before = listed["claims"].as_array().map(Vec::len);
    assert_eq!(
        daemon.tell(&["release", "1", "--fence", &fence]).code,
        0,
        "giving back goes on\n{}",
        daemon.log()
    );
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 4);
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    assert_eq!(
        daemon.ask(&["get", "claims"])["claims"].as_array().map(|claims| claims.len()),
        before.map(|before| before + 1)
    );
    // And nothing of it is lost.
    let live = daemon.ask(&["get", "claims"]);
    daemon.stop();
    daemon.start();
    daemon.kill();
    daemon.start();
    let ids = |claims: &serde_json::Value| -> Vec<(String, String)> {
        let claims = claims["claims"].as_array().expect("claims").iter();
        claims.map(|claim| (claim["id"].to_string(), claim["fence"].to_string())).collect()
    };
    assert_eq!(ids(&live), ids(&daemon.ask(&["get", "claims"])));
    daemon.stop();
    let _ = Command::new("umount").arg("-l").arg(daemon.state()).status();
}
