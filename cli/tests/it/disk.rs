//! A full disk under a running daemon: what grows is refused, what gives back goes on.
use crate::daemon::{Daemon, Told, number_in, runs};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// A small file system; taken away when dropped.
pub(crate) struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    pub(crate) fn mount(path: &Path) -> Option<Small> {
        fs::create_dir_all(path).expect("made");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m,mode=0700", "tmpfs"])
            .arg(path)
            .output();
        let mounted = mounted.is_ok_and(|output| output.status.success());
        if !mounted {
            eprintln!("skipped: mounting is not allowed here");
        }
        mounted.then(|| Small(path.into()))
    }

    /// Takes everything that is left.
    pub(crate) fn fill(&self) -> PathBuf {
        self.fill_into("filler")
    }

    /// The same with a file beside what others took.
    pub(crate) fn fill_into(&self, name: &str) -> PathBuf {
        let filler = self.0.join(name);
        let into = format!("of={}", filler.display());
        let _ = Command::new("dd").args(["if=/dev/zero", "bs=4096"]).arg(into).output();
        filler
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

pub(crate) const BALLAST: &str = "[journal]\nballast-bytes = 1000000\n";

/// Asks until one is refused, and sees that it is for the disk.
pub(crate) fn until_full(daemon: &Daemon) {
    let mut refused = Told { code: 0, out: String::new(), err: String::new() };
    daemon.eventually("the disk is full", || {
        refused = daemon.tell(&["claim", "--cpu", "0.01", "--scope", &"x".repeat(100)]);
        refused.code != 0
    });
    assert!(refused.code == 4 && refused.err.contains("StorageFull"), "{refused:?}");
}

pub(crate) fn fence(daemon: &Daemon, id: &str) -> String {
    daemon.claim(id)["fence"].as_str().expect("a fence").to_owned()
}

#[test]
fn a_full_disk_is_survived() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let fence = fence(&daemon, "1");
    let filler = small.fill();
    until_full(&daemon);
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
}

#[test]
fn who_looks_hears_that_the_disk_is_full_and_that_there_is_room_again() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    let journal = |doctor: &serde_json::Value| {
        let rows = doctor["findings"].as_array().expect("findings");
        rows.iter().find(|row| row["what"] == "journal").expect("a journal").clone()
    };
    assert_eq!(journal(&daemon.ask(&["doctor"]))["state"], "ok");
    assert_eq!(daemon.http("GET", "/readyz", "").0, 200);
    let filler = small.fill();
    until_full(&daemon);
    let told = daemon.tell(&["doctor", "-o", "json"]);
    let row = journal(&told.json());
    assert!(told.code == 1 && row["state"] == "wrong", "{told:?}");
    assert_eq!(row["detail"], "the disk is full: only what gives back is accepted");
    assert!(row["advice"].as_str().is_some_and(|advice| advice.contains("free space")), "{row}");
    let (status, why) = daemon.http("GET", "/readyz", "");
    assert_eq!((status, &why["error"]["reason"]), (503, &"StorageFull".into()), "{why}");
    // The next one starts on it, and says so too.
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.http("GET", "/readyz", "").0, 503);
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("it is ready again", || daemon.http("GET", "/readyz", "").0 == 200);
    assert_eq!(journal(&daemon.ask(&["doctor"]))["state"], "ok");
    daemon.stop();
}

/// What lies in the groups of a daemon, of which this is what one of its commands is in: a folder for each lease.
fn cells(groups: &str) -> Vec<PathBuf> {
    let lines = groups.lines().filter_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        let ours = path.split_once("/lease-")?.0.trim_start_matches('/');
        let root = Path::new("/sys/fs/cgroup");
        let roots = [root.join(names), root.join("unified"), root.to_owned()];
        roots.iter().map(|root| root.join(ours)).find(|ours| ours.is_dir())
    });
    let inside = lines.flat_map(|ours| fs::read_dir(ours).into_iter().flatten().flatten());
    inside.map(|entry| entry.path()).filter(|path| path.to_string_lossy().contains("/lease-")).collect()
}

#[test]
fn what_was_made_ready_for_a_command_that_a_full_disk_refuses_is_taken_away() {
    let mut daemon = Daemon::configured(&format!("{BALLAST}[enforce]\nreconcile-ms = 100\n"));
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    let groups = daemon.tell(&["run", "--pids", "9", "--", "cat", "/proc/self/cgroup"]).out;
    let filler = small.fill();
    // As long as commands keep coming, groups are made while what needs them is being written down.
    daemon.eventually("the disk is full", || {
        let told = daemon.tell(&["run", "--pids", "9", "--scope", &"x".repeat(100), "--", "true"]);
        told.code == 125 && told.err.contains("disk is full")
    });
    daemon.eventually("nothing is left of it", || cells(&groups).is_empty());
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["run", "--pids", "9", "--", "true"]).code == 0);
    daemon.eventually("nothing is left of that either", || cells(&groups).is_empty());
    daemon.stop();
}

#[test]
fn on_a_full_disk_leases_run_out_and_work_is_ended_and_a_kill_loses_nothing() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    let file = daemon.scratch.path().join("pid");
    let script = format!("echo $$ > {}; exec sleep 300", file.display());
    let mut run = daemon.command(&["run", "--cpu", "0.1", "--", "sh", "-c", &script]).spawn().expect("run");
    let pid = number_in(&file);
    for _ in 0..4 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    }
    let filler = small.fill();
    until_full(&daemon);
    // Expiry, for a lease that ends while there is no room.
    let told = daemon.tell(&["renew", "2", "--fence", &fence(&daemon, "2"), "--ttl", "300ms"]);
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(daemon.await_phase("2", "closed")["ending"], "lease_expired");
    // The end of what runs.
    assert_eq!(daemon.tell(&["cancel", "1"]).code, 0);
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "cancelled");
    assert!(!runs(pid));
    run.wait().expect("ended");
    // Release, and no more than that.
    assert_eq!(daemon.tell(&["release", "3", "--fence", &fence(&daemon, "3")]).code, 0);
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 4);
    // Nothing that was answered is lost by a crash, and the next daemon is as careful.
    let kept = fence(&daemon, "4");
    daemon.kill();
    daemon.start();
    for (id, phase) in [("1", "closed"), ("2", "closed"), ("3", "closed"), ("4", "held"), ("5", "held")] {
        assert_eq!(daemon.claim(id)["phase"], phase, "{id}\n{}", daemon.log());
    }
    assert_eq!(fence(&daemon, "4"), kept);
    let told = daemon.tell(&["claim", "--cpu", "0.01"]);
    assert!(told.code == 4 && told.err.contains("StorageFull"), "{told:?}");
    assert_eq!(daemon.tell(&["release", "4", "--fence", &kept]).code, 0);
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.kill();
    daemon.start();
    assert_eq!(
        (&daemon.claim("4")["phase"], &daemon.claim("5")["phase"]),
        (&"closed".into(), &"held".into())
    );
    assert_eq!(daemon.tell(&["doctor", "--journal", &daemon.state().display().to_string()]).code, 0);
}

#[test]
fn a_daemon_starts_on_a_disk_that_is_full() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    daemon.kill();
    let filler = small.fill();
    assert!(daemon.state().join("ballast").exists());
    daemon.start();
    for _ in 0..3 {
        small.fill();
        let told = daemon.tell(&["claim", "--cpu", "0.01", "--scope", &"x".repeat(100)]);
        assert!(told.code == 4 && told.err.contains("StorageFull"), "{told:?}\n{}", daemon.log());
    }
    assert_eq!(daemon.claim("1")["phase"], "held");
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.stop();
}

#[test]
fn a_log_on_the_full_disk_does_not_end_the_daemon() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    // State, log and socket.
    let Some(small) = Small::mount(daemon.scratch.path()) else { return };
    daemon.start();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    let filler = small.fill();
    // The last page of the log too.
    let stuff = || {
        let mut log =
            fs::File::options().append(true).open(daemon.scratch.path().join("log")).expect("a log");
        while std::io::Write::write_all(&mut log, b"-\n").is_ok() {}
    };
    stuff();
    until_full(&daemon);
    for _ in 0..3 {
        small.fill();
        stuff();
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 4);
    }
    assert!(daemon.ended().is_none());
    fs::remove_file(&filler).expect("removed");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.stop();
}

#[test]
fn a_limit_on_the_size_of_files_is_a_full_disk() {
    let mut daemon = Daemon::configured(BALLAST);
    for _ in 0..20 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
    }
    let freed = fence(&daemon, "1");
    let maximum = getrlimit(Resource::Fsize).maximum;
    // As much of the log as is written; the rest of it was laid out at the start.
    let log = fs::read(daemon.state().join("journal.sqlite-wal")).expect("a log");
    let log = log.iter().rposition(|byte| *byte != 0).map_or(0, |last| last as u64 + 1);
    let pid = Pid::from_raw(daemon.pid() as i32);
    prlimit(pid, Resource::Fsize, Rlimit { current: Some(log + 100), maximum }).expect("limited");
    until_full(&daemon);
    // The log begins again at its beginning, so there is room for what gives back.
    assert_eq!(daemon.tell(&["release", "1", "--fence", &freed]).code, 0, "{}", daemon.log());
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 4);
    prlimit(pid, Resource::Fsize, Rlimit { current: maximum, maximum }).expect("limited");
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.kill();
    daemon.start();
    assert_eq!(daemon.claim("1")["phase"], "closed");
    assert_eq!(daemon.claim("20")["phase"], "held");
}

/// Words that stand before a command whose files are to be no larger than that.
fn no_larger(kib: u32) -> [String; 3] {
    let script = format!("trap - XFSZ; ulimit -f {}; exec \"$0\" \"$@\"", kib * 2);
    ["sh".into(), "-c".into(), script]
}

#[test]
fn a_limit_on_the_size_of_files_at_the_start_is_a_full_disk_too() {
    let mut daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
    daemon.stop();
    fs::remove_file(daemon.state().join("ballast")).expect("as in a new one");
    let within = no_larger(5000);
    daemon.start_within(&within.each_ref().map(String::as_str));
    let told = daemon.tell(&["claim", "--cpu", "0.01"]);
    assert!(told.code == 4 && told.err.contains("StorageFull"), "{told:?}");
    assert_eq!(daemon.tell(&["release", "1", "--fence", &fence(&daemon, "1")]).code, 0);
    daemon.stop();
}

#[test]
fn a_copy_that_a_limit_on_the_size_of_files_cuts_off_is_refused_in_words_and_leaves_nothing() {
    let daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.01"]).code, 0);
    let [state, to] = [daemon.state(), daemon.scratch.path().join("copy")];
    let [first, words @ ..] = no_larger(8);
    for verb in [["backup"].as_slice(), &["restore"]] {
        let mut command = Command::new(&first);
        command.args(&words).arg(crate::daemon::program()).args(verb);
        match verb {
            ["backup"] => command.arg(&to).arg("--state").arg(&state),
            _ => command.arg(&state).arg("--state").arg(&to),
        };
        let told = crate::daemon::told(command);
        assert!(told.code == 1 && told.err.contains("the disk is full"), "{told:?}");
        assert_eq!(fs::read_dir(&to).expect("a folder").count(), 0);
    }
    let told = daemon.tell(&["backup", &to.display().to_string(), "--state", &state.display().to_string()]);
    assert_eq!(told.code, 0, "{told:?}");
}

#[test]
fn an_end_in_good_order_on_a_disk_without_any_room_leaves_room_for_the_next_start() {
    let mut daemon = Daemon::configured(BALLAST);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    let Some(small) = Small::mount(&daemon.state()) else { return };
    daemon.start();
    for _ in 0..3 {
        assert_eq!(daemon.tell(&["claim", "--cpu", "0.1", "--ttl", "1h"]).code, 0);
    }
    let mut fillers = vec![small.fill()];
    until_full(&daemon);
    // What it gave up is somebody else's.
    fillers.push(small.fill_into("while-it-is-up"));
    daemon.stop();
    fillers.push(small.fill_into("while-it-is-down"));
    daemon.start();
    for id in ["1", "2"] {
        assert_eq!(daemon.claim(id)["phase"], "held");
        assert_eq!(daemon.tell(&["release", id, "--fence", &fence(&daemon, id)]).code, 0, "{}", daemon.log());
    }
    let told = daemon.tell(&["claim", "--cpu", "0.01"]);
    assert!(told.code == 4 && told.err.contains("StorageFull"), "{told:?}");
    fillers.iter().for_each(|filler| fs::remove_file(filler).expect("removed"));
    daemon.eventually("there is room again", || daemon.tell(&["claim", "--cpu", "0.01"]).code == 0);
    daemon.stop();
    daemon.start();
    assert_eq!(
        (&daemon.claim("2")["phase"], &daemon.claim("3")["phase"]),
        (&"closed".into(), &"held".into())
    );
    daemon.stop();
}
