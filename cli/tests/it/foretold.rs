//! Who is to live in a lease is put there while the disk writes it down, and hears of it afterwards: neither a disk that
//! takes long nor one that fails does it any harm.
use crate::{
    daemon::{Daemon, LONG, runs, told},
    strained::Strained,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A look at what is there, as often as it may be; and of what there is no more than any machine has left, so that
/// how much that is does not have to be written down meanwhile.
const OFTEN: &str =
    "[enforce]\nreconcile-ms = 100\n[node.capacity]\ncpu = \"2\"\nmemory = \"1G\"\ndisk = \"64M\"\n";
/// Some twenty such looks.
const TAKES: Duration = Duration::from_secs(2);

/// A daemon to which commands have come: the next ones are made room for ahead. And whether it has groups for that.
fn warm() -> (Daemon, bool) {
    let daemon = Daemon::configured(OFTEN);
    let told: Vec<_> = (0..3).map(|_| daemon.tell(&["run", "--", "cat", "/proc/self/cgroup"])).collect();
    assert!(told.iter().all(|told| told.code == 0), "{told:?}");
    let grouped = told.iter().any(|told| told.out.contains("/lease-"));
    (daemon, grouped)
}

/// A shell in a group of its own, where there is one to be had, with a process that sleeps; and whose pid is which.
fn shell_with_a_sleeper(group: &Path) -> (Child, u32) {
    // Without the right to one it stays where it is.
    let _ = fs::create_dir(group);
    let script = format!("echo $$ > {}/cgroup.procs; sleep 60 & echo $!; wait", group.display());
    let mut shell = Command::new("sh");
    let shell = shell.args(["-c", &script]).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut shell = shell.stderr(Stdio::null()).spawn().expect("a shell");
    let mut pid = String::new();
    BufReader::new(shell.stdout.take().expect("a pipe")).read_line(&mut pid).expect("a line");
    (shell, pid.trim().parse().expect("a pid"))
}

/// Where a process lives, but for hierarchies that come and go.
fn home(pid: u32) -> String {
    let all = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
    all.lines().filter(|line| !line.contains(":name=")).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_disk_that_takes_long_has_a_command_wait_and_no_more() {
    let (daemon, grouped) = warm();
    let Some(_slow) = Strained::slow(&daemon, TAKES) else { return };
    let since = Instant::now();
    let told = told(daemon.command(&["run", "--", "cat", "/proc/self/cgroup"]));
    assert_eq!(told.code, 0, "{told:?}");
    assert!(since.elapsed() >= TAKES, "it began before its lease was on the disk");
    assert_eq!(told.out.contains("/lease-4"), grouped, "{told:?}");
}

#[test]
fn a_disk_that_fails_leaves_a_process_where_it_was() {
    // Something else may be written down first, and then it is that which fails.
    assert!((0..5).any(|_| fails_with_a_process_inside()), "nothing was put in ahead");
}

/// Whether it was put in before the disk failed; true where it cannot be.
fn fails_with_a_process_inside() -> bool {
    let (mut daemon, grouped) = warm();
    let Some(_failing) = Strained::failing(&daemon, TAKES) else { return true };
    let group = PathBuf::from(format!("/sys/fs/cgroup/pids/test-foretold-{}", daemon.pid()));
    let (mut shell, pid) = shell_with_a_sleeper(&group);
    let score = || fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap_or_default();
    let before = (home(pid), score());
    let body = json!({ "lines": [{ "resource": "cpu", "amount": "100" }], "pid": pid });
    let mut client = bursar_wire::Client::new(&daemon.socket()).patience(LONG);
    let asked = thread::spawn(move || client.send::<Value>("POST", "/v1/claims", &body, None));
    let is_inside = || home(pid).contains("/lease-4");
    daemon.eventually("it is put in or refused", || is_inside() || asked.is_finished());
    let inside = is_inside();
    let asked = asked.join().expect("no panic");
    assert!(asked.is_err(), "nobody was promised anything: {asked:?}");
    daemon.await_end();
    assert_eq!((home(pid), score()), before);
    assert!(runs(pid), "it lives");
    kill_process(Pid::from_raw(pid as i32).expect("a pid"), Signal::KILL).expect("killed");
    shell.wait().expect("ended");
    // There may be none.
    let _ = fs::remove_dir(&group);
    inside || !grouped
}
