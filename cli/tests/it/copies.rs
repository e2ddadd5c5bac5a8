//! Copies of a state directory, and one that was moved: what runs belongs to one daemon, wherever its state lies.
use crate::daemon::{Daemon, LONG, Lasting, Told, number_in, program, runs, told};
use std::{
    ffi::{OsStr, OsString},
    fs,
    os::unix::ffi::OsStringExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

const WEAK: &str = "[enforce]\ncgroups = false\n";

/// A daemon whose state is what `make` puts there.
fn served(config: &str, make: impl FnOnce(&Path)) -> Daemon {
    let mut daemon = Daemon::configured(config);
    daemon.stop();
    fs::remove_dir_all(daemon.state()).expect("removed");
    make(&daemon.state());
    daemon.start();
    daemon
}

/// Puts a backup of a daemon's state somewhere else.
fn restored(daemon: &Daemon, to: &Path) {
    let copy = daemon.scratch.path().join("copy");
    let (state, to) = (daemon.state().display().to_string(), to.display().to_string());
    let copy = copy.display().to_string();
    for words in [["backup", &copy, "--state", &state], ["restore", &copy, "--state", &to]] {
        let told = daemon.tell(&words);
        assert_eq!(told.code, 0, "{told:?}");
    }
}

fn copied(from: &Path, to: &Path) {
    let done = Command::new("cp").arg("-a").arg(from).arg(to).status();
    assert!(done.is_ok_and(|status| status.success()));
}

/// A daemon on a state of its own, with a lease of two seconds that somebody keeps.
fn with_a_lease(config: &str) -> (Daemon, Lasting, u32) {
    let daemon = Daemon::configured(config);
    let run = Lasting::start(daemon.command(&["run", "--cpu", "0.1", "--ttl", "2s", "--", "cat"]));
    daemon.eventually("it runs", || daemon.claim("1")["pids"][0].is_number());
    let pid = daemon.await_phase("1", "held")["pids"][0].as_u64().expect("a pid") as u32;
    let comm = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    daemon.eventually("it is in", || comm() == "cat\n");
    (daemon, run, pid)
}

fn left_alone(config: &str) {
    let (daemon, run, pid) = with_a_lease(config);
    let groups = || {
        let all = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
        // What a daemon that starts has for a moment is everybody's.
        all.lines().filter(|line| !line.contains(":name=bursar:")).map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let before = groups();
    let look = served(config, |state| restored(&daemon, state));
    let closed = look.await_phase("1", "closed");
    assert_eq!(closed["ending"], "process_gone", "what it has is another daemon's\n{}", look.log());
    assert_eq!(groups(), before);
    // Longer than the lease, which nobody renews there.
    std::thread::sleep(Duration::from_millis(2500));
    assert!(runs(pid), "{}", look.log());
    assert_eq!(daemon.claim("1")["phase"], "held");
    drop(look);
    assert!(runs(pid) && run.end(), "it ends when it wants to");
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "released");
}

#[test]
fn a_copy_beside_a_live_daemon_leaves_its_processes_alone() {
    left_alone("");
}

#[test]
fn a_copy_beside_a_live_daemon_leaves_its_processes_alone_without_groups_too() {
    left_alone(WEAK);
}

/// What a daemon on that state says as it ends.
fn refused(daemon: &Daemon, state: &Path) -> Told {
    let mut command = daemon.command(&["serve", "--state"]);
    command.arg(state).arg("--socket").arg(state.with_extension("sock")).env("HOME", daemon.scratch.path());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("the program");
    let since = Instant::now();
    while child.try_wait().expect("a look").is_none() {
        if since.elapsed() > Duration::from_secs(5) {
            child.kill().expect("killed");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().expect("ended");
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    Told { code: output.status.code().unwrap_or(-1), out: String::new(), err }
}

fn refused_beside(config: &str) {
    let (daemon, run, pid) = with_a_lease(config);
    let copy = daemon.scratch.path().join("copy");
    copied(&daemon.state(), &copy);
    let told = refused(&daemon, &copy);
    let file = copy.join("instance");
    assert!(told.code == 1 && told.err.contains(&format!("remove {}", file.display())), "{told:?}");
    assert!(told.err.contains(&daemon.state().display().to_string()), "it says of whom: {told:?}");
    fs::remove_file(&file).expect("as it says");
    let look = served(config, |state| copied(&copy, state));
    assert_eq!(look.await_phase("1", "closed")["ending"], "process_gone");
    drop(look);
    assert!(runs(pid));
    assert_eq!(daemon.claim("1")["phase"], "held");
    assert!(run.end());
}

#[test]
fn a_copy_of_the_whole_folder_is_not_served_beside_its_original() {
    refused_beside("");
}

#[test]
fn nor_is_it_without_groups() {
    refused_beside(WEAK);
}

/// A daemon on a state that lies elsewhere; killed when dropped.
struct Elsewhere(Child);

impl Drop for Elsewhere {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Serves a state at the daemon's own socket.
fn elsewhere(daemon: &Daemon, state: &Path) -> Elsewhere {
    let mut command = Command::new(program());
    command.arg("serve").arg("--config").arg(daemon.scratch.path().join("bursar.toml"));
    command.arg("--state").arg(state).arg("--socket").arg(daemon.socket());
    command.env("HOME", daemon.scratch.path()).stdin(Stdio::null()).stdout(Stdio::null());
    let log = fs::File::options().append(true).open(daemon.scratch.path().join("log")).expect("a log");
    let child = Elsewhere(command.stderr(log).spawn().expect("the program"));
    daemon.eventually("it is up", || daemon.client().alive());
    child
}

/// A lease of which one process has left the others' session; the first process and that one.
fn with_a_straggler(daemon: &Daemon) -> (Child, u32, u32) {
    let (root, straggler) = (daemon.scratch.path().join("root"), daemon.scratch.path().join("straggler"));
    let script = format!(
        "setsid sh -c 'echo $$ > {}; exec sleep 300' & echo $$ > {}; exec sleep 300",
        straggler.display(),
        root.display()
    );
    let run = daemon.command(&["run", "--cpu", "0.1", "--ttl", "1h", "--", "sh", "-c", &script]).spawn();
    (run.expect("run"), number_in(&root), number_in(&straggler))
}

fn ends_all(daemon: &Daemon, pids: [u32; 2]) {
    let told = told(daemon.command(&["cancel", "1"]));
    assert_eq!(told.code, 0, "{told:?}");
    assert_eq!(daemon.await_phase("1", "closed")["ending"], "cancelled");
    let since = Instant::now();
    while pids.iter().any(|pid| runs(*pid)) && since.elapsed() < LONG / 10 {
        std::thread::sleep(Duration::from_millis(10));
    }
    let left = pids.map(runs);
    // Nothing stays behind on this machine, whatever came of it.
    for pid in pids.iter().filter_map(|pid| rustix::process::Pid::from_raw(*pid as i32)) {
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    assert_eq!(left, [false; 2], "what was given back is over\n{}", daemon.log());
}

#[test]
fn a_state_that_was_moved_while_its_daemon_was_away_finds_all_that_runs() {
    let mut daemon = Daemon::plain();
    let (mut run, root, straggler) = with_a_straggler(&daemon);
    daemon.await_phase("1", "held");
    daemon.kill();
    let moved = daemon.scratch.path().join("moved");
    fs::rename(daemon.state(), &moved).expect("moved");
    let served = elsewhere(&daemon, &moved);
    ends_all(&daemon, [root, straggler]);
    run.wait().expect("ended");
    drop(served);
}

#[test]
fn a_copy_that_is_served_elsewhere_after_its_original_died_finds_all_that_runs() {
    let mut daemon = Daemon::plain();
    let (mut run, root, straggler) = with_a_straggler(&daemon);
    daemon.await_phase("1", "held");
    let copy = daemon.scratch.path().join("restored");
    restored(&daemon, &copy);
    daemon.kill();
    let served = elsewhere(&daemon, &copy);
    ends_all(&daemon, [root, straggler]);
    run.wait().expect("ended");
    drop(served);
}

#[test]
fn what_runs_in_the_lease_of_another_daemon_as_well_is_found_again() {
    let (outer, mut inner) = (Daemon::plain(), Daemon::configured(WEAK));
    let [program, socket] = [program(), inner.socket()].map(|path| path.display().to_string());
    let words =
        ["run", "--cpu", "0.1", "--", &program, "run", "--socket", &socket, "--cpu", "0.1", "--", "cat"];
    let run = Lasting::start(outer.command(&words));
    inner.eventually("it runs", || inner.claim("1")["pids"][0].is_number());
    let pid = inner.await_phase("1", "held")["pids"][0].as_u64().expect("a pid");
    let comm = || fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    inner.eventually("it is in", || comm() == "cat\n");
    inner.kill();
    inner.start();
    // Longer than a look takes.
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(inner.claim("1")["phase"], "held", "{}", inner.log());
    assert!(run.end());
    assert_eq!(inner.await_phase("1", "closed")["ending"], "released");
}

/// A path with a byte that is no text.
fn no_text() -> OsString {
    OsString::from_vec(b"no\xfftext".into())
}

#[test]
fn a_copy_lies_where_it_was_told_to_whatever_that_is_called() {
    let daemon = Daemon::plain();
    assert_eq!(daemon.tell(&["claim", "--cpu", "0.1"]).code, 0);
    // SQLite has ways of its own to read some of these, if they come to it like this.
    for name in ["file:copy".into(), "file:copy?mode=memory".into(), ":memory:".into(), no_text()] {
        let there = tempfile::TempDir::new().expect("a folder");
        let (again, state) = (Path::new("file:again"), daemon.state());
        for words in [
            [OsStr::new("backup"), &name, "--state".as_ref(), state.as_ref()],
            [OsStr::new("restore"), &name, "--state".as_ref(), again.as_ref()],
        ] {
            let mut command = daemon.command(&["-o", "json"]);
            command.args(words).current_dir(there.path());
            let told = told(command);
            assert!(told.code == 0 && told.json()["batches"] != "0", "{name:?}: {told:?}");
        }
        for copy in [Path::new(&name), again] {
            let mut command = daemon.command(&["doctor", "-o", "json", "--journal"]);
            command.arg(copy).current_dir(there.path());
            let told = told(command);
            assert!(told.code == 0 && told.json()["sound"] == true, "{name:?}: {told:?}");
            assert!(fs::metadata(there.path().join(copy).join("journal.sqlite")).expect("there").len() > 0);
        }
        let folders = fs::read_dir(there.path()).expect("a folder").count();
        assert_eq!(folders, 2, "{name:?}: and nowhere else");
    }
}

#[test]
fn a_state_whose_scratch_folders_would_lie_elsewhere_is_refused() {
    let daemon = Daemon::plain();
    let state = daemon.scratch.path().join(no_text());
    let told = refused(&daemon, &state);
    assert!(told.code == 2 && told.err.contains("has to be UTF-8"), "{told:?}");
    assert!(told.err.contains(&state.display().to_string()) && !state.exists(), "{told:?}");
}

#[test]
fn a_name_with_a_flipped_bit_stops_the_next_start_and_is_told_by_doctor() {
    let (mut daemon, run, pid) = with_a_lease("");
    let (state, file) = (daemon.state(), daemon.state().join("instance"));
    let words = ["doctor", "--journal", &state.display().to_string()].map(ToOwned::to_owned);
    let doctor = |daemon: &Daemon| daemon.tell(&words.each_ref().map(String::as_str));
    assert_eq!(doctor(&daemon).code, 0);
    let written = fs::read(&file).expect("a name");
    // Another digit, whichever it is.
    let digit = (0..8).find(|bit| (written[0] ^ 1 << bit).is_ascii_hexdigit()).expect("a digit");
    let mut flipped = written.clone();
    flipped[0] ^= 1 << digit;
    daemon.kill();
    fs::write(&file, &flipped).expect("written");
    let told = refused(&daemon, &state);
    assert!(told.code == 1 && told.err.contains(&file.display().to_string()), "{told:?}");
    let looked = doctor(&daemon);
    assert!(looked.code == 1 && looked.out.contains("control groups"), "{looked:?}");
    assert!(looked.err.contains(&file.display().to_string()), "{looked:?}");
    // As it says: the digits alone will do.
    fs::write(&file, &written[..8]).expect("written");
    daemon.start();
    assert!(runs(pid) && daemon.claim("1")["phase"] == "held", "{}", daemon.log());
    assert!(run.end());
}
